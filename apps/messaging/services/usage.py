"""Counting against a limit of a day or a month, so that a hundred at once get no more than one after the other.

Each limit is a row that a single conditional UPDATE moves; who comes second is judged on what the first one wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Greatest

from apps.messaging.models.limits import Usage
from core.purge import delete_in_batches

KEEP_DAYS: Final = 400  # a year of days beside the one that runs


@dataclass(frozen=True, slots=True, order=True)
class Quota:
    """One limit in one period. In this order they are locked, so what everybody shares has the highest `rank`."""

    rank: int
    scope: str
    period: str
    limit: int
    keep_until: date


@dataclass(frozen=True, slots=True)
class Share:
    """So much of a quota: texts, parts, or money."""

    quota: Quota
    amount: int


def of_day(rank: int, scope: str, day: date, limit: int, *, keep_days: int = KEEP_DAYS) -> Quota:
    """A limit of one day (UTC)."""
    return Quota(rank, scope, day.isoformat(), limit, day + timedelta(days=keep_days))


def of_month(rank: int, scope: str, day: date, limit: int) -> Quota:
    """A limit of the calendar month of `day`."""
    return Quota(rank, scope, f"{day:%Y-%m}", limit, day + timedelta(days=KEEP_DAYS))


def take(shares: Iterable[Share]) -> Quota | None:
    """Count every share, or none and say whose limit is in the way. Call inside a transaction."""
    try:
        with transaction.atomic():
            for share in _in_order(shares):
                if not _take(share):
                    raise _Full(share.quota)
    except _Full as full:
        return full.quota
    return None


def give_back(shares: Iterable[Share]) -> None:
    """Undo a `take`; never below nothing."""
    for share in _in_order(shares):
        rows = Usage.objects.filter(scope=share.quota.scope, period=share.quota.period)
        rows.update(used=Greatest(F("used") - share.amount, 0))


def purge_usage(*, today: date) -> None:
    """Forget periods that nobody looks at any more."""
    delete_in_batches(Usage.objects.filter(keep_until__lt=today))


class _Full(Exception):
    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        super().__init__(quota.scope)


def _in_order(shares: Iterable[Share]) -> Sequence[Share]:
    """One row once, and everybody in the same order, or two of them deadlock."""
    sums: dict[Quota, int] = {}
    for share in shares:
        sums[share.quota] = sums.get(share.quota, 0) + share.amount
    return [Share(quota, sums[quota]) for quota in sorted(sums)]


def _take(share: Share) -> bool:
    quota, amount = share.quota, share.amount
    if amount > quota.limit:
        return False
    rows = Usage.objects.filter(scope=quota.scope, period=quota.period)
    fitting = rows.filter(used__lte=quota.limit - amount)
    if fitting.update(used=F("used") + amount):
        return True
    if rows.exists():
        return False
    row = Usage(scope=quota.scope, period=quota.period, used=0, keep_until=quota.keep_until)
    Usage.objects.bulk_create([row], ignore_conflicts=True)
    return bool(fitting.update(used=F("used") + amount))
