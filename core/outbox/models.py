"""The safe: what has to happen, written in the same transaction as the reason for it."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone


class OutboxEvent(models.Model):
    """One event on its way to one subscriber. Retries, order and death are per row: a bad subscriber delays nobody.

    Not behind row-level security: the relay reads it before it knows whose room to enter.
    """

    event_id = models.UUIDField(default=uuid.uuid4)
    name = models.CharField(max_length=100)
    subscriber = models.CharField(max_length=200, help_text="Dotted path of the function that hears the event.")
    tenant_id = models.UUIDField(null=True)
    aggregate = models.CharField(
        max_length=100, blank=True, help_text="Events of one aggregate reach a subscriber in order. Empty: no order."
    )
    payload = models.JSONField()
    created_at = models.DateTimeField(default=timezone.now)
    next_at = models.DateTimeField(default=timezone.now)
    lease_until = models.DateTimeField(null=True)
    lease_token = models.UUIDField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    done_at = models.DateTimeField(null=True)
    dead_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["event_id", "subscriber"], name="outbox_once_per_subscriber")]
        indexes = [
            models.Index(fields=["next_at", "id"], condition=models.Q(done_at=None, dead_at=None), name="outbox_due"),
            models.Index(
                fields=["aggregate", "subscriber", "id"],
                condition=models.Q(done_at=None, dead_at=None) & ~models.Q(aggregate=""),
                name="outbox_order",
            ),
            models.Index(fields=["done_at"], name="outbox_done"),
        ]

    def __str__(self) -> str:
        return f"{self.name} -> {self.subscriber.rpartition('.')[2]}"
