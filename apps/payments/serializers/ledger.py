"""What comes in and what goes out about the ledger, its totals, and balances."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.payments.models.ledger import LedgerLine
from core.output import OutputModelSerializer, OutputSerializer
from core.serializers import FilterInput, MoneyField


class TotalsFilterInput(FilterInput):
    at_from = serializers.DateTimeField(required=False, help_text="Not before this time.")
    at_until = serializers.DateTimeField(required=False, help_text="Before this time.")


class LedgerFilterInput(TotalsFilterInput):
    payment = serializers.UUIDField(required=False)
    payout = serializers.UUIDField(required=False)
    kind = serializers.ChoiceField(choices=LedgerLine.Kind.choices, required=False)
    gateway = serializers.SlugField(max_length=50, required=False)


class LedgerLineOutput(OutputModelSerializer[LedgerLine]):
    """One movement. What came in is positive, what went out negative."""

    amount = MoneyField(source="money")
    payment = serializers.UUIDField(source="payment_id", read_only=True, allow_null=True)
    refund = serializers.UUIDField(source="refund_id", read_only=True, allow_null=True)
    payout = serializers.UUIDField(source="payout_id", read_only=True, allow_null=True)

    class Meta:
        model = LedgerLine
        fields = read_only_fields = ("id", "kind", "amount", "gateway", "payment", "refund", "payout", "at")


class TotalOutput(OutputSerializer[Any]):
    currency = serializers.CharField(read_only=True)
    gateway = serializers.CharField(read_only=True)
    captured = MoneyField(help_text="What came in.")
    refunded = MoneyField(help_text="What went back to customers.")
    paid_out = MoneyField(help_text="What went out by payouts.")
    net = MoneyField(help_text="What came in less what went out. Before the gateway's fees.")


class TotalsOutput(OutputSerializer[Any]):
    totals = TotalOutput(many=True, read_only=True)


class BalanceOutput(OutputSerializer[Any]):
    gateway = serializers.CharField(read_only=True)
    balances = serializers.ListField(child=MoneyField(), read_only=True, help_text="One per currency.")
