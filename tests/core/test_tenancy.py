"""Two walls between tenants: managers that refuse to work outside a room, and row-level security on PostgreSQL."""

from __future__ import annotations

import ast
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import ProgrammingError, connection, connections, models, transaction
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from apps.payments.models.payments import Attempt, Payment
from core.tenancy import (
    TenantContextMissing,
    TenantModel,
    current_tenant_id,
    find_current_tenant_id,
    joined_transaction,
    tenant_scope,
    tenant_transaction,
)
from tests.core import planted
from tests.factories.accounts import Member, make_member
from tests.factories.payments import make_payment

ROOT = Path(__file__).resolve().parents[2]
TENANT_MODELS = [model for model in apps.get_models() if issubclass(model, TenantModel)]

# Tables that name a tenant without being behind the walls, and why.
OUTSIDE_THE_WALLS = {
    "accounts.AuthSession": "read to find out which tenant a request belongs to",
    "tenants.Membership": "read to find out which tenant a request belongs to",
    "tenants.ApiKey": "read to find out which tenant a request belongs to",
    "tenants.Invitation": "whoever accepts it is in another tenant, or in none",
    "payments.GatewayReference": "a gateway's callback arrives without a tenant; this says whose it is",
    "payments.InboxDelivery": "a gateway's callback arrives without a tenant; this says whose account it came to",
    "payments.ReconciliationRun": "for operators, who compare every account",
    "payments.ReconciliationBreak": "for operators; some belong to nobody we know",
    "messaging.MessageReference": "a provider's report arrives without a tenant; this says whose it is",
    "audit.AuditEntry": "most lines belong to no tenant; the API reads them through one filtered selector",
    "outbox.OutboxEvent": "the relay reads it before it knows whose room to enter",
}
# Modules that may look over the first wall, and those that ask one of them for the rows of every tenant.
MAY_SAY_UNSCOPED = {"core/tenancy.py"}
MAY_LOOK_EVERYWHERE = {
    "core/admin.py",
    "apps/payments/selectors/figures.py",  # the dashboard of the platform's staff
    "apps/payments/selectors/search.py",
    "apps/messaging/selectors/figures.py",
    "apps/messaging/selectors/search.py",
    "apps/messaging/selectors/stories.py",  # the same of messages
    "apps/payments/selectors/stories.py",  # what happened to one payment, on their page of it
}
# Modules that open a room. Everything else is in one, or asks for one by `tenant_scope`.
MAY_ENTER = {"core/outbox/relay.py", "apps/accounts/authentication.py", "apps/tenants/authentication.py"}
MAY_OPEN_A_SCOPE = {
    "apps/payments/services/callbacks.py",
    "apps/payments/services/books.py",  # the books of every tenant, one after the other
    "apps/messaging/services/reports.py",
    "apps/messaging/services/email_reports.py",
    "apps/accounts/services/codes.py",  # somebody signs in: the text is kept in the tenant that they joined first
    # What is kept about a person, in one after the other of their tenants.
    "apps/messaging/selectors/messages.py",
    "apps/messaging/selectors/notifications.py",  # a person's own, from every tenant of theirs
    "apps/messaging/services/notifications.py",  # the purge goes from room to room
    "apps/messaging/services/deletion.py",
    "apps/payments/selectors/personal.py",
    # A callback's address and a row outside the walls name their tenant; housekeeping goes from room to room.
    "apps/payments/services/accounts.py",
    "apps/payments/services/reconciliation.py",
    "core/admin.py",
    "apps/messaging/admin/limits.py",  # staff say what a tenant's texts may cost
    "core/compiled.py",  # with a placeholder in the tenant's place, to make SQL
}


@pytest.fixture
def theirs(stranger: Member) -> Payment:
    """A payment of another tenant."""
    return make_payment(stranger)


def scope_of_connection() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT COALESCE(current_setting('app.tenant_id', true), '')")
        return str(cursor.fetchone()[0])


def set_scope(tenant_id: uuid.UUID | str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant_id)])


def count_rows(table: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {connection.ops.quote_name(table)}")  # noqa: S608  a table of ours
        return int(cursor.fetchone()[0])


# --- The first wall --------------------------------------------------------------------------------------------------


def test_there_are_tenant_models_to_speak_of():
    assert {model._meta.label for model in TENANT_MODELS} >= {"payments.Payment", "messaging.Message"}


@pytest.mark.parametrize("model", TENANT_MODELS, ids=lambda model: model._meta.label)
@pytest.mark.invariant("I58")
def test_a_manager_refuses_to_work_outside_a_room(model):
    for ask in (
        lambda: model.objects.count(),
        lambda: list(model.objects.all()),
        lambda: model.objects.filter(pk=uuid.uuid4()).exists(),
        lambda: model._default_manager.first(),
        lambda: model._base_manager.first(),
        lambda: model.objects.update(),
        lambda: model().save(),
        lambda: model.objects.bulk_create([model()]),
    ):
        with pytest.raises(TenantContextMissing):
            ask()


def test_outside_a_room_there_is_no_current_tenant():
    assert find_current_tenant_id() is None
    with pytest.raises(TenantContextMissing):
        current_tenant_id()


def test_inside_a_room_only_its_rows_are_seen(in_tenant, theirs):
    mine = make_payment(in_tenant)

    assert [payment.pk for payment in Payment.objects.all()] == [mine.pk]
    assert not Payment.objects.filter(pk=theirs.pk).exists()
    assert Attempt.objects.get().payment_id == mine.pk


def test_a_new_row_belongs_to_the_room(in_tenant):
    row = make_payment(in_tenant)
    attempt = Attempt(payment=row, number=7, gateway="x", reference="r")

    attempt.save()
    (bulk,) = Attempt.objects.bulk_create([Attempt(payment=row, number=8, gateway="x", reference="s")])

    assert attempt.tenant_id == bulk.tenant_id == in_tenant.tenant_id


def test_a_row_of_another_tenant_cannot_be_written(in_tenant, stranger, theirs):
    mine = make_payment(in_tenant)
    mine.tenant_id = stranger.tenant_id

    for write in (
        theirs.save,
        mine.save,
        Attempt(payment=mine, number=9, gateway="x", reference="t", tenant_id=stranger.tenant_id).save,
        lambda: Attempt.objects.bulk_create([Attempt(payment=mine, number=9, tenant_id=stranger.tenant_id)]),
    ):
        with pytest.raises(TenantContextMissing):
            write()
    assert Payment.objects.filter(pk=theirs.pk).update(description="x") == 0


def test_related_rows_and_refreshes_keep_to_the_room(in_tenant, theirs):
    mine = make_payment(in_tenant)

    assert mine.attempts.count() == 1
    mine.refresh_from_db()
    with pytest.raises(Payment.DoesNotExist):
        theirs.refresh_from_db()
    with pytest.raises(Payment.DoesNotExist):
        _ = Attempt(payment_id=theirs.pk).payment


def test_a_scope_ends_with_its_block_whatever_happens_in_it():
    outer, inner = uuid.uuid4(), uuid.uuid4()

    with tenant_scope(outer):
        with pytest.raises(ZeroDivisionError), tenant_scope(inner):
            raise ZeroDivisionError
        assert current_tenant_id() == outer
    assert find_current_tenant_id() is None


def test_a_thread_starts_outside_every_room():
    found: list[Any] = []

    with tenant_scope(uuid.uuid4()):
        thread = threading.Thread(target=lambda: found.append(find_current_tenant_id()))
        thread.start()
        thread.join()

    assert found == [None]


# --- The room of a request -------------------------------------------------------------------------------------------


@pytest.mark.urls("tests.core.planted")
@pytest.mark.parametrize("what", ["well", "not-found", "drf-validation", "operational", "defect"])
@pytest.mark.invariant("I59")
def test_a_room_is_left_when_the_request_ends_however_it_ends(member, what):
    planted.seen.clear()
    client = member.client()
    client.raise_request_exception = False

    client.get(f"/scope/{what}/")

    assert planted.seen == [member.tenant_id]
    assert find_current_tenant_id() is None


@pytest.mark.invariant("I59")
def test_requests_of_two_tenants_on_one_thread_never_mix(member, stranger):
    rows = {each.tenant_id: str(make_payment(each).pk) for each in (member, stranger)}
    clients = {each.tenant_id: each.client() for each in (member, stranger)}
    nobody = APIClient(raise_request_exception=False)

    for number in range(40):
        tenant_id = list(rows)[number % 2]
        data = clients[tenant_id].get("/api/v1/payments/").json()["data"]
        assert [row["id"] for row in data["results"]] == [rows[tenant_id]]
        assert nobody.get("/api/v1/payments/").status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"HTTP_X_TENANT_ID": "{}"},
        {"HTTP_X_TENANT": "{}"},
        {"HTTP_TENANT": "{}"},
        {"HTTP_COOKIE": "tenant={}; tenant_id={}"},
        {"HTTP_HOST": "localhost", "HTTP_X_FORWARDED_HOST": "{}.example.org"},
    ],
    ids=str,
)
@pytest.mark.invariant("I60")
def test_no_header_chooses_the_tenant(stranger, theirs, member, headers):
    told = {name: value.format(stranger.tenant_id, stranger.tenant_id) for name, value in headers.items()}

    data = member.client().get("/api/v1/payments/", **told).json()["data"]

    assert data["results"] == []


@pytest.mark.invariant("I60")
def test_neither_query_nor_body_chooses_the_tenant(stranger, theirs, member_client):
    for name in ("tenant", "tenant_id"):
        listed = member_client.get("/api/v1/payments/", {name: str(stranger.tenant_id)})
        assert listed.status_code == 400
        started = member_client.post(
            "/api/v1/payments/", {name: str(stranger.tenant_id)}, format="json", HTTP_IDEMPOTENCY_KEY=name
        )
        assert started.status_code == 400


# --- The second wall -------------------------------------------------------------------------------------------------


@pytest.fixture
def two_rooms(db: None) -> tuple[Member, Member]:
    """Two tenants with a payment each."""
    first, second = make_member(), make_member()
    make_payment(first)
    make_payment(second)
    return first, second


@pytest.mark.postgresql
@pytest.mark.invariant("I62")
def test_the_role_of_the_application_cannot_pass_the_wall(db):
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False, False)


@pytest.mark.postgresql
@pytest.mark.parametrize("model", TENANT_MODELS, ids=lambda model: model._meta.label)
@pytest.mark.invariant("I62")
def test_every_table_of_a_tenant_model_is_behind_the_wall(db, model):
    """A new tenant model without `row_level_security` in a migration fails here, by name."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relrowsecurity, relforcerowsecurity FROM pg_class WHERE oid = %s::regclass", [model._meta.db_table]
        )
        assert cursor.fetchone() == (True, True), "not enabled and forced"
        cursor.execute(
            "SELECT cmd, permissive, qual, with_check FROM pg_policies WHERE tablename = %s", [model._meta.db_table]
        )
        ((command, permissive, reads, writes),) = cursor.fetchall()

    assert (command, permissive) == ("ALL", "PERMISSIVE")
    for condition in (reads, writes):
        assert "tenant_id = " in condition
        assert "current_setting('app.tenant_id'" in condition
        assert "NULLIF" in condition


@pytest.mark.postgresql
@pytest.mark.invariant("I58")
def test_raw_sql_sees_nothing_without_a_tenant_and_its_own_rows_with_one(two_rooms):
    first, second = two_rooms

    set_scope("")
    assert (count_rows("payments_payment"), count_rows("payments_attempt")) == (0, 0)

    for member in (first, second):
        set_scope(member.tenant_id)
        assert (count_rows("payments_payment"), count_rows("payments_attempt")) == (1, 1)
        with connection.cursor() as cursor:
            cursor.execute("SELECT DISTINCT tenant_id FROM payments_payment")
            assert cursor.fetchall() == [(member.tenant_id,)]

    set_scope(uuid.uuid4())
    assert count_rows("payments_payment") == 0


@pytest.mark.postgresql
@pytest.mark.invariant("I63")
def test_raw_sql_cannot_write_into_another_room(two_rooms):
    first, second = two_rooms
    set_scope(first.tenant_id)

    with connection.cursor() as cursor:
        cursor.execute("UPDATE payments_payment SET description = 'x' WHERE tenant_id = %s", [second.tenant_id])
        assert cursor.rowcount == 0
        cursor.execute("DELETE FROM payments_attempt WHERE tenant_id = %s", [second.tenant_id])
        assert cursor.rowcount == 0
    for sql in (
        "UPDATE payments_payment SET tenant_id = %s",
        'INSERT INTO messaging_message (id, tenant_id, channel, "to", subject, text, key, status, provider,'
        " provider_reference, raw_status, error, tries, created_at, updated_at)"
        " VALUES (gen_random_uuid(), %s, 'sms', 'x', '', '', 'k', 'queued', '', '', '', '', 0, now(), now())",
    ):
        with (
            pytest.raises(ProgrammingError, match="row-level security"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute(sql, [second.tenant_id])


@pytest.mark.postgresql
def test_a_forgotten_filter_still_shows_nobody_elses_rows(two_rooms):
    """The second wall alone: `unscoped` is the first wall taken away."""
    first, _second = two_rooms

    with tenant_scope(first.tenant_id), tenant_transaction():
        assert [payment.tenant_id for payment in Payment.unscoped.all()] == [first.tenant_id]


@pytest.mark.postgresql
def test_an_inner_transaction_of_another_tenant_gives_the_setting_back(two_rooms):
    first, second = two_rooms

    with tenant_scope(first.tenant_id), tenant_transaction():
        with tenant_scope(second.tenant_id), tenant_transaction():
            assert scope_of_connection() == str(second.tenant_id)
            assert Payment.objects.count() == 1
        assert scope_of_connection() == str(first.tenant_id)
        with pytest.raises(ZeroDivisionError), tenant_scope(second.tenant_id), tenant_transaction():
            raise ZeroDivisionError
        assert scope_of_connection() == str(first.tenant_id)
        assert Payment.objects.count() == 1


@pytest.mark.postgresql
def test_a_transaction_within_one_of_the_same_tenant_tells_the_database_nothing_new(two_rooms):
    first, second = two_rooms

    with tenant_scope(first.tenant_id), tenant_transaction():
        with CaptureQueriesContext(connection) as asked, tenant_transaction():
            pass
        with CaptureQueriesContext(connection) as joined, joined_transaction():
            pass
        with tenant_scope(second.tenant_id), joined_transaction():
            assert scope_of_connection() == str(second.tenant_id)
        with pytest.raises(ZeroDivisionError), tenant_scope(second.tenant_id), tenant_transaction():
            raise ZeroDivisionError
        with tenant_transaction():
            assert scope_of_connection() == str(first.tenant_id)
        with transaction.atomic(), tenant_scope(second.tenant_id), joined_transaction():
            assert Payment.objects.count() == 1

    assert not [each["sql"] for each in asked if "set_config" in each["sql"]]
    assert not joined.captured_queries


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_what_was_told_in_one_transaction_is_told_again_in_the_next():
    member = make_member()
    make_payment(member)

    for _ in range(2):
        with transaction.atomic(), tenant_scope(member.tenant_id), joined_transaction():
            assert Payment.objects.count() == 1
        with tenant_scope(member.tenant_id), joined_transaction():
            assert Payment.objects.count() == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.invariant("I59")
def test_the_setting_is_gone_after_commit_and_after_rollback():
    member = make_member()
    make_payment(member)

    with tenant_scope(member.tenant_id):
        with tenant_transaction():
            assert scope_of_connection() == str(member.tenant_id)
            assert Payment.objects.count() == 1
        assert scope_of_connection() == ""
        assert Payment.objects.count() == 0, "no transaction of the tenant's: the second wall shows nothing"
        with pytest.raises(ZeroDivisionError), tenant_transaction():
            raise ZeroDivisionError
        assert scope_of_connection() == ""


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.invariant("I59")
def test_a_request_leaves_no_setting_on_its_connection():
    member = make_member()
    client = member.client()
    client.raise_request_exception = False

    for path in ("/api/v1/payments/", f"/api/v1/payments/{uuid.uuid4()}/", "/api/v1/payments/?page_size=x"):
        client.get(path)
        assert scope_of_connection() == ""
        assert count_rows("payments_payment") == 0


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_four_threads_of_four_tenants_see_only_their_own():
    members = [make_member() for _ in range(4)]
    rows = {member.tenant_id: str(make_payment(member).pk) for member in members}
    barrier, wrong = threading.Barrier(4), []

    def work(member: Member) -> None:
        try:
            barrier.wait(timeout=60)
            for _ in range(15):
                shown = [row["id"] for row in member.client().get("/api/v1/payments/").json()["data"]["results"]]
                if shown != [rows[member.tenant_id]]:
                    wrong.append((member.tenant_id, shown))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=work, args=(member,)) for member in members]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert wrong == []


# --- What the code may say -------------------------------------------------------------------------------------------


def modules_that_say(*names: str) -> set[str]:
    """Files of ours in which one of `names` is used, as a name, an attribute or an import."""
    found = set()
    for folder in ("apps", "core", "services", "config", "tools"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                said = {getattr(node, "id", None), getattr(node, "attr", None)}
                if isinstance(node, ast.ImportFrom):
                    said |= {alias.name for alias in node.names}
                if said & set(names):
                    found.add(path.relative_to(ROOT).as_posix())
    return found


def test_only_the_admin_looks_over_the_first_wall():
    assert modules_that_say("unscoped") == MAY_SAY_UNSCOPED
    assert modules_that_say("rows_of_every_tenant") == MAY_LOOK_EVERYWHERE


def test_only_the_door_and_the_relay_open_rooms():
    assert modules_that_say("enter_tenant") == MAY_ENTER
    assert modules_that_say("tenant_scope") == MAY_OPEN_A_SCOPE
    assert [path.name for path in (ROOT / "core").rglob("*.py") if "set_config(" in path.read_text()] == ["tenancy.py"]
    assert not [path for path in (ROOT / "apps").rglob("*.py") if "app.tenant_id" in path.read_text()]


@pytest.mark.invariant("I62")
def test_every_table_that_names_a_tenant_is_behind_the_walls_or_says_why_not():
    naming = {
        model._meta.label
        for model in apps.get_models()
        if any(field.attname == "tenant_id" for field in model._meta.concrete_fields)
    }

    assert naming == {model._meta.label for model in TENANT_MODELS} | set(OUTSIDE_THE_WALLS)


@pytest.mark.parametrize("model", TENANT_MODELS, ids=lambda model: model._meta.label)
@pytest.mark.invariant("I63")
def test_what_is_unique_is_unique_within_the_tenant(model):
    """A constraint over all tenants would answer "exists" about another tenant's row."""
    for constraint in model._meta.constraints:
        if isinstance(constraint, models.UniqueConstraint):
            assert constraint.fields[0] == "tenant", constraint.name
