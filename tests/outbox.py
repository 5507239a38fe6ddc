"""What the worker does, done by a test."""

from __future__ import annotations

from core.outbox import relay


def work_off_outbox() -> None:
    """Deliver whatever is due, and what that leads to, as the relay does. Failures are the event's, not the test's."""
    while claimed := relay.claim():
        for row_id, token in claimed:
            relay.deliver(row_id, token)
