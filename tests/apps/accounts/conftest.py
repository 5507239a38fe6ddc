"""What tests of accounts share."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
import time_machine


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    """The clock, at the beginning of a step of 30 seconds, so that no code grows old while a test looks at it."""
    with time_machine.travel(datetime(2026, 11, 20, 9, 0, 1, tzinfo=UTC)) as traveller:
        yield traveller
