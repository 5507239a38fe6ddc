"""What sessions promise under load: two tabs and one jar, flags that flip in mid-flight, a million old rows."""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from django.db import connection, connections
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import AuthSession, User
from apps.accounts.services.sessions import end_session, open_session, purge_sessions
from apps.accounts.tokens import read_access
from apps.payments.models.payments import Payment
from apps.payments.services.attempts import record_charge, submit_attempt
from apps.tenants.models import Membership, Tenant
from core.logging import JsonFormatter, TextFormatter
from core.money import Money
from core.purge import BATCH
from core.tenancy import tenant_scope, tenant_transaction
from services.payments.base import ChargeResult, ChargeStatus
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.payments import make_payment, only_attempt
from tests.factories.tenants import add_member
from tests.fakes import scripted_gateway
from tests.figures import Figure, RecordFigure

AUTH = "/api/v1/auth"
ORIGIN = "https://app.faraja.test"
NEW_PASSWORD = "chai-na-kahawa-8"


def post(client: APIClient, path: str, body: dict[str, Any] | None = None, **headers: str) -> Any:
    return client.post(f"{AUTH}/{path}/", body or {}, format="json", headers={"Origin": ORIGIN} | headers)


def browser_of(member: Member) -> APIClient:
    """A browser with all of its tokens in cookies."""
    client = APIClient()
    credentials = {"email": member.user.email, "password": PASSWORD, "transport": "cookies"}
    assert post(client, "login", credentials).status_code == 200
    return client


# --- I42: two tabs, one jar ------------------------------------------------------------------------------------------


class Tab:
    """A tab: sends the cookies that the jar held when it began, and changes the jar when its answer comes."""

    def __init__(self, jar: dict[str, str]) -> None:
        self.jar, self.sent = jar, dict(jar)
        self.answer: Any = None

    def send(self, **spoilt: str) -> None:
        """One refresh; `spoilt` replaces cookies or the proof."""
        client = APIClient(raise_request_exception=False)
        for name, value in (self.sent | spoilt).items():
            client.cookies[name] = value
        proof = spoilt.get("proof", self.sent["csrf"])
        self.answer = post(client, "refresh", {}, **{"X-CSRF-Token": proof})

    def receive(self) -> None:
        """The answer reaches the browser: the jar takes what it sets and drops what it clears."""
        for name, cookie in self.answer.cookies.items():
            if cookie["max-age"] == 0 or not cookie.value:
                self.jar.pop(name, None)
            else:
                self.jar[name] = cookie.value


def jar_of(member: Member) -> dict[str, str]:
    return {name: cookie.value for name, cookie in browser_of(member).cookies.items()}


def is_signed_in(jar: dict[str, str]) -> bool:
    client = APIClient()
    for name, value in jar.items():
        client.cookies[name] = value
    return bool(client.get(f"{AUTH}/me/").status_code == 200)


@pytest.mark.invariant("I42")
@pytest.mark.django_db(transaction=True)
def test_of_two_tabs_that_refresh_together_the_loser_signs_nobody_out(figure: Figure, record_figure: RecordFigure):
    tries, logouts = figure(quick=10, full=500), 0
    jar = jar_of(make_member())
    random.seed(42)

    for number in range(tries):
        tabs = [Tab(jar), Tab(jar)]
        random.shuffle(tabs)
        if number % 2:  # at the very same time
            barrier = threading.Barrier(2)

            def race(tab: Tab, barrier: threading.Barrier = barrier) -> None:
                try:
                    barrier.wait(60)
                    tab.send()
                finally:
                    connections.close_all()

            threads = [threading.Thread(target=race, args=(tab,)) for tab in tabs]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        else:  # the loser is held up on its way
            for tab in tabs:
                tab.send()
        assert [tab.answer.status_code for tab in tabs] == [200, 200]
        for tab in random.sample(tabs, 2):
            tab.receive()
        logouts += not is_signed_in(jar)

    assert logouts == 0
    assert AuthSession.objects.get(transport="cookies").generation == tries + 1
    record_figure(f"{tries} tries, {logouts} logouts")


@pytest.mark.invariant("I42")
@pytest.mark.django_db
@pytest.mark.parametrize(
    ("spoilt", "expected"),
    [
        ({"proof": "x.y"}, (403, "csrf_failed")),
        ({"refresh": "no.token.atall"}, (401, "token_invalid")),
        ({"refresh": ""}, (401, "token_invalid")),
        ({"csrf": "x.y"}, (403, "csrf_failed")),
    ],
    ids=str,
)
def test_a_refresh_that_fails_beside_one_that_wins_leaves_the_jar_alone(member, spoilt, expected):
    jar = jar_of(member)
    winner, loser = Tab(jar), Tab(jar)
    winner.send()
    loser.send(**spoilt)

    winner.receive()
    won = dict(jar)
    loser.receive()

    assert (loser.answer.status_code, loser.answer.json()["code"]) == expected
    assert not loser.answer.cookies
    assert jar == won
    assert is_signed_in(jar)


# --- I45: flags that flip in mid-load --------------------------------------------------------------------------------

FLIPS: dict[str, Callable[[Member], Any]] = {
    "deactivated": lambda member: User.objects.filter(pk=member.user.pk).update(is_active=False),
    "suspended": lambda member: Tenant.objects.filter(pk=member.tenant_id).update(suspended_at=timezone.now()),
    "removed": lambda member: Membership.objects.filter(user=member.user, tenant_id=member.tenant_id).delete(),
    "signed out": lambda member: end_session(session_id=read_access(member.tokens.access).session_id),
}


@pytest.mark.invariant("I43", "I45")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("flip", FLIPS)
def test_no_request_that_begins_after_the_commit_succeeds(flip, figure: Figure, record_figure: RecordFigure):
    rounds, after, broken = figure(quick=1, full=25), 0, 0

    for _ in range(rounds):
        member, seen, stop = make_member(), list[tuple[float, int]](), threading.Event()

        def load(member: Member = member, seen: list = seen, stop: threading.Event = stop) -> None:
            client = member.client()
            client.raise_request_exception = False
            try:
                while not stop.is_set():
                    began = time.monotonic()
                    seen.append((began, client.get("/api/v1/payments/").status_code))
            finally:
                connections.close_all()

        threads = [threading.Thread(target=load) for _ in range(3)]
        for thread in threads:
            thread.start()
        _wait_until(lambda: len(seen) >= 6)  # noqa: B023  called here and now
        FLIPS[flip](member)
        committed = time.monotonic()
        _wait_until(lambda: sum(began > committed for began, _ in seen) >= 6)  # noqa: B023
        stop.set()
        for thread in threads:
            thread.join()

        assert 200 in {status for began, status in seen if began < committed}
        late = [status for began, status in seen if began > committed]
        after += late.count(200)
        broken += len([status for _, status in seen if status >= 500])

    assert (after, broken) == (0, 0)
    record_figure(f"{flip}: {rounds} flips under load, {after} x 200 after the commit, {broken} x 500")


def _wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end, "nothing happened for 30 s"
        time.sleep(0.005)


@pytest.mark.invariant("I45")
@pytest.mark.django_db
@pytest.mark.parametrize("flip", FLIPS)
def test_a_payment_under_way_still_finishes(flip):
    with scripted_gateway() as gateway:
        gateway.charges.append(ChargeResult(status=ChargeStatus.PENDING, provider_reference="P1"))
        person = add_member(make_member())
        payment = make_payment(person, gateway="scripted")
        with tenant_scope(person.tenant_id), tenant_transaction():
            attempt = only_attempt(payment)

        FLIPS[flip](person)
        with tenant_scope(person.tenant_id):
            submit_attempt(attempt_id=attempt.pk)
            paid = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=Money(500_000, "TZS"))
            record_charge(attempt_id=attempt.pk, source="webhook", result=paid)

    with tenant_scope(person.tenant_id), tenant_transaction():
        assert Payment.objects.get(pk=payment.pk).status == "settled"
    assert gateway.calls == [("charge", attempt.reference)]


# --- I46: claims are made anew ---------------------------------------------------------------------------------------


@pytest.mark.invariant("I46")
@pytest.mark.django_db
def test_every_refresh_says_what_is_true_now_and_not_what_the_last_token_said(member):
    admin = add_member(member, "admin")
    membership = Membership.objects.get(tenant_id=member.tenant_id, user=admin.user)
    refresh, told = admin.tokens.refresh, []

    def refreshed() -> tuple[str | None, str | None]:
        nonlocal refresh
        data = post(APIClient(), "refresh", {"refresh": refresh}).json()["data"]
        refresh = data["refresh"]
        claims = jwt.decode(data["access"], options={"verify_signature": False})
        shown = data["tenant"] and data["tenant"]["role"]
        assert shown == (claims["role"] if claims["tenant_id"] else None)
        return claims["tenant_id"], claims["role"]

    told.append(refreshed())
    for role in ("member", "owner"):
        membership.role = role
        membership.save()
        told.append(refreshed())
    membership.delete()
    told.append(refreshed())

    tenant = str(member.tenant_id)
    assert told[:3] == [(tenant, "admin"), (tenant, "member"), (tenant, "owner")]
    assert told[3][1] is None


# --- I51: no secret shows ------------------------------------------------------------------------------------


@pytest.mark.invariant("I51")
@pytest.mark.django_db
def test_with_cookies_no_token_shows_in_a_body_an_address_or_the_log(member, caplog, record_figure: RecordFigure):
    caplog.set_level(logging.DEBUG)
    client, tokens, answers = browser_of(member), set(), 0
    other = add_member(make_member())
    Membership.objects.create(tenant_id=other.tenant_id, user=member.user)

    def ask(method: str, path: str, body: dict[str, Any] | None = None) -> None:
        nonlocal answers
        headers = {"Origin": ORIGIN, "X-CSRF-Token": client.cookies["csrf"].value}
        response = client.generic(
            method, path, json.dumps(body) if body is not None else "", content_type="application/json", headers=headers
        )
        assert response.status_code in {200, 201}, (path, response.content)
        answers += 1
        for name in ("access", "refresh"):
            if client.cookies[name].value:
                tokens.add(client.cookies[name].value)
        shown = response.content.decode() + response.request["PATH_INFO"] + str(response.headers)
        assert not [token for token in tokens if token in shown or token.rpartition(".")[2] in shown], path

    ask("GET", f"{AUTH}/me/")
    ask("POST", f"{AUTH}/refresh/", {})
    ask("GET", f"{AUTH}/sessions/")
    ask("POST", f"{AUTH}/switch-tenant/", {"tenant": str(other.tenant_id)})
    ask("PATCH", f"{AUTH}/me/", {"first_name": "Neema"})
    ask("POST", f"{AUTH}/change-password/", {"current_password": PASSWORD, "new_password": NEW_PASSWORD})
    ask("GET", "/api/v1/payments/")
    ask("POST", f"{AUTH}/logout/", {})

    lines = written(caplog.records)
    assert len(tokens) >= 6
    assert "POST /api/v1/auth/refresh/" in lines
    assert not [token for token in tokens if token in lines or token.rpartition(".")[2] in lines]
    record_figure(f"{len(tokens)} tokens, {answers} answers and their log: 0 hits")


def written(records: list[logging.LogRecord]) -> str:
    """The log as both formats write it."""
    formatters = (JsonFormatter(), TextFormatter())
    return "\n".join(formatter.format(record) for record in records for formatter in formatters)


# --- I54: a million rows ---------------------------------------------------------------------------------------------


@pytest.mark.invariant("I54")
@pytest.mark.django_db
def test_a_session_is_one_row_however_often_it_is_refreshed_and_a_person_has_twenty(figure: Figure):
    member = make_member()
    refresh = member.tokens.refresh
    for _ in range(figure(quick=20, full=1_000)):
        refresh = post(APIClient(), "refresh", {"refresh": refresh}).json()["data"]["refresh"]
    assert AuthSession.objects.filter(user=member.user).count() == 1

    for _ in range(30):
        open_session(user=member.user, transport="body")

    assert AuthSession.objects.filter(user=member.user, revoked_at=None).count() == 20


@pytest.mark.invariant("I54")
@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_old_sessions_are_purged_by_an_index_in_statements_that_hold_nobody_up(
    figure: Figure, record_figure: RecordFigure
):
    """With autocommit, as in a worker: within one transaction the dead rows would stay in the index's way."""
    rows, member = figure(quick=5_000, full=1_000_000), make_member()
    kept = AuthSession.objects.get()
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = 0")
        columns = ", ".join(
            connection.ops.quote_name(str(column.column))
            for column in AuthSession._meta.concrete_fields
            if column.name not in {"id", "absolute_expires_at"}
        )
        cursor.execute(
            f"INSERT INTO accounts_authsession (id, absolute_expires_at, {columns})"  # noqa: S608  columns of ours
            f" SELECT gen_random_uuid(), now() - make_interval(secs => number), {columns}"
            " FROM accounts_authsession, generate_series(1, %s) AS number WHERE id = %s",
            [rows, kept.pk],
        )
        cursor.execute("ANALYZE accounts_authsession")
        cursor.execute("SET statement_timeout = 10000")
    slowest, statements, asked = 0.0, 0, list[tuple[str, Any]]()

    def timed(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal slowest, statements
        if sql.startswith("SELECT") and " LIMIT " in sql:
            asked.append((sql, params))
        began = time.monotonic()
        try:
            return execute(sql, params, many, context)
        finally:
            slowest, statements = max(slowest, time.monotonic() - began), statements + 1

    with connection.execute_wrapper(timed):
        removed = purge_sessions()

    assert removed == rows
    assert list(AuthSession.objects.values_list("pk", flat=True)) == [kept.pk]
    assert member.client().get(f"{AUTH}/me/").status_code == 200
    assert statements >= 2 * rows / BATCH
    if rows > 5_000:  # `make test` asserts nothing about time
        assert slowest < 1.0
    with connection.cursor() as cursor:
        cursor.execute("SET enable_sort = off")  # a table of a few pages is rather read whole and sorted
        cursor.execute(f"EXPLAIN {asked[0][0]}", asked[0][1])
        plan = "\n".join(line for (line,) in cursor.fetchall())
        cursor.execute("RESET enable_sort")
    assert "session_absolute_expiry" in plan
    record_figure(f"{rows:,} rows in {statements:,} statements, the slowest {slowest * 1000:.0f} ms, by the index")
