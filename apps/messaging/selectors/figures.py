"""Figures over every tenant, for the dashboard of the platform's staff. Each is one query over a bounded time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q
from django.db.models.functions import TruncDate
from django.utils import timezone

from apps.messaging.models.limits import Budget, PrefixPause, Usage
from apps.messaging.models.messages import Message, MessageTry
from apps.messaging.progress import MessageStatus
from apps.messaging.selectors.spend import money_scope, utc_today
from apps.tenants.selectors.tenants import list_tenant_names
from core.money import Money
from core.tenancy import rows_of_every_tenant

DAY = timedelta(hours=24)
MOST_TENANTS, MOST_PAUSES = 10, 20
URGENT_PERCENT = 80  # of a budget: staff should know before it is used up
Outcome = MessageTry.Outcome
# What says that a text did not arrive, or never will.
ENDED_BADLY = (MessageStatus.FAILED, MessageStatus.UNDELIVERABLE, MessageStatus.EXPIRED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyMessages:
    """Messages of one channel that were stored on one day."""

    day: date
    channel: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tries:
    """How handing over went in some time. `silent`: away, or no answer."""

    accepted: int
    refused: int
    silent: int

    @property
    def total(self) -> int:
        return self.accepted + self.refused + self.silent


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderHealth:
    """One provider of texts. `delivered` and `lost` count messages of the longer time whose end is known."""

    provider: str
    last_day: Tries
    longer: Tries
    delivered: int
    lost: int

    @property
    def delivered_percent(self) -> int | None:
        """Of those whose end is known."""
        known = self.delivered + self.lost
        return self.delivered * 100 // known if known else None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedBudget:
    """How much of a budget is used: of a tenant, or of all (no `tenant_id`)."""

    tenant_id: UUID | None
    name: str
    period: str
    used: Money
    limit: Money

    @property
    def percent(self) -> int:
        return min(self.used.amount * 100 // self.limit.amount, 999) if self.limit.amount else 100

    @property
    def is_urgent(self) -> bool:
        return self.percent >= URGENT_PERCENT


def list_daily_messages(*, days: int) -> list[DailyMessages]:
    """Messages per day and channel."""
    rows = rows_of_every_tenant(Message).filter(created_at__gte=_since(days)).order_by()
    sums = rows.values("channel", day=TruncDate("created_at")).annotate(count=Count("pk"))
    return [DailyMessages(**each) for each in sums.order_by("day", "channel")]


def list_provider_health(*, days: int) -> list[ProviderHealth]:
    """How providers of texts did within 24 hours and within `days`. Two queries."""
    since, recent = _since(days), Q(started_at__gte=timezone.now() - DAY)
    silent = ~Q(outcome__in=[Outcome.ACCEPTED, Outcome.REFUSED])
    tries = rows_of_every_tenant(MessageTry).filter(started_at__gte=since, provider__in=settings.SMS_GATEWAYS)
    counted = tries.order_by().values("provider")
    counted = counted.annotate(
        accepted=Count("pk", filter=Q(outcome=Outcome.ACCEPTED)),
        refused=Count("pk", filter=Q(outcome=Outcome.REFUSED)),
        silent=Count("pk", filter=silent),
        day_accepted=Count("pk", filter=recent & Q(outcome=Outcome.ACCEPTED)),
        day_refused=Count("pk", filter=recent & Q(outcome=Outcome.REFUSED)),
        day_silent=Count("pk", filter=recent & silent),
    )
    texts = rows_of_every_tenant(Message).filter(created_at__gte=since, provider__in=settings.SMS_GATEWAYS)
    ended = texts.order_by().values("provider")
    ended = ended.annotate(
        delivered=Count("pk", filter=Q(status=MessageStatus.DELIVERED)),
        lost=Count("pk", filter=Q(status__in=ENDED_BADLY)),
    )
    ends = {each["provider"]: (each["delivered"], each["lost"]) for each in ended}
    found = []
    for each in counted:
        delivered, lost = ends.get(each["provider"], (0, 0))
        last_day = Tries(accepted=each["day_accepted"], refused=each["day_refused"], silent=each["day_silent"])
        longer = Tries(accepted=each["accepted"], refused=each["refused"], silent=each["silent"])
        found.append(
            ProviderHealth(provider=each["provider"], last_day=last_day, longer=longer, delivered=delivered, lost=lost)
        )
    return sorted(found, key=lambda row: (-row.longer.total, row.provider))


def list_daily_spend(*, days: int) -> list[tuple[date, int]]:
    """What texts of all tenants cost, day by day (UTC), oldest first, in the smallest unit of SMS_CURRENCY."""
    today = utc_today()
    wanted = [today - timedelta(days=ago) for ago in reversed(range(days))]
    rows = Usage.objects.filter(scope=money_scope(None), period__in=[str(day) for day in wanted])
    used: dict[str, int] = dict(rows.values_list("period", "used"))
    return [(day, used.get(str(day), 0)) for day in wanted]


def list_platform_budgets() -> list[UsedBudget]:
    """The two budgets of all tenants together. Zero is a limit too."""
    today = utc_today()
    limits = {str(today): settings.SMS_DAILY_BUDGET, f"{today:%Y-%m}": settings.SMS_MONTHLY_BUDGET}
    rows = Usage.objects.filter(scope=money_scope(None), period__in=limits)
    used: dict[str, int] = dict(rows.values_list("period", "used"))
    return [_used(None, "", period, used.get(period, 0), limit) for period, limit in limits.items()]


def list_tenant_budgets() -> list[UsedBudget]:
    """This month's budgets of the tenants that spent most, and any of a day or month that is nearly used up.

    The dearest first. Four queries.
    """
    today = utc_today()
    day, month = str(today), f"{today:%Y-%m}"
    usual = {day: settings.SMS_TENANT_DAILY_BUDGET, month: settings.SMS_TENANT_MONTHLY_BUDGET}
    own = {row.tenant_id: {day: row.daily, month: row.monthly} for row in rows_of_every_tenant(Budget).all()[:1000]}
    rows = Usage.objects.filter(scope__startswith="money:", period__in=usual, used__gt=0)
    rows = rows.exclude(scope=money_scope(None)).order_by("-used")
    near = Q(scope__in=[money_scope(tenant_id) for tenant_id in own])
    for period, limit in usual.items():
        near |= Q(period=period, used__gte=limit * URGENT_PERCENT // 100)
    dearest = list(rows.filter(period=month)[:MOST_TENANTS])
    suspects = [row for row in rows.filter(near)[:100] if row not in dearest]
    names = list_tenant_names(tenant_ids=[_tenant_of(row) for row in (*dearest, *suspects)])

    def state(row: Usage) -> UsedBudget:
        tenant_id = _tenant_of(row)
        limit = own.get(tenant_id, {}).get(row.period)
        name = names.get(tenant_id, str(tenant_id))
        return _used(tenant_id, name, row.period, row.used, usual[row.period] if limit is None else limit)

    found = [*map(state, dearest), *(told for told in map(state, suspects) if told.is_urgent)]
    return sorted(found, key=lambda each: (-each.used.amount, each.name, each.period))


def list_running_pauses() -> Sequence[PrefixPause]:
    """Prefixes to which no codes go now."""
    rows = PrefixPause.objects.filter(lifted_at=None, until__gt=timezone.now())
    return list(rows.order_by("-created_at", "-pk")[:MOST_PAUSES])


def count_uncertain_messages() -> int:
    """Texts of which nobody knows whether they went out, and that a person has to look at."""
    stuck = timezone.now() - 2 * timedelta(seconds=settings.SMS_CONFIRM_SECONDS)
    rows = rows_of_every_tenant(Message).filter(status=MessageStatus.UNCERTAIN, updated_at__lt=stuck)
    return rows.count()


def _since(days: int) -> datetime:
    first = timezone.localdate() - timedelta(days=days - 1)
    return timezone.make_aware(datetime.combine(first, datetime.min.time()))


def _used(tenant_id: UUID | None, name: str, period: str, used: int, limit: int) -> UsedBudget:
    currency = settings.SMS_CURRENCY
    return UsedBudget(
        tenant_id=tenant_id, name=name, period=period, used=Money(used, currency), limit=Money(limit, currency)
    )


def _tenant_of(row: Usage) -> UUID:
    return UUID(row.scope.partition(":")[2])
