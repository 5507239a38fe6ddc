"""What comes in and what goes out about refunds."""

from __future__ import annotations

from rest_framework import serializers

from apps.payments.models.transfers import Refund
from apps.payments.transfers import ShownStatus
from core.output import OutputModelSerializer
from core.serializers import FilterInput, InputSerializer, MoneyField, MoneyInput, StrictCharField, StrictIntegerField


class RequestRefundInput(InputSerializer):
    amount = MoneyInput(required=False, help_text="Without: all that is left of the attempt.")
    reason = StrictCharField(max_length=300, required=False, default="", allow_blank=True)
    attempt = StrictIntegerField(
        min_value=1,
        max_value=32_767,
        required=False,
        help_text="The number of the attempt that brought in the money. Without: the one that counts for the payment.",
    )


class CompleteRefundInput(InputSerializer):
    evidence = StrictCharField(max_length=300, help_text="How it was sent, for example the number of the transaction.")


class RejectRefundInput(InputSerializer):
    evidence = StrictCharField(
        max_length=300, required=False, default="", allow_blank=True, help_text="Why it is not sent."
    )


class RefundFilterInput(FilterInput):
    payment = serializers.UUIDField(required=False)
    status = serializers.ChoiceField(choices=ShownStatus.choices, required=False)
    gateway = serializers.SlugField(max_length=50, required=False)
    created_from = serializers.DateTimeField(required=False, help_text="Not before this time.")
    created_until = serializers.DateTimeField(required=False, help_text="Before this time.")


class RefundOutput(OutputModelSerializer[Refund]):
    payment = serializers.UUIDField(source="payment_id", read_only=True)
    attempt = serializers.IntegerField(source="attempt.number", read_only=True)
    status = serializers.ChoiceField(choices=ShownStatus.choices, source="shown_status", read_only=True)
    amount = MoneyField(source="money")
    requested_by = serializers.UUIDField(source="requested_by_id", read_only=True)
    refusal = serializers.CharField(read_only=True, help_text="A word for why it failed; empty otherwise.")

    class Meta:
        model = Refund
        fields = read_only_fields = (
            "id",
            "payment",
            "attempt",
            "status",
            "amount",
            "gateway",
            "reason",
            "evidence",
            "refusal",
            "requested_by",
            "created_at",
            "ended_at",
        )
