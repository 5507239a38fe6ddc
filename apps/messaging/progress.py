"""How a message's status moves: only forward, whatever the order of the reports."""

from __future__ import annotations

from typing import Final

from apps.messaging.models import Message

Status = Message.Status

ORDER: Final = {
    Status.QUEUED: 0,
    Status.SUBMITTING: 1,
    Status.UNCERTAIN: 2,
    Status.SENT: 3,
    Status.EXPIRED: 4,
    Status.UNDELIVERABLE: 5,
    Status.FAILED: 6,
    Status.DELIVERED: 7,
}


def further(now: str, news: str) -> str:
    """The status after `news`: the one that is further along. Delivered wins over everything."""
    return max(Status(now), Status(news), key=ORDER.__getitem__)
