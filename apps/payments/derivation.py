"""What a payment's status is: a pure function of what has been seen. No clock, no order, no database.

An attempt's status is the highest-ranking word ever said about it. A maximum does not care about order, repetition or
lateness, so callbacks before replies, twice, reversed or a day late all end in the same place, and money that moved is
never forgotten. A payment's status follows from its attempts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import TextChoices

from core.money import Money


class AttemptStatus(TextChoices):
    """One try at one gateway. `expired` is our own opinion; the gateway's later word outranks it."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    PENDING = "pending"
    EXPIRED = "expired"
    FAILED = "failed"
    SETTLED = "settled"


class PaymentStatus(TextChoices):
    """What the tenant and the customer are told."""

    CREATED = "created"
    PROCESSING = "processing"
    SETTLED = "settled"
    FAILED = "failed"
    EXPIRED = "expired"
    REVIEW = "review"


RANK: Final = {
    AttemptStatus.QUEUED: 0,
    AttemptStatus.SUBMITTING: 10,
    AttemptStatus.UNKNOWN: 20,
    AttemptStatus.PENDING: 30,
    AttemptStatus.EXPIRED: 40,
    AttemptStatus.FAILED: 50,
    AttemptStatus.SETTLED: 90,
}
IN_FLIGHT: Final = frozenset(
    {AttemptStatus.QUEUED, AttemptStatus.SUBMITTING, AttemptStatus.UNKNOWN, AttemptStatus.PENDING}
)
# The gateway itself has said how it ended; nothing more is worth asking.
ANSWERED: Final = frozenset({AttemptStatus.FAILED, AttemptStatus.SETTLED})

ALLOWED: Final = {
    PaymentStatus.CREATED: {PaymentStatus.PROCESSING, PaymentStatus.EXPIRED},
    PaymentStatus.PROCESSING: {
        PaymentStatus.SETTLED,
        PaymentStatus.FAILED,
        PaymentStatus.EXPIRED,
        PaymentStatus.REVIEW,
    },
    PaymentStatus.FAILED: {PaymentStatus.PROCESSING, PaymentStatus.SETTLED, PaymentStatus.REVIEW},
    # Late news only: a gateway that says "failed" after our own "expired" is more precise, and money always wins.
    PaymentStatus.EXPIRED: {PaymentStatus.SETTLED, PaymentStatus.REVIEW, PaymentStatus.FAILED},
    PaymentStatus.REVIEW: {PaymentStatus.SETTLED},
    PaymentStatus.SETTLED: set(),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation, as far as deciding goes. `money` None: the news named no amount."""

    status: AttemptStatus
    money: Money | None = None


@dataclass(frozen=True, slots=True)
class AttemptView:
    """An attempt as the derivation sees it."""

    status: AttemptStatus
    paid: frozenset[Money]  # every amount that was ever reported as paid
    is_amount_missing: bool = False  # a success that named no amount

    def is_good(self, asked: Money) -> bool:
        """Paid, and a report of exactly the asked amount is among the reports."""
        return self.status is AttemptStatus.SETTLED and asked in self.paid

    def is_odd(self, asked: Money) -> bool:
        """Paid, but never (yet) reported with the asked amount."""
        return self.status is AttemptStatus.SETTLED and asked not in self.paid


@dataclass(frozen=True, slots=True)
class Outcome:
    """A payment's status, and what a person should look at."""

    status: PaymentStatus
    anomalies: frozenset[str]


def derive_attempt(own_mark: AttemptStatus, observations: Iterable[Seen]) -> AttemptView:
    """The attempt's view from our own mark (queued or submitting) and everything that was observed."""
    seen = list(observations)
    status = max([own_mark, *(each.status for each in seen)], key=RANK.__getitem__)
    settled = [each for each in seen if each.status is AttemptStatus.SETTLED]
    return AttemptView(
        status,
        frozenset(each.money for each in settled if each.money is not None),
        is_amount_missing=any(each.money is None for each in settled),
    )


def derive_payment(asked: Money, attempts: Sequence[AttemptView]) -> Outcome:
    """The payment's status and anomalies from its attempts; the order of attempts does not matter."""
    good = [attempt for attempt in attempts if attempt.is_good(asked)]
    odd = [attempt for attempt in attempts if attempt.is_odd(asked)]
    anomalies = set()
    if len(good) + len(odd) > 1:
        anomalies.add("duplicate_capture")
    if odd:
        anomalies.add("amount_mismatch")
    if any(len(attempt.paid) > 1 for attempt in attempts):
        anomalies.add("conflicting_amounts")
    return Outcome(_status(attempts, is_good=bool(good), is_odd=bool(odd)), frozenset(anomalies))


def _status(attempts: Sequence[AttemptView], *, is_good: bool, is_odd: bool) -> PaymentStatus:
    if is_good:
        return PaymentStatus.SETTLED
    if is_odd:
        return PaymentStatus.REVIEW
    if any(attempt.status in IN_FLIGHT for attempt in attempts):
        return PaymentStatus.PROCESSING
    if any(attempt.status is AttemptStatus.EXPIRED for attempt in attempts):
        return PaymentStatus.EXPIRED
    return PaymentStatus.FAILED if attempts else PaymentStatus.CREATED
