"""What this process knows of buckets when Redis goes away and comes back, so that a limit is not counted afresh.

Redis and the database do not know of each other's counts. A process remembers what each bucket's store said last; the
first time it asks the other store, it tells it how many requests are used already.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace

from core.throttling.buckets import Bucket, Store, Taken

MAX_KNOWN = 10_000  # buckets; a process that meets more forgets those that are full soonest


@dataclass(frozen=True, slots=True)
class _Known:
    """`full_at` is by this process's steady clock, in microseconds; `interval` as the store counted."""

    store: Store
    full_at: int
    interval: int


class Handover:
    """Safe to share between threads."""

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def unknown_to(self, store: Store, buckets: Iterable[Bucket]) -> dict[Bucket, int]:
        """Which buckets another store has counted since, and how long each needs to be full again, in microseconds.

        In requests it is what the other store counted; each costs the bucket's own interval.
        """
        now, found = _now(), {}
        with self._lock:
            for bucket in buckets:
                known = self._known.get(bucket.key)
                if known is not None and known.store is not store and known.full_at > now:
                    used = (known.full_at - now) / known.interval
                    found[bucket] = int(min(used, bucket.burst) * bucket.interval)
        return found

    def note(self, store: Store, taken: Taken) -> None:
        """Remember what `store` has just said."""
        now = _now()
        with self._lock:
            for bucket, until_full in taken.until_full.items():
                self._known[bucket.key] = _Known(store, now + until_full, bucket.interval)
            if len(self._known) > MAX_KNOWN:
                self._shrink(now)

    def note_given_back(self, buckets: Iterable[Bucket]) -> None:
        """One request of each bucket does not count any more."""
        with self._lock:
            for bucket in buckets:
                if known := self._known.get(bucket.key):
                    self._known[bucket.key] = replace(known, full_at=known.full_at - known.interval)

    def _shrink(self, now: int) -> None:
        latest = sorted(self._known.items(), key=lambda item: item[1].full_at, reverse=True)[: MAX_KNOWN // 2]
        self._known = {key: known for key, known in latest if known.full_at > now}


def _now() -> int:
    return time.monotonic_ns() // 1000
