"""Buckets in the database: for an installation without Redis, and for the time when Redis is away."""

from __future__ import annotations

from django.db import models


class RateBucket(models.Model):
    """How much of one limit one person (or address, or session) has used.

    `full_at` is GCRA's theoretical arrival time: when the bucket is full again, in microseconds since 1970. A row whose
    time has passed means the same as no row. `key` is a keyed hash: neither e-mail nor address stands here.
    """

    key = models.CharField(max_length=100, primary_key=True)
    full_at = models.BigIntegerField(db_index=True)

    def __str__(self) -> str:
        return self.key
