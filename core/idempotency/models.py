"""The stored answers."""

from __future__ import annotations

from django.db import models


class IdempotencyKey(models.Model):
    """One request under one key. Written in the same transaction as the work it answers for.

    `status` 0: not answered yet. Then `resource` says what the rest of the work is about, and until `locked_until`
    somebody is at it.

    Not behind row-level security: the scope names tenant and person, and only the decorator reads it.
    """

    scope = models.CharField(max_length=80)
    key = models.CharField(max_length=255)
    fingerprint = models.CharField(max_length=64)
    status = models.PositiveSmallIntegerField(default=0)
    body = models.BinaryField(default=b"")
    resource = models.CharField(max_length=100, blank=True)
    locked_until = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return self.key
