from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.sms.stage import Stage, staged


@pytest.fixture(scope="session")
def stage() -> Iterator[Stage]:
    """One running process of simulators for all tests of SMS."""
    with staged() as running:
        yield running
