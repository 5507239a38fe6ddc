"""Deleting what is too old to matter, without one statement that holds a table for long."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

BATCH = 1000


def delete_in_batches(rows: QuerySet[Any]) -> int:
    """Delete `rows` a thousand at a time; returns how many. A row that stops matching meanwhile stays."""
    removed = 0
    while batch := list(rows.values_list("pk", flat=True)[:BATCH]):
        removed += rows.filter(pk__in=batch).delete()[0]
    return removed
