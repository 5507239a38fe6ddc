"""What a store of buckets is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit for one ident. `interval` is in microseconds: how long it takes to earn one request."""

    key: str
    interval: int
    burst: int


class Store(Protocol):
    """Keeps for each bucket the time at which it is full again (GCRA's theoretical arrival time)."""

    def take(self, buckets: Sequence[Bucket]) -> int:
        """Take one request from every bucket and return 0, or from none and return the microseconds to wait."""

    def give_back(self, buckets: Sequence[Bucket]) -> None:
        """Put one request back into every bucket, never beyond full."""
