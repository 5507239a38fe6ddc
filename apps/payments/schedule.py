"""When to ask the gateway again about an attempt that it has not answered for."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta

# After the first questions the wait grows with the attempt's age: (up to this age, wait this long).
_BY_AGE = (
    (timedelta(minutes=10), timedelta(minutes=1)),
    (timedelta(hours=1), timedelta(minutes=5)),
    (timedelta(hours=24), timedelta(minutes=30)),
    (timedelta(days=7), timedelta(hours=6)),
)
GIVE_UP_AFTER = _BY_AGE[-1][0]
JITTER = 0.2


def next_wait(*, polls: int, age: timedelta, first_waits: Sequence[float]) -> timedelta | None:
    """The wait before the next question, without jitter; None once a person has to look.

    `polls` questions were asked so far, the attempt is `age` old, and `first_waits` (seconds) are the first steps.
    """
    if polls < len(first_waits):
        return timedelta(seconds=first_waits[polls])
    return next((wait for limit, wait in _BY_AGE if age < limit), None)


def jittered(wait: timedelta) -> timedelta:
    """The wait, up to a fifth shorter or longer, so that many attempts do not ask at once."""
    return wait * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311  spreading load, not a secret
