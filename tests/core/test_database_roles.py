"""The second wall with the real roles: I58, I62, I63. Made by the command, used by logging in as them."""

from __future__ import annotations

import io
import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import IntegrityError, OperationalError, ProgrammingError, connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from apps.payments.models.payments import Attempt, Observation, Payment, PaymentEvent
from apps.payments.services.attempts import record_charge, submit_attempt
from core.checks import check_walls
from core.database_roles import log_walls, missing_roles, tenant_tables, wall_faults
from core.money import Money
from core.tenancy import TenantModel, tenant_scope, tenant_transaction
from services.payments.base import ChargeResult, ChargeStatus
from tests.factories.accounts import make_member
from tests.factories.payments import make_payment, only_attempt
from tests.fakes import ScriptedGateway, scripted_gateway

APP, SYSTEM = "faraja_test_app", "faraja_test_system"
PAID = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=Money(500_000, "TZS"))

postgresql = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]


@contextmanager
def logged_in(name: str, password: str = "") -> Iterator[BaseDatabaseWrapper]:
    """The default connection as another role. Back to the usual one at the end."""
    usual = {key: connection.settings_dict[key] for key in ("USER", "PASSWORD")}
    connection.close()
    connection.settings_dict |= {"USER": name, "PASSWORD": password}
    try:
        yield connection
    finally:
        connection.close()
        connection.settings_dict |= usual


def command(**options: str) -> str:
    told = io.StringIO()
    call_command("database_roles", app_role=APP, system_role=SYSTEM, stdout=told, **options)
    return told.getvalue()


@pytest.fixture
def superuser(transactional_db: None) -> Iterator[str]:
    """The name of a superuser of the server that the tests run on; what they made for roles is gone afterwards."""
    name = "postgres"
    try:
        with logged_in(name), connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except OperationalError as error:
        pytest.skip(f"roles are made by a superuser, and {name} cannot log in: {error}")
    yield name
    with logged_in(name), connection.cursor() as cursor:
        for role in (APP, SYSTEM):
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role])
            if cursor.fetchone():
                cursor.execute(f"DROP OWNED BY {role}")
                cursor.execute(f"DROP ROLE {role}")


@pytest.fixture
def roles(superuser: str) -> str:
    with logged_in(superuser):
        return command(app_password="app-password", system_password="system-password")


def counted(sql: str) -> int:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return int(cursor.fetchone()[0])


class TestOnPostgresql:
    pytestmark = postgresql

    def test_the_command_says_what_it_made_and_never_repeats_a_given_password(self, superuser):
        with logged_in(superuser):
            told = command(app_password="app-password", system_password="system-password")

        assert APP in told
        assert SYSTEM in told
        assert "password" not in told.lower()

    def test_generated_passwords_are_shown_once(self, superuser):
        with logged_in(superuser):
            first, second = command(), command()

        assert first.count("Password, shown this once: ") == 2
        assert "Password" not in second

    def test_the_command_repairs_a_role_that_has_grown_too_strong(self, superuser, roles):
        with logged_in(superuser):
            with connection.cursor() as cursor:
                cursor.execute(f"ALTER ROLE {APP} SUPERUSER BYPASSRLS CREATEDB CREATEROLE")
                cursor.execute(f"GRANT faraja TO {APP}")
                cursor.execute(f"GRANT TRUNCATE ON ALL TABLES IN SCHEMA public TO {APP}")
            command()

        with logged_in(APP), connection.cursor() as cursor:
            cursor.execute(
                "SELECT rolcanlogin, rolsuper, rolbypassrls, rolcreatedb, rolcreaterole FROM pg_roles"
                " WHERE rolname = current_user"
            )
            assert cursor.fetchone() == (True, False, False, False, False)
            cursor.execute("SELECT pg_has_role(current_user, 'faraja', 'MEMBER')")
            assert cursor.fetchone() == (False,)
            with pytest.raises(ProgrammingError, match="permission denied"):
                cursor.execute("TRUNCATE payments_payment CASCADE")

    def test_a_role_that_owns_tables_is_refused(self, superuser, roles):
        with logged_in(superuser), connection.cursor() as cursor:
            cursor.execute("CREATE TABLE planted (id int)")
            cursor.execute(f"ALTER TABLE planted OWNER TO {APP}")
            try:
                with pytest.raises(CommandError, match="owns tables"):
                    command()
            finally:
                cursor.execute("DROP TABLE planted")

    def test_an_ordinary_role_cannot_run_the_command_and_is_told_so(self, transactional_db):
        with pytest.raises(CommandError, match="superuser"):
            command()

        assert missing_roles(connection, [APP, SYSTEM]) == {APP, SYSTEM}

    @pytest.mark.invariant("I58")
    def test_without_a_setting_the_application_sees_no_row_of_any_tenant_table(self, roles, record_figure):
        make_payment(make_member())

        with logged_in(APP):
            seen = {table: counted(f"SELECT count(*) FROM {table}") for table in tenant_tables()}  # noqa: S608

        assert len(seen) >= 6
        assert set(seen.values()) == {0}
        with logged_in(SYSTEM):
            assert counted("SELECT count(*) FROM payments_payment") == 1
        record_figure(f"{len(seen)} tenant tables: 0 rows")

    def test_the_application_sees_and_writes_rows_of_the_tenant_in_scope_only(self, roles):
        mine, theirs = make_member(), make_member()
        make_payment(mine)
        foreign = make_payment(theirs)

        with logged_in(APP), tenant_scope(mine.tenant_id), tenant_transaction():
            assert counted("SELECT count(*) FROM payments_payment") == 1
            assert Payment.unscoped.filter(pk=foreign.pk).update(description="mine now") == 0
            with pytest.raises(ProgrammingError, match="row-level security"), transaction.atomic():
                Payment.unscoped.filter(tenant_id=mine.tenant_id).update(tenant_id=theirs.tenant_id)

    @pytest.mark.invariant("I63")
    def test_a_row_cannot_name_another_tenants_row(self, roles):
        """I63: an ordinary foreign key accepts it, because its check passes row-level security."""
        mine, theirs = make_member(), make_member()
        make_payment(mine)
        foreign = make_payment(theirs)

        with logged_in(APP), tenant_scope(mine.tenant_id):
            with pytest.raises(IntegrityError, match="in_tenant"), tenant_transaction():
                Attempt.objects.create(payment_id=foreign.pk, number=9, gateway="x", reference="X9")
            with pytest.raises(IntegrityError, match="in_tenant"), tenant_transaction():
                Attempt.objects.update(payment_id=foreign.pk)

        with tenant_scope(theirs.tenant_id), tenant_transaction():
            assert Attempt.objects.filter(payment=foreign).count() == 1

    @pytest.mark.parametrize("model", [PaymentEvent, Observation])
    def test_history_cannot_be_rewritten_for_lack_of_the_right_to(self, roles, model):
        table = model._meta.db_table
        member = make_member()
        payment = make_payment(member)
        with tenant_scope(member.tenant_id), tenant_transaction():
            attempt = only_attempt(payment)
        with tenant_scope(member.tenant_id):
            record_charge(attempt_id=attempt.pk, source="poll", result=PAID)

        for role in (APP, SYSTEM):
            with logged_in(role), tenant_scope(member.tenant_id):
                for change in (f"UPDATE {table} SET id = id", f"DELETE FROM {table}"):  # noqa: S608
                    # The right is missing; the trigger, which would say "append-only", is not even asked.
                    with pytest.raises(ProgrammingError, match="permission denied"), tenant_transaction():
                        counted(change)
                with tenant_transaction():
                    assert model.objects.exists()

    def test_nobody_but_the_owner_empties_tables(self, roles):
        for role in (APP, SYSTEM):
            for table in (*tenant_tables(), "accounts_user", "outbox_outboxevent"):
                with logged_in(role), pytest.raises(ProgrammingError, match="permission denied"):
                    counted(f"TRUNCATE {table} CASCADE")

    @pytest.mark.invariant("I62")
    def test_the_application_can_neither_change_tables_nor_take_the_walls_down(self, roles):
        for statement in (
            "ALTER TABLE payments_payment DISABLE ROW LEVEL SECURITY",
            "DROP POLICY tenant ON payments_payment",
            "CREATE TABLE planted (id int)",
            "SET ROLE faraja",
            "ALTER TABLE payments_paymentevent DISABLE TRIGGER ALL",
        ):
            with logged_in(APP), pytest.raises(ProgrammingError):
                counted(statement)

    def test_tables_of_later_migrations_are_usable_at_once(self, roles):
        with connection.cursor() as cursor:  # as the owner, as migrations do
            cursor.execute("CREATE TABLE planted (id serial PRIMARY KEY, name text)")
        try:
            with logged_in(APP):
                assert counted("INSERT INTO planted (name) VALUES ('x') RETURNING id") == 1
        finally:
            with connection.cursor() as cursor:
                cursor.execute("DROP TABLE planted")

    def test_a_payment_goes_its_whole_way_as_the_application(self, roles):
        with logged_in(APP), scripted_gateway() as gateway:
            assert isinstance(gateway, ScriptedGateway)
            gateway.charges.append(ChargeResult(status=ChargeStatus.PENDING, provider_reference="P1"))
            member = make_member()
            payment = make_payment(member, gateway="scripted")
            with tenant_scope(member.tenant_id):
                with tenant_transaction():
                    attempt = only_attempt(payment)
                submit_attempt(attempt_id=attempt.pk)
                record_charge(attempt_id=attempt.pk, source="webhook", result=PAID)

            data = member.client().get(f"/api/v1/payments/{payment.pk}/").json()["data"]

        assert data["status"] == "settled"
        assert gateway.calls == [("charge", attempt.reference)]

    # --- Which wall stands -----------------------------------------------------------------------------------------

    @pytest.mark.invariant("I62")
    def test_with_the_applications_role_both_walls_stand(self, roles, caplog):
        caplog.set_level(logging.INFO, "faraja.walls")
        with logged_in(APP):
            assert wall_faults(connection) == []
            assert check_walls() == []
            log_walls()

        assert caplog.messages == ["both walls between tenants stand"]

    @pytest.mark.parametrize(("role", "why"), [("postgres", "is a superuser"), (SYSTEM, "has BYPASSRLS")])
    def test_a_role_that_passes_the_wall_is_told_plainly(self, roles, caplog, role, why):
        with logged_in(role):
            (warning,) = check_walls()
            log_walls()

        assert why in warning.msg
        assert "database_roles" in str(warning.hint)
        assert why in caplog.text
        assert "database_roles" in caplog.text

    def test_an_owner_is_told_of_a_wall_that_is_not_forced(self, transactional_db):
        assert wall_faults(connection) == []
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE payments_payment NO FORCE ROW LEVEL SECURITY")
        try:
            (fault,) = wall_faults(connection)
        finally:
            with connection.cursor() as cursor:
                cursor.execute("ALTER TABLE payments_payment FORCE ROW LEVEL SECURITY")

        assert fault == "faraja owns payments_payment, whose row-level security is not forced on owners"

    def test_a_database_that_does_not_answer_is_no_reason_not_to_start(self, transactional_db, caplog):
        with logged_in(f"nobody_{uuid.uuid4().hex}"):
            log_walls()
            (info,) = check_walls()

        assert "could not be looked at" in caplog.text
        assert info.id == "faraja.I002"

    # --- Every table, also those nobody has written yet ------------------------------------------------------------

    @pytest.mark.invariant("I62")
    def test_every_tenant_table_has_a_forced_policy(self, transactional_db, record_figure):
        """I62."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT c.relname FROM pg_class c JOIN pg_policy p ON p.polrelid = c.oid"
                " WHERE c.relrowsecurity AND c.relforcerowsecurity AND p.polcmd = '*'"
                " AND pg_get_expr(p.polqual, c.oid) LIKE '%%app.tenant_id%%'"
                " AND pg_get_expr(p.polwithcheck, c.oid) LIKE '%%app.tenant_id%%'"
            )
            walled = {row[0] for row in cursor.fetchall()}

        assert len(tenant_tables()) >= 6
        assert set(tenant_tables()) - walled == set()
        record_figure(f"{len(tenant_tables())} of {len(tenant_tables())} tenant tables")

    @pytest.mark.invariant("I63")
    def test_every_key_between_tenant_tables_is_bound_to_the_tenant(self, transactional_db, record_figure):
        """I63: for each foreign key from one tenant table to another there is a composite one."""
        wanted = {
            (model._meta.db_table, field.column, field.related_model._meta.db_table)
            for model in apps.get_models()
            if issubclass(model, TenantModel)
            for field in model._meta.concrete_fields
            if field.is_relation
            and isinstance(field.related_model, type)
            and issubclass(field.related_model, TenantModel)
        }
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT child.relname, own.attname, parent.relname FROM pg_constraint f"
                " JOIN pg_class child ON child.oid = f.conrelid JOIN pg_class parent ON parent.oid = f.confrelid"
                " JOIN pg_attribute scope ON scope.attrelid = child.oid AND scope.attnum = f.conkey[1]"
                " JOIN pg_attribute own ON own.attrelid = child.oid AND own.attnum = f.conkey[2]"
                " WHERE f.contype = 'f' AND cardinality(f.conkey) = 2 AND scope.attname = 'tenant_id'"
            )
            bound = set(cursor.fetchall())

        assert len(wanted) >= 5
        assert wanted - bound == set()
        record_figure(f"{len(wanted)} of {len(wanted)} keys between tenant tables are bound to the tenant")

    @pytest.mark.invariant("I63")
    def test_every_unique_rule_of_a_tenant_table_begins_with_the_tenant(self, transactional_db):
        """I63: a rule over all tenants would tell one of them what another has."""
        rules = {
            (model._meta.label, rule.name, rule.fields[0])
            for model in apps.get_models()
            if issubclass(model, TenantModel)
            for rule in model._meta.total_unique_constraints
        }

        assert len(rules) >= 8
        assert {rule for rule in rules if rule[2] != "tenant"} == set()


@pytest.mark.skipif("connection.vendor == 'postgresql'", reason="what SQLite says")
@pytest.mark.django_db
def test_sqlite_has_no_roles_and_says_so_at_start(caplog):
    caplog.set_level(logging.INFO, "faraja.walls")

    told = command()
    log_walls()

    assert told == "SQLite has no roles: nothing to do.\n"
    assert caplog.messages == ["SQLite has the first wall between tenants (filtered managers), not the second"]
    assert check_walls() == []


def test_the_check_belongs_to_check_deploy():
    from django.core.checks.registry import registry

    always: set[object] = set(registry.registered_checks)
    at_deployment: set[object] = set(registry.deployment_checks)

    assert check_walls in at_deployment - always
