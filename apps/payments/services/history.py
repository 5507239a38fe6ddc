"""The lines of a payment's or payout's history, each chained to the one before."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from apps.payments.history import hash_of
from apps.payments.models.payments import Payment, PaymentEvent
from apps.payments.models.transfers import Payout


def append_event(
    subject: Payment | Payout,
    *,
    kind: str,
    before: str,
    cause: str,
    actor: str,
    at: datetime,
    data: dict[str, Any],
) -> None:
    """Write the line for the present version of `subject`, which the caller holds locked and has just saved."""
    named = {"payment": subject} if isinstance(subject, Payment) else {"payout": subject}
    lines = PaymentEvent.objects.filter(**named).order_by("-seq").values_list("hash", flat=True)
    previous = lines.first() if subject.version > 1 else None
    event = PaymentEvent(
        **named,
        seq=subject.version,
        kind=kind,
        from_status=before,
        to_status=subject.status,
        cause=cause[:100],
        actor=actor,
        at=at,
        data=data,
        previous_hash=previous or "",
    )
    event.hash = hash_of(event)
    event.save()
