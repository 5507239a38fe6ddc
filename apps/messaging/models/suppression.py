"""Addresses that get no mail any more, because it came back or was called spam. Of addresses, not of tenants: a sender
that goes on writing to them loses its name with every mailbox, for all of them.
"""

from __future__ import annotations

from django.db import models
from django.utils import timezone

from apps.common.models import BaseModel


class EmailSuppression(BaseModel):
    """One address, and why. Platform staff may lift it; a provider's next report sets it again."""

    class Reason(models.TextChoices):
        BOUNCE = "bounce", "Bounce"
        COMPLAINT = "complaint", "Complaint"

    address = models.CharField(max_length=254, unique=True, help_text="In lower case.")
    reason = models.CharField(max_length=20, choices=Reason.choices)
    provider = models.CharField(max_length=50)
    raw_status = models.CharField(max_length=50, help_text="The provider's own word.")
    detail = models.CharField(max_length=300, blank=True, help_text="The provider's reason.")
    reported_at = models.DateTimeField(default=timezone.now)
    lifted_at = models.DateTimeField(null=True, help_text="It gets mail again since then.")

    def __str__(self) -> str:
        return self.address
