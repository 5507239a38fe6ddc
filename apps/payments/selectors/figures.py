"""Figures over every tenant, for the dashboard of the platform's staff. Each is one query over a bounded time."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

from django.db.models import Count, F, Func, IntegerField, Q, Sum
from django.db.models.functions import Least, TruncDate
from django.utils import timezone

from apps.payments.derivation import PaymentStatus
from apps.payments.models.accounts import GatewayHealth
from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Payment
from apps.payments.models.reconciliation import ReconciliationBreak
from apps.payments.models.transfers import Refund
from apps.payments.transfers import TransferStatus
from core.tenancy import rows_of_every_tenant

CAME_IN = (LedgerLine.Kind.CAPTURE, LedgerLine.Kind.ADJUSTMENT)
# What says something about a gateway: a payment that the merchant called off does not.
ENDED = (PaymentStatus.SETTLED, PaymentStatus.FAILED, PaymentStatus.EXPIRED)
MAX_RESTING = 50
MAX_SECONDS = 24 * 3600  # longer counts as this


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyVolume:
    """What came in on one day at one gateway, in the smallest unit of `currency`."""

    day: date
    currency: str
    gateway: str
    amount: int
    captures: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPerformance:
    """How payments went at one gateway. The times run from the start until the money came (None: it never did)."""

    gateway: str
    started: int
    ended: int
    settled: int
    median: timedelta | None = None
    slowest: timedelta | None = None

    @property
    def success(self) -> float | None:
        """Of those that ended, the part that was paid, 0 to 1."""
        return self.settled / self.ended if self.ended else None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestingGateway:
    """An account that does not answer and is left alone until `until`."""

    gateway: str
    account_id: Any
    until: datetime


def first_day(days: int) -> date:
    """The first of `days` days, of which today is the last."""
    return timezone.localdate() - timedelta(days=days - 1)


def list_daily_volume(*, days: int) -> list[DailyVolume]:
    """Money that came in per day, currency and gateway."""
    since = timezone.make_aware(datetime.combine(first_day(days), datetime.min.time()))
    lines = rows_of_every_tenant(LedgerLine).filter(at__gte=since, kind__in=CAME_IN).order_by()
    sums = lines.values("currency", "gateway", day=TruncDate("at")).annotate(
        amount=Sum("amount"), captures=Count("pk", filter=Q(kind=LedgerLine.Kind.CAPTURE))
    )
    return [DailyVolume(**each) for each in sums.order_by("day", "currency", "gateway")]


def list_gateway_performance(*, days: int) -> list[GatewayPerformance]:
    """Success and speed per gateway, of payments that were started in this time. Two queries."""
    since = timezone.make_aware(datetime.combine(first_day(days), datetime.min.time()))
    payments = rows_of_every_tenant(Payment).filter(created_at__gte=since).order_by()
    counted = payments.values("gateway").annotate(
        started=Count("pk"),
        ended=Count("pk", filter=Q(status__in=ENDED)),
        settled=Count("pk", filter=Q(status=PaymentStatus.SETTLED)),
    )
    found = {each["gateway"]: GatewayPerformance(**each) for each in counted}
    # Counted by whole seconds instead of sorted: a few hundred groups, however many payments there were.
    seconds = Least(_Seconds(F("settled_at") - F("created_at")), MAX_SECONDS)
    timed = payments.filter(settled_at__isnull=False).values("gateway", seconds=seconds).annotate(count=Count("pk"))
    spread: dict[str, Counter[int]] = defaultdict(Counter)
    for each in timed:
        spread[each["gateway"]][each["seconds"]] += each["count"]
    for gateway, counts in spread.items():
        median, slowest = (timedelta(seconds=_nearest_rank(counts, percent)) for percent in (50, 95))
        found[gateway] = replace(found[gateway], median=median, slowest=slowest)
    return sorted(found.values(), key=lambda row: (-row.started, row.gateway))


class _Seconds(Func):
    """The whole seconds of the time between two moments. SQLite has it as microseconds."""

    output_field = IntegerField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template="(%(expressions)s / 1000000)", **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(
            compiler, connection, template="FLOOR(EXTRACT(EPOCH FROM %(expressions)s))::int", **context
        )


def _nearest_rank(counts: Counter[int], percent: int) -> int:
    """The smallest value that `percent` of 100 do not exceed."""
    place = (counts.total() * percent + 99) // 100
    for value in sorted(counts):
        place -= counts[value]
        if place <= 0:
            break
    return value


def count_open_reviews() -> int:
    """Payments that wait for a person's decision."""
    return rows_of_every_tenant(Payment).filter(status=PaymentStatus.REVIEW.value).count()


def count_open_breaks() -> int:
    """Differences that nobody has explained."""
    return ReconciliationBreak.objects.filter(resolved_at=None).count()


def count_manual_refunds() -> int:
    """Refunds that a person has to send."""
    return rows_of_every_tenant(Refund).filter(status=TransferStatus.MANUAL.value).count()


def count_parked_callbacks() -> int:
    """Callbacks that could not be processed."""
    return InboxDelivery.objects.filter(parked_at__isnull=False).count()


def list_resting_gateways() -> list[RestingGateway]:
    """Accounts that do not answer."""
    rows = GatewayHealth.objects.filter(open_until__isnull=False).order_by("gateway", "account_id")[:MAX_RESTING]
    return [
        RestingGateway(gateway=row.gateway, account_id=row.account_id, until=row.open_until)
        for row in rows
        if row.open_until is not None
    ]
