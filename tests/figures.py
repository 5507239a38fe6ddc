"""A pytest plugin: tests say which invariant they prove, how much of it, and what they measured.

`--full-figures` (which `make invariants` gives) makes every `figure` the full one, and prints the table of
`tests/invariants.py` at the end. What a test measured travels in its report, so it arrives from xdist's workers too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

from tests.invariants import INVARIANTS, Ledger

Figure = Callable[..., int]
RecordFigure = Callable[[str], None]
_NAMES, _FIGURE = "invariants", "figure"


class Table:
    """Hears every test's report (from xdist's workers too) and prints what they prove."""

    def __init__(self, *, is_whole: bool) -> None:
        self.ledger, self.is_whole = Ledger(), is_whole

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            names = (name for key, value in report.user_properties if key == _NAMES for name in str(value).split())
            figures = (str(value) for key, value in report.user_properties if key == _FIGURE)
            self.ledger.add(report.nodeid, report.outcome, names, figures)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.is_whole and self.ledger.unproven():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        terminalreporter.section("invariants")
        for line in self.ledger.lines(chosen_only=not self.is_whole):
            terminalreporter.write_line(line)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full-figures", action="store_true", help="prove the invariants with their full figures")


def pytest_configure(config: pytest.Config) -> None:
    is_worker = hasattr(config, "workerinput")
    if config.getoption("--full-figures") and not is_worker:
        # Whoever chooses a few tests by name is not told that the others are missing.
        config.pluginmanager.register(Table(is_whole=not config.getoption("keyword")), "invariants")


def names_of(marks: Iterable[pytest.Mark]) -> list[str]:
    """The invariants that a test's marks name; one that is not in the table is a usage error."""
    names: list[str] = []
    for mark in marks:
        unknown = [name for name in mark.args if name not in INVARIANTS]
        if unknown or not mark.args:
            raise pytest.UsageError(f"tests/invariants.py knows no invariant {unknown or 'without a name'}")
        names += mark.args
    return names


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if names := names_of(item.iter_markers("invariant")):
            item.user_properties.append((_NAMES, " ".join(names)))
            item.extra_keyword_matches.update(names)  # so that `-k I39` chooses them


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """`figure(quick=20, full=200)`: how much of something to do, the full amount in `make invariants`."""
    is_full = request.config.getoption("--full-figures")

    def choose(*, quick: int, full: int) -> int:
        return full if is_full else quick

    return choose


@pytest.fixture
def record_figure(request: pytest.FixtureRequest) -> RecordFigure:
    """`record_figure("200 rounds, 0 exceptions")`: what was measured, for the table."""

    def record(told: str) -> None:
        request.node.user_properties.append((_FIGURE, told))

    return record
