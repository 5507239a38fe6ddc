"""One at a time, for things that have no row to lock yet."""

from __future__ import annotations

from django.db import connection


def lock_name(name: str) -> None:
    """Hold `name` until the transaction ends; whoever else asks for it waits. Call inside a transaction.

    SQLite needs nothing: its transactions begin IMMEDIATE, so there is one writer at a time anyway.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
