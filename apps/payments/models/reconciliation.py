"""Where our books and a gateway's differ: found, stored, explained."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.payments.models.accounts import OWN_ACCOUNT


class ReconciliationRun(models.Model):
    """One comparison of one account's charges of one day. Not behind row-level security: for operators."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gateway = models.CharField(max_length=50)
    account_id = models.UUIDField(default=OWN_ACCOUNT, help_text="The tenant's; zero for the installation's own.")
    tenant_id = models.UUIDField(null=True, help_text="Of the account.")
    day = models.DateField()
    started_at = models.DateTimeField(default=timezone.now)
    finished_at = models.DateTimeField(null=True)
    compared = models.PositiveIntegerField(default=0)
    breaks = models.PositiveIntegerField(default=0, help_text="New ones.")
    error = models.CharField(max_length=300, blank=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["gateway", "account_id", "day"], name="reconciled_once_a_day")]
        indexes = [models.Index(fields=["-started_at"], name="reconciliation_newest")]

    def __str__(self) -> str:
        return f"{self.gateway} {self.day}"


class ReconciliationBreak(models.Model):
    """One difference. It stays until somebody, or later news, explains it.

    Not behind row-level security: some belong to nobody we know.
    """

    class Kind(models.TextChoices):
        MISSING_HERE = "missing_here"  # the gateway lists a charge that we do not know
        MISSING_THERE = "missing_there"  # we say it is paid, the gateway does not list it
        AMOUNT = "amount"
        STATUS = "status"
        DUPLICATE_CAPTURE = "duplicate_capture"
        ORPHAN_EVENT = "orphan_event"
        REFUND = "refund"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=20, choices=Kind.choices)
    gateway = models.CharField(max_length=50)
    account_id = models.UUIDField(default=OWN_ACCOUNT, help_text="The tenant's; zero for the installation's own.")
    tenant_id = models.UUIDField(null=True, help_text="Whose payment it is about, where that is known.")
    reference = models.CharField(max_length=100)
    payment_id = models.UUIDField(null=True)
    ours = models.JSONField(default=dict)
    theirs = models.JSONField(default=dict)
    opened_at = models.DateTimeField(default=timezone.now)
    resolved_at = models.DateTimeField(null=True)
    resolution = models.CharField(max_length=300, blank=True)
    resolved_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+")

    class Meta:
        permissions = [("export_reconciliationbreak", "Can export reconciliation breaks")]
        constraints = [
            models.UniqueConstraint(
                fields=["gateway", "account_id", "kind", "reference"],
                condition=models.Q(resolved_at__isnull=True),
                name="break_open_once",
            )
        ]
        indexes = [models.Index(fields=["-opened_at"], name="break_newest")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.gateway} {self.reference}"
