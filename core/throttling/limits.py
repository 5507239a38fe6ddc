"""Rate limits that hold when sixty requests come at once, on whichever store is there.

`spend` counts before the work is done, in one atomic step: a limit that is looked at first and counted afterwards
lets a burst through. The store is Redis; the database when there is none; and when Redis is configured and away, the
database at half the rate: never open, and never an error because of the limiter. Each is told what this process knows
of the other's count, so that going from one to the other gives nobody a fresh limit.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings
from django.db import connection
from django.utils.crypto import salted_hmac

from core import redis
from core.exceptions import TooManyRequests
from core.redis import RedisAway
from core.throttling import database_bucket, redis_bucket
from core.throttling.buckets import Bucket, Store
from core.throttling.handover import Handover

logger = logging.getLogger("faraja.security")
_handover = Handover()


class Throttled(TooManyRequests):
    """A rate limit is used up. `Retry-After` says in how many seconds the next request is admitted."""


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` requests at once, and then one more each time `per / burst` has passed (GCRA)."""

    name: str
    burst: int
    per: timedelta

    @property
    def interval(self) -> int:
        """Microseconds until one more request is admitted; rounded up, so never sooner than configured."""
        return -(-(self.per // timedelta(microseconds=1)) // self.burst)

    def halved(self) -> Limit:
        """Half the requests in the same time, and at least one."""
        return replace(self, burst=max(1, self.burst // 2))

    def bucket(self, ident: str) -> Bucket:
        """The bucket of `ident` (an e-mail address, a session, ...) under a key that does not give it away."""
        told = salted_hmac("core.throttling", f"{self.name}:{ident}", algorithm="sha256").hexdigest()[:32]
        return Bucket(key=f"{self.name}:{told}", interval=self.interval, burst=self.burst)


def find_limit(name: str) -> Limit:
    """The limit of that name in `settings.RATE_LIMITS`; an unknown name raises `KeyError`."""
    burst, per = settings.RATE_LIMITS[name]
    return Limit(name, burst, per)


class InsideTransaction(RuntimeError):
    """`spend` was called in a transaction: the refusal that follows would roll its count back."""


@dataclass(frozen=True, slots=True)
class Spent:
    """What one call of `spend` took, and from where."""

    store: Store
    buckets: tuple[Bucket, ...]

    def give_back(self) -> None:
        """Undo exactly this call, for a request that turned out not to count. What others spent stays spent."""
        try:
            self.store.give_back(self.buckets)
        except RedisAway:  # it stays counted: the stricter mistake
            logger.warning("rate limit could not be given back")
        else:
            _handover.note_given_back(self.buckets)


def spend(idents: Mapping[str, object]) -> Spent:
    """Count one request against each named limit, of all or of none, or raise `Throttled`.

    `idents` maps names in `settings.RATE_LIMITS` to who is counted there. Must not run inside a transaction.
    """
    # As `transaction.atomic(durable=True)` decides it; the transactions that Django's test cases open do not count.
    if connection.atomic_blocks and not getattr(connection.atomic_blocks[-1], "_from_testcase", False):
        raise InsideTransaction(", ".join(idents))
    limits = {find_limit(name): str(ident) for name, ident in idents.items()}
    spent, wait = _take(limits)
    if wait:
        logger.warning("throttled", extra={"limits": ",".join(idents)})
        raise Throttled(retry_after=math.ceil(wait / 1_000_000))
    return spent


def _take(limits: Mapping[Limit, str]) -> tuple[Spent, int]:
    buckets = tuple(limit.bucket(ident) for limit, ident in limits.items())
    if not redis.is_configured():
        return Spent(database_bucket, buckets), database_bucket.take(buckets).wait
    try:
        return _take_from(redis_bucket, buckets)
    except RedisAway:
        halved = tuple(limit.halved().bucket(ident) for limit, ident in limits.items())
        return _take_from(database_bucket, halved)


def _take_from(store: Store, buckets: tuple[Bucket, ...]) -> tuple[Spent, int]:
    if until_full := _handover.unknown_to(store, buckets):
        store.empty(until_full)
    taken = store.take(buckets)
    _handover.note(store, taken)
    return Spent(store, buckets), taken.wait
