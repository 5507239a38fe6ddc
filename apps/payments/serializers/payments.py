"""What comes in and what goes out."""

from __future__ import annotations

from rest_framework import serializers

from apps.payments.derivation import PaymentStatus
from apps.payments.models.payments import Payment
from core.phones import PhoneField
from core.serializers import FilterInput, InputSerializer, MoneyField, MoneyInput, StrictCharField


class StartPaymentInput(InputSerializer):
    amount = MoneyInput()
    phone = PhoneField(help_text="Who pays. +255712345678, or a local spelling.")
    gateway = serializers.SlugField(max_length=50, help_text="For example `clickpesa`.")
    description = StrictCharField(max_length=200, required=False, default="", allow_blank=True)
    client_reference = StrictCharField(
        max_length=100,
        required=False,
        default="",
        allow_blank=True,
        help_text="Your own name for it, for example an order number. Unique among your payments, for ever.",
    )


class PaymentFilterInput(FilterInput):
    status = serializers.ChoiceField(choices=PaymentStatus.choices, required=False)
    gateway = serializers.SlugField(max_length=50, required=False)
    created_from = serializers.DateTimeField(required=False, help_text="Not before this time.")
    created_until = serializers.DateTimeField(required=False, help_text="Before this time.")


class PaymentOutput(serializers.ModelSerializer[Payment]):
    amount = MoneyField(source="money")
    captured = MoneyField(source="captured_money")

    class Meta:
        model = Payment
        fields = read_only_fields = (
            "id",
            "status",
            "amount",
            "captured",
            "phone",
            "gateway",
            "description",
            "client_reference",
            "created_at",
            "expires_at",
            "settled_at",
        )
