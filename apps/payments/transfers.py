"""What a refund's or payout's status is: a pure function of what has been seen, as `derivation` is for payments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import TextChoices

from core.money import Money


class TransferStatus(TextChoices):
    """Money on its way out."""

    QUEUED = "queued"
    SUBMITTING = "submitting"
    UNKNOWN = "unknown"
    MANUAL = "manual"  # a person sends it: the gateway cannot
    PENDING = "pending"
    FAILED = "failed"
    SUCCEEDED = "succeeded"
    RETURNED = "returned"  # it had gone out, and came back


class ShownStatus(TextChoices):
    """What clients are told: how far we are with sending it is nobody else's business."""

    PROCESSING = "processing"
    MANUAL = "manual"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETURNED = "returned"


SHOWN: Final = {
    TransferStatus.QUEUED: ShownStatus.PROCESSING,
    TransferStatus.SUBMITTING: ShownStatus.PROCESSING,
    TransferStatus.UNKNOWN: ShownStatus.PROCESSING,
    TransferStatus.PENDING: ShownStatus.PROCESSING,
    TransferStatus.MANUAL: ShownStatus.MANUAL,
    TransferStatus.SUCCEEDED: ShownStatus.SUCCEEDED,
    TransferStatus.FAILED: ShownStatus.FAILED,
    TransferStatus.RETURNED: ShownStatus.RETURNED,
}
RANK: Final = {
    TransferStatus.QUEUED: 0,
    TransferStatus.SUBMITTING: 10,
    TransferStatus.UNKNOWN: 20,
    TransferStatus.MANUAL: 25,
    TransferStatus.PENDING: 30,
    TransferStatus.FAILED: 50,
    TransferStatus.SUCCEEDED: 60,
    TransferStatus.RETURNED: 90,
}
ENDED: Final = frozenset({TransferStatus.FAILED, TransferStatus.SUCCEEDED, TransferStatus.RETURNED})
# The money is not with the recipient, and never will be by this transfer.
RELEASED: Final = frozenset({TransferStatus.FAILED, TransferStatus.RETURNED})


# It had gone out, wherever it is now.
SENT: Final = frozenset({TransferStatus.SUCCEEDED, TransferStatus.RETURNED})


def hidden_behind(shown: str) -> list[TransferStatus]:
    """The statuses of which clients are told `shown`."""
    return [status for status, told in SHOWN.items() if told == shown]


@dataclass(frozen=True, slots=True)
class Heard:
    """One observation, as far as deciding goes. `money` None: the news named no amount."""

    status: TransferStatus
    money: Money | None = None


@dataclass(frozen=True, slots=True)
class TransferOutcome:
    """A transfer's status, and what a person should look at."""

    status: TransferStatus
    anomalies: frozenset[str]


def derive_transfer(own_mark: TransferStatus, heard: Iterable[Heard], *, asked: Money) -> TransferOutcome:
    """The highest-ranking word ever said. A maximum does not care about order, repetition or lateness.

    Anomalies: `success_and_failure` (it is with the recipient, whatever else was said) and `amount_mismatch` (another
    amount than `asked` is said to have gone out).
    """
    seen = list(heard)
    words = {own_mark, *(each.status for each in seen)}
    anomalies = set()
    if {TransferStatus.SUCCEEDED, TransferStatus.FAILED} <= words:
        anomalies.add("success_and_failure")
    if any(each.status in SENT and each.money not in {None, asked} for each in seen):
        anomalies.add("amount_mismatch")
    return TransferOutcome(max(words, key=RANK.__getitem__), frozenset(anomalies))
