"""What gateways told us, as it arrived."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from apps.payments.models.accounts import OWN_ACCOUNT


class InboxDelivery(models.Model):
    """One callback, stored before it was acknowledged. The same news again only raises `seen`.

    Not behind row-level security: whose it is becomes known when it is processed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gateway = models.CharField(max_length=50)
    account_id = models.UUIDField(default=OWN_ACCOUNT, help_text="The tenant's; zero for the installation's own.")
    tenant_id = models.UUIDField(null=True, help_text="Of the account.")
    event_key = models.CharField(max_length=64)
    body = models.BinaryField()
    headers = models.JSONField(default=dict)
    trust = models.CharField(max_length=10, help_text="How far it is believed: as it was verified when it came.")
    received_at = models.DateTimeField(default=timezone.now)
    seen = models.PositiveIntegerField(default=1)
    processed_at = models.DateTimeField(null=True)
    tries = models.PositiveSmallIntegerField(default=0, help_text="How often processing it failed.")
    error = models.CharField(max_length=300, blank=True, help_text="Why it failed the last time.")
    parked_at = models.DateTimeField(null=True, help_text="Given up after many tries; an operator may replay it.")
    outcome = models.CharField(max_length=50, blank=True)
    subject_id = models.UUIDField(null=True, help_text="The attempt, refund or payout that it was about.")

    class Meta:
        verbose_name_plural = "inbox deliveries"
        constraints = [models.UniqueConstraint(fields=["gateway", "account_id", "event_key"], name="inbox_once")]
        indexes = [
            models.Index(fields=["-received_at"], name="inbox_newest"),
            models.Index(fields=["subject_id"], condition=models.Q(subject_id__isnull=False), name="inbox_of_subject"),
            models.Index(fields=["parked_at"], condition=models.Q(parked_at__isnull=False), name="inbox_parked"),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.received_at:%Y-%m-%d %H:%M:%S}"
