"""What comes in and what goes out about accounts at gateways. Secrets come in, and never go out."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _
from rest_framework import serializers

from apps.payments.methods import METHODS
from core.output import OutputSerializer
from core.serializers import InputSerializer, StrictCharField

MAX_CREDENTIALS, MAX_CREDENTIAL_LENGTH = 20, 8000  # a key in PEM is the longest that is known


class StrictBooleanField(serializers.BooleanField):
    """A JSON boolean; `"yes"` and `1` are refused."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            self.fail("invalid", input=str(type(data).__name__))
        return data


class SaveAccountInput(InputSerializer):
    credentials = serializers.DictField(
        child=StrictCharField(max_length=MAX_CREDENTIAL_LENGTH, allow_blank=True),
        required=False,
        help_text="By the names that the payment method asks for. They replace all that were there; never shown again.",
    )
    is_enabled = StrictBooleanField(required=False, help_text="Whether new payments may go through it.")
    allows_manual_refunds = StrictBooleanField(
        required=False, help_text="Whether people may send money back by hand where the payment method cannot."
    )
    refuses_when_down = StrictBooleanField(
        required=False,
        help_text="Whether new payments are refused while the payment method does not answer, instead of waiting.",
    )

    def validate_credentials(self, value: dict[str, str]) -> dict[str, str]:
        if len(value) > MAX_CREDENTIALS:
            told = _("Ensure this field has no more than {max_length} elements.")
            raise serializers.ValidationError(told.format(max_length=MAX_CREDENTIALS))
        return value


class CredentialOutput(OutputSerializer[Any]):
    name = serializers.CharField(read_only=True)
    is_secret = serializers.BooleanField(read_only=True)
    is_required = serializers.BooleanField(read_only=True)
    is_set = serializers.BooleanField(read_only=True)
    value = serializers.CharField(read_only=True, allow_null=True, help_text="Null for a secret.")


class GatewayAccountOutput(OutputSerializer[Any]):
    gateway = serializers.CharField(read_only=True)
    is_enabled = serializers.BooleanField(read_only=True)
    allows_manual_refunds = serializers.BooleanField(read_only=True)
    refuses_when_down = serializers.BooleanField(read_only=True)
    credentials = CredentialOutput(many=True, read_only=True)
    callback_url = serializers.CharField(
        read_only=True, help_text="To be entered at the payment method, where it asks for an address for callbacks."
    )
    created_at = serializers.DateTimeField(read_only=True)
    updated_at = serializers.DateTimeField(read_only=True)


class GatewayOutput(OutputSerializer[Any]):
    code = serializers.CharField(read_only=True)
    name = serializers.CharField(read_only=True)
    account = serializers.ChoiceField(
        choices=["own", "shared"],
        read_only=True,
        help_text="Whose account the money goes to: yours, or the platform's.",
    )
    methods = serializers.ListField(child=serializers.ChoiceField(choices=METHODS), read_only=True)
    currencies = serializers.ListField(child=serializers.CharField(), read_only=True)
    capabilities = serializers.ListField(child=serializers.CharField(), read_only=True)
