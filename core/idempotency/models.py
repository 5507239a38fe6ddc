"""The stored answers."""

from __future__ import annotations

from django.db import models


class IdempotencyKey(models.Model):
    """One finished request under one key. Written in the same transaction as the work it answers for.

    Not behind row-level security: the scope names tenant and person, and only the decorator reads it.
    """

    scope = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    body = models.BinaryField(default=b"")
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key
