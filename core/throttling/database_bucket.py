"""Buckets in the database: one statement per bucket, in a transaction of their own.

Two requests for one bucket meet at its row: the second one's condition is judged on what the first one wrote.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from django.db import connection, transaction

from core.throttling.buckets import Bucket, Taken
from core.throttling.models import RateBucket

Told = dict[str, str | int]
_TABLE = RateBucket._meta.db_table
# PostgreSQL's clock is one for all web servers. SQLite is one computer: there Python's is as good.
_NOW = {"postgresql": "(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)::bigint"}
# The proposed row is a bucket taken from once. Its time less one interval is now, so `bucket.full_at + interval <=
# now + burst * interval` needs no second look at the clock.
_TAKE = """
INSERT INTO {table} AS bucket (key, full_at) VALUES (%(key)s, {now} + %(interval)s)
ON CONFLICT (key) DO UPDATE SET full_at =
    CASE WHEN bucket.full_at + %(interval)s > excluded.full_at THEN bucket.full_at + %(interval)s
    ELSE excluded.full_at END
WHERE bucket.full_at + %(interval)s <= excluded.full_at + %(rest)s
RETURNING full_at - {now}
"""
_LOOK = "SELECT full_at - {now} FROM {table} WHERE key = %(key)s"
_EMPTY = """
INSERT INTO {table} AS bucket (key, full_at) VALUES (%(key)s, {now} + %(until_full)s)
ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at WHERE bucket.full_at < excluded.full_at
"""


def take(buckets: Sequence[Bucket]) -> Taken:
    """See `Store`. Durable: no refusal that follows can roll it back."""
    waits, until_full = {}, {}
    with transaction.atomic(durable=True):
        for bucket in _in_order(buckets):
            waits[bucket], until_full[bucket] = _take(bucket)
        wait = max(waits.values())
        if wait:
            transaction.set_rollback(True)
            until_full = {each: until_full[each] - (0 if waits[each] else each.interval) for each in buckets}
    return Taken(wait, until_full)


def _in_order(buckets: Iterable[Bucket]) -> list[Bucket]:
    """Everybody locks rows in one order, or two requests deadlock."""
    return sorted(buckets, key=lambda each: each.key)


def _take(bucket: Bucket) -> tuple[int, int]:
    """The wait, and how long the bucket needs to be full again."""
    rest = (bucket.burst - 1) * bucket.interval
    told: Told = {"key": bucket.key, "interval": bucket.interval, "rest": rest}
    with connection.cursor() as cursor:
        cursor.execute(_statement(_TAKE, told), told)
        if row := cursor.fetchone():
            return 0, row[0]
        cursor.execute(_statement(_LOOK, told), told)
        row = cursor.fetchone()
    until_full = row[0] if row else 0
    # Refused, and it has been purged or has filled up in this very moment: the next attempt is admitted.
    return max(1, until_full - rest), until_full


def empty(until_full: Mapping[Bucket, int]) -> None:
    """See `Store`."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        for bucket in _in_order(until_full):
            told: Told = {"key": bucket.key, "until_full": until_full[bucket]}
            cursor.execute(_statement(_EMPTY, told), told)


def _statement(template: str, told: Told) -> str:
    now = _NOW.get(connection.vendor)
    if now is None:
        told["now"] = time.time_ns() // 1000
    return template.format(table=_TABLE, now=now or "%(now)s")


def give_back(buckets: Sequence[Bucket]) -> None:
    """See `Store`. A time in the past means full, so it needs no floor."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        for bucket in _in_order(buckets):
            told: Told = {"key": bucket.key, "interval": bucket.interval}
            cursor.execute(
                f"UPDATE {_TABLE} SET full_at = full_at - %(interval)s WHERE key = %(key)s",  # noqa: S608  a constant
                told,
            )
