"""A compiled query gives what its queryset gives, and its SQL is made once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.core.exceptions import FieldError
from django.db import connection, transaction
from django.db.models import Count, F, Model, QuerySet
from django.db.models.sql.compiler import SQLCompiler
from django.utils import timezone

from apps.accounts.models import AuthSession, User
from apps.accounts.selectors import find_principal
from apps.payments.models.payments import Payment
from apps.tenants.models import Membership, Tenant
from core.compiled import Compiled, Slot, compiled
from core.tenancy import TenantContextMissing, tenant_scope, tenant_transaction
from tests.factories.accounts import make_member
from tests.factories.payments import make_payment

pytestmark = pytest.mark.django_db


def state(row: Model | None) -> object:
    """Everything that is loaded of a row, related rows and annotations included."""
    if not isinstance(row, Model):
        return row
    loaded = {name: value for name, value in vars(row).items() if name != "_state"}
    related = {name: state(value) for name, value in row._state.fields_cache.items()}
    return type(row), loaded, related, row._state.adding, row._state.db


def sessions(user: Any, since: Any) -> QuerySet[AuthSession]:
    found = AuthSession.objects.select_related("user", "tenant").annotate(peers=Count("tenant__memberships"))
    return found.filter(user=user, created_at__gte=since, user__is_active=True).order_by("-created_at")


@pytest.fixture(params=["prepared", "not prepared"])
def _either_way(request, settings):
    settings.DATABASE_PREPARES = request.param == "prepared"


@pytest.mark.usefixtures("_either_way")
def test_its_rows_are_those_of_the_queryset(member):
    make_member()
    query: Compiled[AuthSession] = Compiled(sessions)
    since = timezone.now() - timedelta(hours=1)

    for _again in range(7):  # psycopg prepares a statement by itself after five
        found = query(user=member.user.pk, since=since)

        assert [state(row) for row in found] == [state(row) for row in sessions(member.user.pk, since)]
        assert len(found) == 1
    assert query(user=member.user.pk, since=timezone.now()) == []
    assert query.first(user=uuid4(), since=since) is None


def test_the_sql_is_made_once(member, monkeypatch):
    made = []
    as_sql = SQLCompiler.as_sql

    def counted(self: SQLCompiler, *args: Any, **kwargs: Any) -> Any:
        made.append(1)
        return as_sql(self, *args, **kwargs)

    monkeypatch.setattr(SQLCompiler, "as_sql", counted)

    @compiled
    def person(email: Slot) -> QuerySet[User]:
        return User.objects.filter(email=email)

    for _again in range(3):
        assert person.first(email=member.user.email) == member.user
    assert len(made) == 1


def test_json_and_expressions_come_out_as_from_django(member):
    payment = make_payment(member, metadata={"order": "1024", "seats": 2})

    def build(reference: Any) -> Any:
        return Payment.objects.filter(client_reference=reference).annotate(twice=F("amount") * 2)

    with tenant_scope(member.tenant_id), tenant_transaction():
        [row] = Compiled(build)(reference=payment.client_reference)
        [stock] = build(payment.client_reference)

        assert state(row) == state(stock)
    assert row.metadata == {"order": "1024", "seats": 2}


def test_each_tenant_gets_its_own_rows_and_outside_of_all_there_are_none(member):
    stranger = make_member()
    mine, theirs = make_payment(member), make_payment(stranger)

    @compiled
    def payments(currency: Slot) -> QuerySet[Payment]:
        return Payment.objects.filter(currency=currency)

    for whose, payment in ((member, mine), (stranger, theirs), (member, mine)):
        with tenant_scope(whose.tenant_id), tenant_transaction():
            assert payments(currency="TZS") == [payment]
    with pytest.raises(TenantContextMissing):
        payments(currency="TZS")


def test_a_missing_a_strange_and_an_absent_argument_are_refused(member):
    @compiled
    def person(email: Slot) -> QuerySet[User]:
        return User.objects.filter(email=email)

    with pytest.raises(KeyError):
        person()
    with pytest.raises(TypeError):
        person(email=member.user.email, phone="x")
    with pytest.raises(ValueError, match="None"):
        person(email=None)


def test_what_it_cannot_do_is_refused_when_it_is_first_used():
    @compiled
    def people(email: Slot) -> QuerySet[User]:
        return User.objects.prefetch_related("groups").filter(email=email)

    with pytest.raises(FieldError):
        people(email="x@example.com")


def test_a_broken_transaction_says_so_as_in_django(member):
    with transaction.atomic():
        connection.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            find_principal(session_id=uuid4())


def test_a_look_at_the_queries_sees_it(member, django_assert_num_queries):
    session = AuthSession.objects.get(user=member.user)
    find_principal(session_id=session.pk)

    with django_assert_num_queries(1):
        principal = find_principal(session_id=session.pk)

    assert principal is not None
    assert principal.role == Membership.objects.get(user=member.user).role
    assert principal.session.tenant == Tenant.objects.get(pk=member.tenant_id)
