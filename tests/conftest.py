"""What every test may use. The database and Redis are those of DATABASE_URL and REDIS_URL (`make test` starts them)."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from hypothesis import settings as hypothesis_settings
from rest_framework.test import APIClient

from core.append_only import removal_allowed
from core.tenancy import outside_tenants, tenant_scope
from tests import templates
from tests.chromium import NO_BROWSER, find_chromium
from tests.e2e.kits import kit, postgresql_kit, sqlite_kit  # noqa: F401  fixtures of e2e/ and chaos/, one kit for both
from tests.factories.accounts import Member, make_member
from tests.limits import PATIENT, redis_may_take

pytest_plugins = ["tests.figures", "tests.schedule", "tests.wire_spy"]

# A computer that is busy with other tests is slow, not wrong. Every run draws other examples, so few at a time will do.
hypothesis_settings.register_profile("suite", deadline=None, max_examples=40)
hypothesis_settings.register_profile("full figures", deadline=None)


def pytest_configure(config: pytest.Config) -> None:
    hypothesis_settings.load_profile("full figures" if config.getoption("full_figures") else "suite")
    config.pluginmanager.register(templates)  # the kits have imported it: too late for a name in `pytest_plugins`


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    _leave_out_postgresql(config, items)
    _skip_without_browser(items)


def _leave_out_postgresql(config: pytest.Config, items: list[pytest.Item]) -> None:
    """On SQLite, tests that need PostgreSQL are left out, and the run says so by name and number."""
    from django.conf import settings

    if settings.DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql":
        return
    kept = [item for item in items if item.get_closest_marker("postgresql") is None]
    left_out = len(items) - len(kept)
    if left_out:
        config.stash[_LEFT_OUT] = left_out
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


_LEFT_OUT = pytest.StashKey[int]()


def _skip_without_browser(items: list[pytest.Item]) -> None:
    """Without Chromium its tests are skipped, and the run names them. `.ci/run` installs it."""
    in_a_browser = [item for item in items if item.get_closest_marker("browser") is not None]
    if in_a_browser and find_chromium() is None:
        for item in in_a_browser:
            item.add_marker(pytest.mark.skip(reason=NO_BROWSER))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    # From the reports, which reach this process however many others ran the tests.
    skipped = [report for report in terminalreporter.stats.get("skipped", []) if NO_BROWSER in str(report.longrepr)]
    if skipped:
        terminalreporter.write_line(f"{NO_BROWSER} The {len(skipped)} tests are:")
        for nodeid in sorted(report.nodeid for report in skipped):
            terminalreporter.write_line(f"  {nodeid}")
    if left_out := config.stash.get(_LEFT_OUT, 0):
        terminalreporter.write_line(f"{left_out} tests need PostgreSQL and were left out: this run is on SQLite.")


def pytest_collection_finish() -> None:
    """Thousands of collected tests and the whole of Django live until the end: no collector need walk over them again.

    And it need not come as often as in a process that has to stay small.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings: None) -> None:
    """Begin with a copy of the run's migrated database, where there is one; Django then finds nothing to migrate."""
    if connection.vendor == "postgresql":
        connection.settings_dict["TEST"]["TEMPLATE"] = templates.postgresql_template()


@pytest.fixture(scope="session", autouse=True)
def _a_slow_redis_is_not_away() -> Iterator[None]:
    """A busy computer may not decide which store counts; tests of a Redis that is away say so."""
    with redis_may_take(PATIENT):
        yield


@pytest.fixture(autouse=True)
def _no_tenant_is_left_behind() -> Iterator[None]:
    """A scope that a test (or the code under it) forgot to close would open a room for the next one."""
    with outside_tenants():
        yield


@pytest.fixture(autouse=True)
def _append_only_tables_can_be_emptied(request: pytest.FixtureRequest) -> Iterator[None]:
    """SQLite is emptied by DELETE after a test with transactions of its own, which the guards would refuse."""
    marker = request.node.get_closest_marker("django_db")
    is_transactional = "transactional_db" in request.fixturenames or (marker and marker.kwargs.get("transaction"))
    if not is_transactional or connection.vendor != "sqlite":
        yield
        return
    request.getfixturevalue("transactional_db")
    yield
    append_only = ("payments_observation", "payments_paymentevent", "payments_ledgerline", "messaging_templateversion")
    for table in ("audit_auditentry", *append_only):
        with removal_allowed(table), connection.cursor() as cursor:
            cursor.execute(f"DELETE FROM {table}")  # noqa: S608  a table of ours


@pytest.fixture
def member(db: None) -> Member:
    """A registered person in their own tenant."""
    return make_member()


@pytest.fixture
def stranger(db: None) -> Member:
    """A person of another tenant."""
    return make_member()


@pytest.fixture
def in_tenant(member: Member) -> Iterator[Member]:
    """`member`, with their tenant's room open, as inside a request of theirs."""
    with tenant_scope(member.tenant_id):
        if connection.vendor == "postgresql":
            # Inside the test's own transaction, so that plain queries of the test pass the second wall.
            with connection.cursor() as cursor:
                cursor.execute("SELECT set_config('app.tenant_id', %s, true)", [str(member.tenant_id)])
        yield member


@pytest.fixture
def client() -> APIClient:
    """Nobody in particular."""
    return APIClient()


@pytest.fixture
def member_client(member: Member) -> APIClient:
    """`member`, signed in with a bearer token."""
    return member.client()
