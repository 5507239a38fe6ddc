"""What comes in and what goes out about payouts."""

from __future__ import annotations

from typing import Any

from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from apps.payments.models.transfers import Payout
from apps.payments.serializers.fields import MetadataField
from apps.payments.transfers import ShownStatus
from core.output import OutputModelSerializer, OutputSerializer
from core.phones import PhoneField
from core.serializers import FilterInput, InputSerializer, MoneyField, MoneyInput, StrictCharField


class BankAccountInput(InputSerializer):
    bank = StrictCharField(
        max_length=50,
        validators=[RegexValidator(r"^[0-9A-Za-z_-]+$")],
        help_text="The code by which the gateway knows the bank, for example a BIC.",
    )
    number = StrictCharField(
        max_length=50, validators=[RegexValidator(r"^[0-9A-Za-z-]+$")], help_text="Of the account."
    )
    name = StrictCharField(max_length=100, help_text="Whose account it is.")


class RequestPayoutInput(InputSerializer):
    """Money for a phone's wallet (`phone`) or for an account (`bank`): one of the two."""

    gateway = serializers.SlugField(max_length=50, help_text="For example `clickpesa`.")
    amount = MoneyInput()
    phone = PhoneField(required=False, help_text="+255712345678, or a local spelling.")
    bank = BankAccountInput(required=False)
    name = StrictCharField(max_length=100, required=False, default="", allow_blank=True, help_text="Whose phone it is.")
    narration = StrictCharField(
        max_length=200, required=False, default="", allow_blank=True, help_text="What the recipient is told."
    )
    client_reference = StrictCharField(
        max_length=100,
        required=False,
        default="",
        allow_blank=True,
        help_text="Your own name for it. Unique among your payouts, for ever.",
    )
    metadata = MetadataField(required=False, help_text="Your own notes, given back as they are.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("phone" in attrs) == ("bank" in attrs):
            raise serializers.ValidationError({"phone": [_("Give a phone number or a bank account: one of the two.")]})
        return attrs


class PayoutFilterInput(FilterInput):
    status = serializers.ChoiceField(choices=ShownStatus.choices, required=False)
    gateway = serializers.SlugField(max_length=50, required=False)
    client_reference = StrictCharField(max_length=100, required=False)
    created_from = serializers.DateTimeField(required=False, help_text="Not before this time.")
    created_until = serializers.DateTimeField(required=False, help_text="Before this time.")


class BankAccountOutput(OutputSerializer[Payout]):
    bank = serializers.CharField(read_only=True)
    number = serializers.CharField(source="bank_account", read_only=True)
    name = serializers.CharField(read_only=True)


class PayoutOutput(OutputModelSerializer[Payout]):
    status = serializers.ChoiceField(choices=ShownStatus.choices, source="shown_status", read_only=True)
    amount = MoneyField(source="money")
    phone = serializers.CharField(read_only=True, help_text="Empty for a bank account.")
    bank = serializers.SerializerMethodField(help_text="Null for a phone.")
    metadata = MetadataField(read_only=True)
    requested_by = serializers.UUIDField(source="requested_by_id", read_only=True)
    refusal = serializers.CharField(read_only=True, help_text="A word for why it failed; empty otherwise.")

    class Meta:
        model = Payout
        fields = read_only_fields = (
            "id",
            "status",
            "amount",
            "gateway",
            "phone",
            "bank",
            "name",
            "narration",
            "client_reference",
            "metadata",
            "refusal",
            "requested_by",
            "created_at",
            "ended_at",
        )

    @extend_schema_field(BankAccountOutput(allow_null=True))
    def get_bank(self, payout: Payout) -> dict[str, Any] | None:
        return dict(BankAccountOutput(payout).data) if payout.bank_account else None
