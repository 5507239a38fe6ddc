"""A pytest plugin: in which order the tests run, and which files stay together when several workers share them."""

from __future__ import annotations

from collections import Counter

import pytest
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

# One worker starts the kits of `tests.e2e.kits` for all of these.
ON_SHARED_KITS = (
    "tests/chaos/test_killed_web.py",
    "tests/chaos/test_lost_redis.py",
    "tests/e2e/test_journey.py",
    "tests/e2e/test_refresh_race.py",
    "tests/contracts/test_quickstart.py",
)
# Whole processes mostly wait: begun first, the rest fits into the time that they leave. The other long ones follow,
# because one that is begun last leaves the other workers idle.
FIRST = (
    "tests/chaos/test_killed_workers.py",  # on kits of its own: it takes as long as all the others
    *ON_SHARED_KITS,
    "tests/browser/test_sessions.py",
    "tests/e2e/test_make_run.py",
    "tests/contracts/test_tenant_sweep.py",
    "tests/contracts/test_routes.py",
    "tests/core/test_hostile_input.py",
    "tests/core/test_throttling.py",
    "tests/tools/test_services.py",
)


def file_of(nodeid: str) -> str:
    return nodeid.split("::", 1)[0]


def pytest_configure(config: pytest.Config) -> None:
    if missing := [file for file in FIRST if not (config.rootpath / file).exists()]:
        raise pytest.UsageError(f"tests/schedule.py names files that are not there: {', '.join(missing)}")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    times = Counter(item.nodeid for item in items)
    if twice := sorted(nodeid for nodeid, number in times.items() if number > 1):
        # xdist would run one of them, and nobody would miss the others.
        raise pytest.UsageError(f"several tests have the same id: {', '.join(twice)}")
    places = {file: place for place, file in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(file_of(item.nodeid), len(FIRST)))


class Scheduling(LoadFileScheduling):  # type: ignore[misc]
    """Whoever has nothing to do takes the next file."""

    def _split_scope(self, nodeid: str) -> str:
        file = file_of(nodeid)
        return "files on shared kits" if file in ON_SHARED_KITS else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Scheduling:
    config.option.loadscopereorder = False  # else by their number of tests, the whole processes last
    return Scheduling(config, log)
