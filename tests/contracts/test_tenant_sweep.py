"""Between tenants nothing is seen: every operation of the schema, asked by a stranger, and the sweep itself tested."""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.utils import timezone

from apps.accounts.authentication import SessionTokenAuthentication
from apps.payments.models.payments import Payment
from apps.payments.selectors import payments as payment_selectors
from apps.tenants.models import Membership
from apps.tenants.views import members as member_views
from core.database_roles import tenant_tables
from core.tenancy import TenantManager, TenantQuerySet, enter_tenant, find_current_tenant_id
from core.views import APIView
from tests.contracts.routes import all_routes
from tests.contracts.schema import operations
from tests.contracts.sweep import CHECKS, LEFT_OUT, right_request, swept
from tests.contracts.test_routes import NOT_ROWS, ROWS
from tests.contracts.world import APPEND_ONLY, NOBODYS, World, make_world, texts_without_canary, undone
from tests.figures import Figure

OPERATIONS = operations()


@pytest.fixture
def world(db: None, figure: Figure) -> Iterator[World]:
    # The clock stands still, or two answers would differ in when somebody was last seen.
    with time_machine.travel(timezone.now(), tick=False):
        made = make_world(ROWS)
        made.is_thorough = bool(figure(quick=0, full=1))
        yield made


def test_every_path_parameter_is_a_row_or_says_why_not():
    unknown = {
        f"{name} in {route}"
        for route in all_routes()
        for name in route.converters
        if name not in ROWS and name not in NOT_ROWS
    }

    assert unknown == set(), "Say in ROWS how such a row is made, or in NOT_ROWS why it is none"
    assert len([route for route in all_routes() if set(route.converters) & set(ROWS)]) >= 2


@pytest.mark.invariant("I56")
def test_every_operation_of_the_schema_is_swept_or_says_why_not(member, capsys, record_figure):
    """A new operation without a plan fails here, by name."""
    with capsys.disabled():
        sys.stdout.write(f"\n{len(OPERATIONS) - len(LEFT_OUT)} of {len(OPERATIONS)} operations swept. Left out:\n")
        sys.stdout.writelines(f"  {name}: {why}\n" for name, why in LEFT_OUT.items())

    assert set(LEFT_OUT) <= {str(operation) for operation in OPERATIONS}, "LEFT_OUT names operations that are gone"
    assert all(LEFT_OUT.values())
    for operation in OPERATIONS:
        with undone():
            assert right_request(operation, member).method == operation.method
    record_figure(f"{len(OPERATIONS) - len(LEFT_OUT)} of {len(OPERATIONS)} operations; left out: {', '.join(LEFT_OUT)}")


def test_their_tenant_has_a_row_of_every_model_and_a_canary_in_every_text(world):
    assert texts_without_canary(world) == []
    assert len(world.ids) >= 15
    assert set(NOBODYS) | APPEND_ONLY <= {model._meta.label for model in _models()}


def _models() -> list[Any]:
    from django.apps import apps

    return apps.get_models()


@pytest.mark.invariant("I56", "I57", "I60")
def test_a_stranger_sees_nothing_and_changes_nothing(world, record_figure):
    assert list(swept(OPERATIONS, world, CHECKS)) == []
    record_figure(f"{len(OPERATIONS) - len(LEFT_OUT)} operations, {len(CHECKS)} checks each, 0 leaks")


# --- Whether the sweep would notice ----------------------------------------------------------------------------------


@pytest.fixture
def first_wall_alone(db: None) -> None:
    """Take the second wall down for this test, within its transaction.

    Row-level security holds what a defect in the code lets through (which is what it is for), so the sweep would
    find nothing: what is asked here is whether it notices that the first wall has a hole. SQLite has only that one.
    """
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for table in tenant_tables():
                cursor.execute(f"ALTER TABLE {connection.ops.quote_name(table)} DISABLE ROW LEVEL SECURITY")


def without_the_filter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The manager of tenant models forgets its filter."""
    monkeypatch.setattr(TenantManager, "get_queryset", lambda self: TenantQuerySet(self.model, using=self._db))


def with_unscoped_in_a_selector(monkeypatch: pytest.MonkeyPatch) -> None:
    """A selector asks the manager that looks over the wall."""
    monkeypatch.setattr(payment_selectors, "Payment", SimpleNamespace(objects=Payment.unscoped))


def with_the_tenant_from_a_header(monkeypatch: pytest.MonkeyPatch) -> None:
    """The door believes whoever names a tenant."""
    original = SessionTokenAuthentication.authenticate

    def authenticate(self: Any, request: Any) -> Any:
        found = original(self, request)
        if found and (named := request.headers.get("X-Tenant-Id")):
            enter_tenant(uuid.UUID(named))
        return found

    monkeypatch.setattr(SessionTokenAuthentication, "authenticate", authenticate)


def with_members_of_everybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of a table that has no filtered manager forgets to ask for the tenant."""
    everybody = Membership.objects.select_related("user").order_by("-created_at", "-pk")
    monkeypatch.setattr(member_views, "list_members", everybody.all)


def with_the_tenant_from_the_query(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list asks the tenant that the query names."""
    initial = APIView.initial

    def named(self: Any, request: Any, *args: Any, **kwargs: Any) -> None:
        initial(self, request, *args, **kwargs)
        wanted = request.query_params.get("tenant_id", "")
        if len(wanted) == 36 and find_current_tenant_id() is not None:
            enter_tenant(uuid.UUID(wanted))

    monkeypatch.setattr(APIView, "initial", named)


# Each with an operation that has the hole, at which the sweep begins: it would come there in any case, only later.
MUTANTS = {
    without_the_filter: "payments_list",
    with_unscoped_in_a_selector: "payments_list",
    with_the_tenant_from_a_header: "payments_list",
    with_members_of_everybody: "members_list",
    with_the_tenant_from_the_query: "api_keys_list",
}


@pytest.mark.invariant("I64")
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_the_sweep_notices_a_hole_in_the_first_wall(first_wall_alone, world, monkeypatch, mutant, record_figure):
    reads = [operation for operation in OPERATIONS if operation.is_read]
    reads.sort(key=lambda operation: str(operation) != MUTANTS[mutant])
    mutant(monkeypatch)

    leaks = (fault for fault in swept(reads, world, CHECKS) if " shows " in fault or " tells " in fault)
    caught = next(leaks, None)

    assert caught is not None
    record_figure(f"{mutant.__name__}: caught ({caught})")


@pytest.mark.invariant("I56")
def test_without_a_mutant_the_first_wall_alone_has_no_hole(first_wall_alone, world):
    chosen = [operation for operation in OPERATIONS if operation.is_read or world.is_thorough]

    assert list(swept(chosen, world, CHECKS)) == []
