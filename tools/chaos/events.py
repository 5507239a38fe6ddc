"""Who hears what in a chaos run: as in production, but nobody sends receipts. Those have tests of their own."""

from __future__ import annotations

from config.events import SUBSCRIBERS as IN_PRODUCTION


def note_settled(**_: object) -> None:
    """That a payment has settled; the oracle counts how often it was said."""


SUBSCRIBERS = {**IN_PRODUCTION, "payment.settled": [note_settled]}
