"""What the inputs of payments have in common."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import URLValidator
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.parsers import is_storable
from core.serializers import MAX_MINOR_UNITS, InputSerializer, StrictCharField

MAX_METADATA_KEYS, MAX_METADATA_KEY, MAX_METADATA_TEXT = 20, 40, 500
PAYMENT_ID = "{payment_id}"
MAX_URL = 500

METADATA_VALUE = {
    "oneOf": [
        {"type": "string", "maxLength": MAX_METADATA_TEXT},
        {"type": "integer", "minimum": -MAX_MINOR_UNITS, "maximum": MAX_MINOR_UNITS},
        {"type": "boolean"},
    ]
}
METADATA_SCHEMA = {
    "type": "object",
    "maxProperties": MAX_METADATA_KEYS,
    "propertyNames": {"minLength": 1, "maxLength": MAX_METADATA_KEY},
    "additionalProperties": METADATA_VALUE,
    "examples": [{"order": "1024", "seats": 2, "is_gift": True}],
}


@extend_schema_field(METADATA_SCHEMA)
class MetadataField(serializers.Field[dict[str, Any], Any, Any, Any]):
    """A flat object of texts, whole numbers and booleans: the merchant's own notes, kept and given back as they are."""

    is_pure = True  # see core.output

    default_error_messages = {
        "no_object": _("Send an object."),
        "too_many": _("At most {number} entries."),
        "bad_key": _("Names must be 1 to {number} characters long."),
        "bad_value": _("Values must be texts of at most {number} characters, whole numbers, true or false."),
    }

    def to_internal_value(self, data: Any) -> dict[str, Any]:
        if not isinstance(data, dict):
            self.fail("no_object")
        if len(data) > MAX_METADATA_KEYS:
            self.fail("too_many", number=MAX_METADATA_KEYS)
        for name, value in data.items():
            if not 1 <= len(name) <= MAX_METADATA_KEY or not is_storable(name):
                self.fail("bad_key", number=MAX_METADATA_KEY)
            if not self._is_plain(value):
                self.fail("bad_value", number=MAX_METADATA_TEXT)
        return data

    def to_representation(self, value: dict[str, Any]) -> dict[str, Any]:
        return value

    @staticmethod
    def _is_plain(value: Any) -> bool:
        if isinstance(value, str):
            return len(value) <= MAX_METADATA_TEXT and is_storable(value)
        return isinstance(value, bool) or (isinstance(value, int) and abs(value) <= MAX_MINOR_UNITS)


class ReturnUrlField(StrictCharField):
    """Where a page sends the customer afterwards: http or https, without a user in it. `{payment_id}` is filled in."""

    default_error_messages = {"bad_url": _("Enter a web address that begins with https:// or http://.")}
    _is_url = URLValidator(schemes=["http", "https"])

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(max_length=MAX_URL, required=False, default="", allow_blank=True, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        url = super().to_internal_value(data)
        if not url:
            return url
        filled = url.replace(PAYMENT_ID, "0" * 36)
        try:
            self._is_url(filled)
        except ValidationError:
            self.fail("bad_url")
        authority = filled.partition("://")[2].partition("/")[0]
        if len(filled) > MAX_URL or not filled.isascii() or not filled.isprintable() or "@" in authority:
            self.fail("bad_url")
        return url


class AddressInput(InputSerializer):
    line = StrictCharField(max_length=200, help_text="Street and number, or a box.")
    city = StrictCharField(max_length=100)
    region = StrictCharField(max_length=100, required=False, default="", allow_blank=True)
    postal_code = StrictCharField(max_length=20, required=False, default="", allow_blank=True)
    country = serializers.RegexField(r"^[A-Z]{2}$", max_length=2, help_text="ISO 3166-1, two letters: `TZ`.")


class StrictEmailField(serializers.EmailField):
    """A JSON string with an e-mail address in it."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class CustomerInput(InputSerializer):
    name = StrictCharField(max_length=100, required=False)
    email = StrictEmailField(max_length=254, required=False, help_text="The receipt goes there.")
    address = AddressInput(required=False, help_text="Where the card is registered; some card gateways ask for it.")
