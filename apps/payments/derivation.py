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
    """One try at one gateway. `expired` and `cancelled` may be our own opinion; the gateway's word outranks it.

    `claimed`: news of a payment that nobody can confirm (`Trust.TOKEN`); a person's word outranks it either way.
    """

    QUEUED = "queued"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    CLAIMED = "claimed"
    FAILED = "failed"
    SETTLED = "settled"


class PaymentStatus(TextChoices):
    """What the tenant and the customer are told."""

    CREATED = "created"
    PROCESSING = "processing"
    REQUIRES_ACTION = "requires_action"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REVIEW = "review"


class FailureCode(TextChoices):
    """Why a payment ended without money, in words that never change."""

    DECLINED = "declined"  # by the customer or their provider
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    GATEWAY_REFUSED = "gateway_refused"  # it never reached the customer
    REJECTED = "rejected"  # a person of ours said that it does not count


class ReviewDecision(TextChoices):
    """What a person decided about money that is not the amount asked for."""

    ACCEPTED = "accepted"
    REJECTED = "rejected"


RANK: Final = {
    AttemptStatus.QUEUED: 0,
    AttemptStatus.SUBMITTING: 10,
    AttemptStatus.UNKNOWN: 20,
    AttemptStatus.PENDING: 30,
    AttemptStatus.REQUIRES_ACTION: 35,
    AttemptStatus.EXPIRED: 40,
    AttemptStatus.CANCELLED: 45,
    AttemptStatus.CLAIMED: 48,
    AttemptStatus.FAILED: 50,
    AttemptStatus.SETTLED: 90,
}
IN_FLIGHT: Final = frozenset(
    {
        AttemptStatus.QUEUED,
        AttemptStatus.SUBMITTING,
        AttemptStatus.UNKNOWN,
        AttemptStatus.PENDING,
        AttemptStatus.REQUIRES_ACTION,
    }
)
# How a charge can end at the gateway.
ENDS: Final = frozenset({AttemptStatus.EXPIRED, AttemptStatus.CANCELLED, AttemptStatus.FAILED, AttemptStatus.SETTLED})

_ANY_END = {
    PaymentStatus.SETTLED,
    PaymentStatus.FAILED,
    PaymentStatus.CANCELLED,
    PaymentStatus.EXPIRED,
    PaymentStatus.REVIEW,
}
ALLOWED: Final = {
    PaymentStatus.CREATED: {PaymentStatus.PROCESSING, PaymentStatus.CANCELLED, PaymentStatus.EXPIRED},
    PaymentStatus.PROCESSING: {PaymentStatus.REQUIRES_ACTION, *_ANY_END},
    PaymentStatus.REQUIRES_ACTION: {PaymentStatus.PROCESSING, *_ANY_END},
    # A new attempt, or late news: a gateway's word is more precise than our "expired", and money always wins.
    PaymentStatus.FAILED: {
        PaymentStatus.PROCESSING,
        PaymentStatus.CANCELLED,
        PaymentStatus.SETTLED,
        PaymentStatus.REVIEW,
    },
    PaymentStatus.EXPIRED: {PaymentStatus.PROCESSING, *_ANY_END} - {PaymentStatus.EXPIRED},
    PaymentStatus.CANCELLED: {PaymentStatus.FAILED, PaymentStatus.SETTLED, PaymentStatus.REVIEW},
    # A claim that turns out to be none leaves whatever the other attempts say.
    PaymentStatus.REVIEW: {PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION, *_ANY_END} - {PaymentStatus.REVIEW},
    PaymentStatus.SETTLED: set(),
}


@dataclass(frozen=True, slots=True)
class Seen:
    """One observation, as far as deciding goes. `money` None: the news named no amount.

    `is_own`: our opinion, not the gateway's word and not a person's. `is_by_hand`: a person's word.
    """

    status: AttemptStatus
    money: Money | None = None
    is_own: bool = False
    is_by_hand: bool = False


@dataclass(frozen=True, slots=True)
class AttemptView:
    """An attempt as the derivation sees it."""

    status: AttemptStatus
    paid: frozenset[Money]  # every amount that was ever reported as paid
    is_amount_missing: bool = False  # a success that named no amount
    is_answered: bool = False  # the gateway has said how it ended: nothing more is worth asking
    is_refused: bool = False  # the gateway would not even take it
    is_disowned: bool = False  # a person said that there was no such payment
    number: int = 1

    def is_good(self, asked: Money) -> bool:
        """Paid, and a report of exactly the asked amount is among the reports."""
        return self.status is AttemptStatus.SETTLED and asked in self.paid

    def is_odd(self, asked: Money) -> bool:
        """Paid, but never (yet) reported with the asked amount."""
        return self.status is AttemptStatus.SETTLED and asked not in self.paid

    def worth(self, asked: Money) -> Money | None:
        """What came in, as far as anybody said: the asked amount if any report names it, else the smallest report.

        Reports in the asked currency count before others. None: nothing came in, or nobody said how much.
        """
        if self.status is not AttemptStatus.SETTLED or not self.paid:
            return None
        if asked in self.paid:
            return asked
        return min(self.paid, key=lambda money: (money.currency != asked.currency, money.currency, money.amount))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A payment's status, why it failed if it did, and what a person should look at."""

    status: PaymentStatus
    anomalies: frozenset[str]
    failure: FailureCode | None = None


def derive_attempt(
    own_mark: AttemptStatus, observations: Iterable[Seen], *, number: int = 1, is_refused: bool = False
) -> AttemptView:
    """The attempt's view from our own mark (queued or submitting) and everything that was observed."""
    seen = list(observations)
    status = max([own_mark, *(each.status for each in seen)], key=RANK.__getitem__)
    settled = [each for each in seen if each.status is AttemptStatus.SETTLED]
    return AttemptView(
        status,
        frozenset(each.money for each in settled if each.money is not None),
        is_amount_missing=any(each.money is None for each in settled),
        is_answered=any(each.status in ENDS and not each.is_own for each in seen),
        is_refused=is_refused,
        is_disowned=any(each.status is AttemptStatus.FAILED and each.is_by_hand for each in seen),
        number=number,
    )


def derive_payment(
    asked: Money, attempts: Sequence[AttemptView], *, is_cancel_asked: bool = False, decision: str = ""
) -> Outcome:
    """The payment's status and anomalies from its attempts, whose order does not matter.

    `is_cancel_asked`: the merchant wants no more of it; `decision`: a person's `ReviewDecision`, or nothing yet.
    """
    good = [attempt for attempt in attempts if attempt.is_good(asked)]
    odd = [attempt for attempt in attempts if attempt.is_odd(asked)]
    claimed = [attempt for attempt in attempts if attempt.status is AttemptStatus.CLAIMED]
    anomalies = set()
    if len(good) + len(odd) > 1:
        anomalies.add("duplicate_capture")
    if odd:
        anomalies.add("amount_mismatch")
    if claimed:
        anomalies.add("unconfirmed_payment")
    if any(len(attempt.paid) > 1 for attempt in attempts):
        anomalies.add("conflicting_amounts")
    if good or (odd and decision == ReviewDecision.ACCEPTED):
        status = PaymentStatus.SETTLED
    elif claimed or (odd and decision != ReviewDecision.REJECTED):
        status = PaymentStatus.REVIEW
    else:
        status = _unpaid_status(attempts, is_cancel_asked=is_cancel_asked, is_rejected=bool(odd))
    failure = _failure(status, attempts, is_rejected=bool(odd))
    return Outcome(status, frozenset(anomalies), failure)


def can_try_again(status: PaymentStatus) -> bool:
    """Whether a new attempt would make sense: nothing is in flight, nothing was paid, and nobody called it off."""
    return status in {PaymentStatus.FAILED, PaymentStatus.EXPIRED}


def _failure(status: PaymentStatus, attempts: Sequence[AttemptView], *, is_rejected: bool) -> FailureCode | None:
    if status is PaymentStatus.EXPIRED:
        return FailureCode.EXPIRED
    if status is PaymentStatus.CANCELLED:
        return FailureCode.CANCELLED
    if status is not PaymentStatus.FAILED:
        return None
    last = max(attempts, key=lambda attempt: attempt.number)
    if is_rejected or last.is_disowned:
        return FailureCode.REJECTED
    return FailureCode.GATEWAY_REFUSED if last.is_refused else FailureCode.DECLINED


def _unpaid_status(attempts: Sequence[AttemptView], *, is_cancel_asked: bool, is_rejected: bool) -> PaymentStatus:
    in_flight = [attempt for attempt in attempts if attempt.status in IN_FLIGHT]
    if in_flight:
        waits = all(attempt.status is AttemptStatus.REQUIRES_ACTION for attempt in in_flight)
        return PaymentStatus.REQUIRES_ACTION if waits else PaymentStatus.PROCESSING
    if is_rejected:
        return PaymentStatus.FAILED
    if is_cancel_asked:
        return PaymentStatus.CANCELLED
    if not attempts:
        return PaymentStatus.CREATED
    ended = {AttemptStatus.CANCELLED: PaymentStatus.CANCELLED, AttemptStatus.EXPIRED: PaymentStatus.EXPIRED}
    last = max(attempts, key=lambda attempt: attempt.number)
    return ended.get(last.status, PaymentStatus.FAILED)
