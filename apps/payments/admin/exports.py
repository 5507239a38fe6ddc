"""Columns of the files that operators export. Amounts are in major units, exact; ids stand as they are stored."""

from __future__ import annotations

from typing import Any

from import_export.fields import Field

from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Payment
from apps.payments.models.reconciliation import ReconciliationBreak
from apps.payments.models.transfers import Payout, Refund
from core.exports import ExportResource
from core.money import Money


def major(amount: int, currency: str) -> str:
    """`5000.00`, without separators, for a spreadsheet."""
    return str(Money(amount, currency).decimal)


class _MoneyExport(ExportResource):
    """Rows of a tenant with an `amount` and a `currency`."""

    tenant_id = Field(attribute="tenant_id", column_name="tenant_id", readonly=True)
    tenant = Field(attribute="tenant__name", column_name="tenant", readonly=True)

    def dehydrate_amount(self, row: Any) -> str:
        return major(row.amount, row.currency)


class PaymentExport(_MoneyExport):
    our_reference = Field(attribute="applied_attempt__reference", column_name="our_reference", readonly=True)
    provider_reference = Field(
        attribute="applied_attempt__provider_reference", column_name="provider_reference", readonly=True
    )
    started_by_id = Field(attribute="started_by_id", column_name="started_by_id", readonly=True)

    class Meta:
        model = Payment
        fields = export_order = (
            "id",
            "created_at",
            "tenant_id",
            "tenant",
            "status",
            "failure_code",
            "currency",
            "amount",
            "captured",
            "refunded",
            "gateway",
            "method",
            "phone",
            "client_reference",
            "our_reference",
            "provider_reference",
            "description",
            "anomalies",
            "settled_at",
            "started_by_id",
        )

    def dehydrate_captured(self, payment: Payment) -> str:
        return major(payment.captured, payment.currency)

    def dehydrate_refunded(self, payment: Payment) -> str:
        return major(payment.refunded, payment.currency)


class LedgerLineExport(_MoneyExport):
    payment_id = Field(attribute="payment_id", column_name="payment_id", readonly=True)
    refund_id = Field(attribute="refund_id", column_name="refund_id", readonly=True)
    payout_id = Field(attribute="payout_id", column_name="payout_id", readonly=True)

    class Meta:
        model = LedgerLine
        fields = export_order = (
            "id",
            "at",
            "tenant_id",
            "tenant",
            "kind",
            "currency",
            "amount",
            "gateway",
            "payment_id",
            "refund_id",
            "payout_id",
            "key",
        )


class _TransferExport(_MoneyExport):
    requested_by_id = Field(attribute="requested_by_id", column_name="requested_by_id", readonly=True)


_TRANSFER = (
    "id",
    "created_at",
    "tenant_id",
    "tenant",
    "status",
    "currency",
    "amount",
    "gateway",
    "reference",
    "provider_reference",
    "anomalies",
    "refusal",
    "submitted_at",
    "ended_at",
    "requested_by_id",
)


class RefundExport(_TransferExport):
    payment_id = Field(attribute="payment_id", column_name="payment_id", readonly=True)

    class Meta:
        model = Refund
        fields = export_order = (*_TRANSFER, "payment_id", "reason", "evidence")


class PayoutExport(_TransferExport):
    class Meta:
        model = Payout
        fields = export_order = (
            *_TRANSFER,
            "phone",
            "bank",
            "bank_account",
            "name",
            "narration",
            "client_reference",
        )


class BreakExport(ExportResource):
    payment_id = Field(attribute="payment_id", column_name="payment_id", readonly=True)
    tenant_id = Field(attribute="tenant_id", column_name="tenant_id", readonly=True)
    account_id = Field(attribute="account_id", column_name="account_id", readonly=True)
    resolved_by_id = Field(attribute="resolved_by_id", column_name="resolved_by_id", readonly=True)

    class Meta:
        model = ReconciliationBreak
        fields = export_order = (
            "id",
            "opened_at",
            "kind",
            "gateway",
            "account_id",
            "tenant_id",
            "reference",
            "payment_id",
            "ours",
            "theirs",
            "resolved_at",
            "resolution",
            "resolved_by_id",
        )
