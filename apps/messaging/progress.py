"""The states of a message, and how it moves through them: only forward, whatever the order of the reports."""

from __future__ import annotations

from typing import Final

from django.db.models import TextChoices


class MessageStatus(TextChoices):
    """The first three and the last are ours; the others are the provider's words.

    `submitting` and `uncertain`: handed over but not confirmed. `suppressed`: not wanted by whom it was for. It is
    final: such a message is never handed over, so no report can come.
    """

    QUEUED = "queued"
    SUBMITTING = "submitting"
    UNCERTAIN = "uncertain"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"


class HistoryEvent(TextChoices):
    """What can happen to a message, as its tenant is told."""

    QUEUED = "queued"
    SUPPRESSED = "suppressed"
    TRIED = "tried"
    REPORTED = "reported"
    REPEATED = "repeated"


ORDER: Final = {
    MessageStatus.QUEUED: 0,
    MessageStatus.SUBMITTING: 1,
    MessageStatus.UNCERTAIN: 2,
    MessageStatus.SENT: 3,
    MessageStatus.EXPIRED: 4,
    MessageStatus.UNDELIVERABLE: 5,
    MessageStatus.FAILED: 6,
    MessageStatus.DELIVERED: 7,
    MessageStatus.SUPPRESSED: 8,
}


def further(now: str, news: str) -> str:
    """The status after `news`: the one that is further along. Delivered wins over every report."""
    return max(MessageStatus(now), MessageStatus(news), key=ORDER.__getitem__)
