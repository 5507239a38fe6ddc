"""Phone numbers as people write them, stored as E.164 (`+255712345678`)."""

from __future__ import annotations

import phonenumbers
from django.conf import settings
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field

from core.serializers import StrictCharField


def to_e164(text: str) -> str:
    """`text` as E.164, or `ValueError` when it is no possible number. Local spellings belong to `PHONE_REGION`."""
    try:
        number = phonenumbers.parse(text, settings.PHONE_REGION)
    except phonenumbers.NumberParseException as error:
        raise ValueError(text) from error
    if not phonenumbers.is_valid_number(number) or number.extension:
        raise ValueError(text)
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


@extend_schema_field(
    {"type": "string", "minLength": 8, "maxLength": 20, "description": "+255712345678 or 0712345678", "format": "phone"}
)
class PhoneField(StrictCharField):
    """Reads any usual spelling, gives E.164."""

    default_error_messages = {"phone": _("Enter a valid phone number, for example +255712345678.")}

    def __init__(self, **kwargs: object) -> None:
        super().__init__(max_length=20, **kwargs)  # type: ignore[arg-type]

    def to_internal_value(self, data: object) -> str:
        text = super().to_internal_value(data)
        try:
            return to_e164(text)
        except ValueError:
            self.fail("phone")
