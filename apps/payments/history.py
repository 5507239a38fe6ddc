"""The hash chain of a payment's or payout's history: a line that was changed or removed afterwards is noticed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from apps.payments.models.payments import PaymentEvent


def hash_of(event: PaymentEvent) -> str:
    """sha256 over the previous hash and this line's content."""
    told = [
        event.previous_hash,
        str(event.payment_id or event.payout_id),
        event.seq,
        event.kind,
        event.from_status,
        event.to_status,
        event.cause,
        event.actor,
        event.at.isoformat(),
        event.data,
    ]
    return hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()


def is_intact(events: Iterable[PaymentEvent]) -> bool:
    """Whether these events (all of one payment or payout, by `seq`) are gapless, unchanged and in their order."""
    previous = ""
    for expected, event in enumerate(events, start=1):
        if event.seq != expected or event.previous_hash != previous or event.hash != hash_of(event):
            return False
        previous = event.hash
    return True
