"""What a refund's or payout's status is: a pure function of what has been seen, as `derivation` is for payments."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django.db.models import TextChoices


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


@dataclass(frozen=True, slots=True)
class TransferOutcome:
    """A transfer's status, and what a person should look at."""

    status: TransferStatus
    anomalies: frozenset[str]


def derive_transfer(own_mark: TransferStatus, seen: Iterable[TransferStatus]) -> TransferOutcome:
    """The highest-ranking word ever said. A maximum does not care about order, repetition or lateness."""
    words = {own_mark, *seen}
    anomalies = {"success_and_failure"} if {TransferStatus.SUCCEEDED, TransferStatus.FAILED} <= words else set()
    return TransferOutcome(max(words, key=RANK.__getitem__), frozenset(anomalies))
