"""Buckets in the database: one statement per bucket, in a transaction of their own.

Two requests for one bucket meet at its row: the second one's condition is judged on what the first one wrote.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from django.db import connection, transaction

from core.throttling.buckets import Bucket
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
"""
_WAIT = "SELECT full_at - %(rest)s - {now} FROM {table} WHERE key = %(key)s"


def take(buckets: Sequence[Bucket]) -> int:
    """See `Store`. Durable: no refusal that follows can roll it back."""
    wait = 0
    with transaction.atomic(durable=True):
        for bucket in sorted(buckets, key=lambda each: each.key):  # in one order, or two requests deadlock
            wait = max(wait, _take(bucket))
        if wait:
            transaction.set_rollback(True)
    return wait


def _take(bucket: Bucket) -> int:
    told: Told = {"key": bucket.key, "interval": bucket.interval, "rest": (bucket.burst - 1) * bucket.interval}
    with connection.cursor() as cursor:
        cursor.execute(_statement(_TAKE, told), told)
        if cursor.rowcount == 1:
            return 0
        cursor.execute(_statement(_WAIT, told), told)
        row = cursor.fetchone()
    # Refused, and it has been purged or has filled up in this very moment: the next attempt is admitted.
    return max(1, row[0] if row else 1)


def _statement(template: str, told: Told) -> str:
    now = _NOW.get(connection.vendor)
    if now is None:
        told["now"] = time.time_ns() // 1000
    return template.format(table=_TABLE, now=now or "%(now)s")


def give_back(buckets: Sequence[Bucket]) -> None:
    """See `Store`. A time in the past means full, so it needs no floor."""
    with transaction.atomic(durable=True), connection.cursor() as cursor:
        for bucket in sorted(buckets, key=lambda each: each.key):
            told: Told = {"key": bucket.key, "interval": bucket.interval}
            cursor.execute(
                f"UPDATE {_TABLE} SET full_at = full_at - %(interval)s WHERE key = %(key)s",  # noqa: S608  a constant
                told,
            )
