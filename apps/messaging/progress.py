"""The states of a message, and how it moves through them: only forward, whatever the order of the reports."""

from __future__ import annotations

from typing import Final

from django.db.models import TextChoices


class MessageStatus(TextChoices):
    """`submitting` and `uncertain` are ours: handed over but not confirmed. The rest are the provider's words."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    UNCERTAIN = "uncertain"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"


ORDER: Final = {
    MessageStatus.QUEUED: 0,
    MessageStatus.SUBMITTING: 1,
    MessageStatus.UNCERTAIN: 2,
    MessageStatus.SENT: 3,
    MessageStatus.EXPIRED: 4,
    MessageStatus.UNDELIVERABLE: 5,
    MessageStatus.FAILED: 6,
    MessageStatus.DELIVERED: 7,
}


def further(now: str, news: str) -> str:
    """The status after `news`: the one that is further along. Delivered wins over everything."""
    return max(MessageStatus(now), MessageStatus(news), key=ORDER.__getitem__)
