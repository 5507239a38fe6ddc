"""Questions about addresses that get no mail."""

from __future__ import annotations

from typing import Any

from apps.messaging.models.suppression import EmailSuppression
from core.personal_data import Subject


def is_suppressed(*, address: str) -> bool:
    """Whether mail to this address came back for good, or was called spam, and nobody has lifted that."""
    return EmailSuppression.objects.filter(address=address.strip().lower(), lifted_at=None).exists()


def export_suppressions(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Why a person's proven addresses get no mail."""
    rows = EmailSuppression.objects.filter(address__in=[each.lower() for each in subject.proven])
    columns = ("address", "reason", "reported_at", "lifted_at")
    return list(rows.order_by("-reported_at", "-pk").values(*columns)[:limit])
