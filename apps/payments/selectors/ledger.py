"""Questions about the ledger of the current tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet, Sum

from apps.payments.models.ledger import LedgerLine
from core.money import Money

Kind = LedgerLine.Kind
IN = Q(kind__in=[Kind.CAPTURE, Kind.ADJUSTMENT])
BACK = Q(kind__in=[Kind.REFUND, Kind.FOREIGN_REFUND]) | Q(kind=Kind.RETURN, payout=None)
OUT = Q(kind=Kind.PAYOUT) | Q(kind=Kind.RETURN, payment=None)


def list_ledger_lines(
    *,
    payment: UUID | None = None,
    payout: UUID | None = None,
    kind: str | None = None,
    gateway: str | None = None,
    at_from: datetime | None = None,
    at_until: datetime | None = None,
) -> QuerySet[LedgerLine]:
    """Movements of money of the current tenant, newest first."""
    lines: QuerySet[LedgerLine] = LedgerLine.objects.order_by("-at", "-pk")
    if payment is not None:
        lines = lines.filter(payment_id=payment)
    if payout is not None:
        lines = lines.filter(payout_id=payout)
    if kind is not None:
        lines = lines.filter(kind=kind)
    if gateway is not None:
        lines = lines.filter(gateway=gateway)
    if at_from is not None:
        lines = lines.filter(at__gte=at_from)
    if at_until is not None:
        lines = lines.filter(at__lt=at_until)
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What moved in one currency at one gateway. `refunded` and `paid_out` are what went and did not come back."""

    gateway: str
    captured: Money
    refunded: Money
    paid_out: Money
    net: Money

    @property
    def currency(self) -> str:
        return self.net.currency


def list_totals(*, at_from: datetime | None = None, at_until: datetime | None = None) -> list[Total]:
    """Sums of the ledger's lines of the current tenant, by currency and gateway."""
    lines = list_ledger_lines(at_from=at_from, at_until=at_until).order_by("currency", "gateway")
    sums = lines.values("currency", "gateway").annotate(
        captured=Sum("amount", filter=IN, default=0),
        back=Sum("amount", filter=BACK, default=0),
        out=Sum("amount", filter=OUT, default=0),
        net=Sum("amount", default=0),
    )
    return [
        Total(
            gateway=each["gateway"],
            captured=Money(each["captured"], each["currency"]),
            refunded=Money(-each["back"], each["currency"]),
            paid_out=Money(-each["out"], each["currency"]),
            net=Money(each["net"], each["currency"]),
        )
        for each in sums
    ]
