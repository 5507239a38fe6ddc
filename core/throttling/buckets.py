"""What a store of buckets is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Bucket:
    """One limit for one ident. `interval` is in microseconds: how long it takes to earn one request."""

    key: str
    interval: int
    burst: int


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of `Store.take`. Both are in microseconds.

    `wait`: 0 when one request was taken from every bucket, else the time until that is possible; nothing was taken.
    `until_full`: how long each bucket now needs to be full again, as far as the store has looked.
    """

    wait: int
    until_full: Mapping[Bucket, int]


class Store(Protocol):
    """Keeps for each bucket the time at which it is full again (GCRA's theoretical arrival time)."""

    def take(self, buckets: Sequence[Bucket]) -> Taken:
        """Take one request from every bucket, or from none."""

    def give_back(self, buckets: Sequence[Bucket]) -> None:
        """Put one request back into every bucket, never beyond full."""

    def empty(self, until_full: Mapping[Bucket, int]) -> None:
        """Leave no more in each bucket than one has that is full again in so many microseconds."""
