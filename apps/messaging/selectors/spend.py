"""Questions about what texts cost: the budgets of the current tenant, and what is left of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from apps.messaging.models.limits import Budget, Usage
from apps.messaging.models.messages import Message
from core.money import Money
from core.tenancy import current_tenant_id

DAYS = 30
# A message waits so long at most until it is counted: see `USEFUL_FOR` of `apps.messaging.services.messages`.
LONGEST_WAIT = timedelta(days=7)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """One budget: of a day (2026-01-31) or a month (2026-01), UTC."""

    period: str
    limit: Money
    used: Money

    @property
    def left(self) -> Money:
        return Money(max(self.limit.amount - self.used.amount, 0), self.limit.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class CountrySpend:
    """Texts to one country in this month."""

    country: str
    texts: int
    parts: int
    price: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class DaySpend:
    """Texts of one day (UTC). `price` is what was counted, repetitions included."""

    day: date
    texts: int
    parts: int
    price: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """What texts of one tenant cost. `days` are the last 30, oldest first, also those without any."""

    day: BudgetState
    month: BudgetState
    countries: Sequence[CountrySpend]
    days: Sequence[DaySpend]


def money_scope(tenant_id: UUID | None) -> str:
    """The `Usage.scope` of a tenant's money, or of everybody's."""
    return f"money:{tenant_id}" if tenant_id else "money:all"


def tenant_limits(tenant_id: UUID) -> tuple[int, int]:
    """What the texts of the tenant in scope may cost within a day and within a month."""
    own = Budget.objects.filter(tenant_id=tenant_id).first()
    daily = settings.SMS_TENANT_DAILY_BUDGET if own is None or own.daily is None else own.daily
    monthly = settings.SMS_TENANT_MONTHLY_BUDGET if own is None or own.monthly is None else own.monthly
    return daily, monthly


def utc_today() -> date:
    """The day by which texts are counted."""
    return timezone.now().astimezone(UTC).date()


def summarise_spend() -> Spend:
    """What texts of the current tenant may cost and have cost. Four queries."""
    tenant_id, today = current_tenant_id(), utc_today()
    days = [today - timedelta(days=ago) for ago in reversed(range(DAYS))]
    month = f"{today:%Y-%m}"
    daily, monthly = tenant_limits(tenant_id)
    periods = [*map(str, days), month]
    rows = Usage.objects.filter(scope=money_scope(tenant_id), period__in=periods)
    used: dict[str, int] = dict(rows.values_list("period", "used"))
    return Spend(
        day=_state(str(today), daily, used),
        month=_state(month, monthly, used),
        countries=_countries(today.replace(day=1)),
        days=_days(days, used),
    )


def _money(amount: int) -> Money:
    return Money(amount, settings.SMS_CURRENCY)


def _state(period: str, limit: int, used: dict[str, int]) -> BudgetState:
    return BudgetState(period=period, limit=_money(limit), used=_money(used.get(period, 0)))


def _counted(since: date) -> QuerySet[Message]:
    """Texts that were counted since a day. By their creation too, which is what the index knows."""
    earliest = timezone.now() - (utc_today() - since) - timedelta(days=1) - LONGEST_WAIT
    found: QuerySet[Message] = Message.objects.filter(counted_on__gte=since, created_at__gte=earliest).order_by()
    return found


def _countries(since: date) -> list[CountrySpend]:
    texts = _counted(since).filter(currency=settings.SMS_CURRENCY).values("country")
    sums = texts.annotate(texts=Count("pk"), parts_sum=Sum("parts"), price_sum=Sum("price"))
    return [
        CountrySpend(
            country=each["country"], texts=each["texts"], parts=each["parts_sum"], price=_money(each["price_sum"])
        )
        for each in sums.order_by("-price_sum", "country")
    ]


def _days(days: Sequence[date], used: dict[str, int]) -> list[DaySpend]:
    sums = _counted(days[0]).values("counted_on").annotate(texts=Count("pk"), parts_sum=Sum("parts"))
    found = {each["counted_on"]: (each["texts"], each["parts_sum"]) for each in sums}
    return [
        DaySpend(day=day, texts=texts, parts=parts, price=_money(used.get(str(day), 0)))
        for day in days
        for texts, parts in (found.get(day, (0, 0)),)
    ]
