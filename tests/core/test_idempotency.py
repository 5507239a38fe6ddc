"""The same request sent twice is done once and answered twice, byte for byte (I1 to I5 of the invariants)."""

from __future__ import annotations

import json
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection, connections, transaction
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.test import APIClient

from apps.accounts.services.sessions import open_session
from apps.payments.models.payments import Payment
from core.exceptions import Malformed
from core.idempotency.decorator import IdempotencyKeyInvalid, read_key
from core.idempotency.models import IdempotencyKey
from core.idempotency.tasks import purge_idempotency_keys_task
from core.outbox.models import OutboxEvent
from core.tenancy import tenant_scope, tenant_transaction
from services.payments.base import ChargeResult, ChargeStatus
from tests.core import planted
from tests.envelope import refusal_of
from tests.factories.accounts import Member, make_member
from tests.factories.payments import a_wish_to_pay
from tests.fakes import PageScriptedGateway, scripted_gateway

PAYMENTS = "/api/v1/payments/"
OPEN_PAGE = ChargeResult(status=ChargeStatus.REQUIRES_ACTION, checkout_url="https://pay.example.com/p/1")


def quiet(member: Member) -> APIClient:
    client = member.client()
    client.raise_request_exception = False
    return client


@pytest.fixture
def payer(member: Member) -> APIClient:
    return quiet(member)


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    planted.seen.clear()


def start(client: APIClient, key: str | None = "key-1", **changes: Any) -> Any:
    headers: dict[str, Any] = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    return client.post(PAYMENTS, a_wish_to_pay(**changes), format="json", **headers)


def count_payments(member: Member) -> int:
    with tenant_scope(member.tenant_id), tenant_transaction():
        return Payment.objects.count()


# --- Repeating -------------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I1")
def test_a_repetition_is_answered_from_the_store(member, payer):
    first, again = start(payer), start(payer)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "Idempotent-Replayed" not in first.headers
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert count_payments(member) == 1
    assert OutboxEvent.objects.filter(name="payment.started").count() == 1


@pytest.mark.invariant("I2")
def test_the_order_of_json_keys_and_white_space_do_not_matter(member, payer):
    wish = a_wish_to_pay()
    reordered = {name: wish[name] for name in reversed(wish)}
    reordered["amount"] = dict(reversed(wish["amount"].items()))

    first = payer.generic("POST", PAYMENTS, json.dumps(wish), "application/json", HTTP_IDEMPOTENCY_KEY="k")
    again = payer.generic(
        "POST", PAYMENTS, json.dumps(reordered, indent=4), "application/json", HTTP_IDEMPOTENCY_KEY="k"
    )

    assert again.content == first.content
    assert count_payments(member) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": {"amount": 500_100, "currency": "TZS"}},
        {"phone": "+255712345679"},
        {"description": "x"},
        {"client_reference": "x"},
    ],
    ids=str,
)
@pytest.mark.invariant("I2")
def test_another_body_under_the_same_key_is_refused_and_nothing_happens(member, payer, changes):
    start(payer)

    assert refusal_of(start(payer, **changes)) == (422, "idempotency_key_reused")
    assert count_payments(member) == 1


@pytest.mark.urls("tests.core.planted")
@pytest.mark.parametrize(("method", "path"), [("PUT", "/once/well/"), ("POST", "/once/other/")])
@pytest.mark.invariant("I2")
def test_another_method_or_route_under_the_same_key_is_refused(payer, method, path):
    once(payer)

    response = payer.generic(method, path, "{}", "application/json", HTTP_IDEMPOTENCY_KEY="key-1")

    assert refusal_of(response) == (422, "idempotency_key_reused")
    assert len(planted.seen) == 1


def test_the_unversioned_route_is_another_route(member, payer):
    """Deliberate: what is compared is the path as the client wrote it."""
    start(payer)

    response = payer.post("/api/payments/", a_wish_to_pay(), format="json", HTTP_IDEMPOTENCY_KEY="key-1")

    assert refusal_of(response) == (422, "idempotency_key_reused")
    assert count_payments(member) == 1


@pytest.mark.invariant("I61")
def test_the_same_key_of_another_person_is_another_key(member, stranger):
    first, other = start(quiet(member)), start(quiet(stranger), phone="+255712345679")

    assert (first.status_code, other.status_code) == (201, 201)
    assert (count_payments(member), count_payments(stranger)) == (1, 1)


@pytest.mark.invariant("I61")
@pytest.mark.invariant("I2")
def test_a_colleague_in_the_same_tenant_has_keys_of_their_own(member):
    from apps.tenants.models import Membership

    colleague = make_member()
    Membership.objects.filter(user=colleague.user).delete()
    Membership.objects.create(tenant_id=member.tenant_id, user=colleague.user)
    principal, tokens = open_session(user=colleague.user, transport="body")
    assert principal.tenant_id == member.tenant_id

    responses = [start(quiet(member)), start(quiet(Member(colleague.user, member.tenant_id, tokens)))]

    assert [response.status_code for response in responses] == [201, 201]
    assert count_payments(member) == 2


def test_a_session_that_has_ended_gets_no_replay(member, payer):
    start(payer)
    payer.post("/api/v1/auth/logout/", {"refresh": member.tokens.refresh}, format="json")

    assert refusal_of(start(payer)) == (401, "session_revoked")


# --- What is stored and what is not ----------------------------------------------------------------------------------


def once(client: APIClient, answer: str = "well", key: str = "key-1") -> Any:
    return client.post(f"/once/{answer}/", {}, format="json", HTTP_IDEMPOTENCY_KEY=key)


@pytest.mark.urls("tests.core.planted")
@pytest.mark.parametrize(("answer", "status"), [("conflict", 409), ("rule-violated", 422)])
def test_a_final_refusal_is_replayed_and_its_handler_not_asked_again(payer, answer, status):
    first, again = once(payer, answer), once(payer, answer)

    assert (first.status_code, again.status_code) == (status, status)
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(planted.seen) == 1


@pytest.mark.urls("tests.core.planted")
@pytest.mark.parametrize(
    ("answer", "status"),
    [
        ("malformed", 400),
        ("drf-validation", 400),
        ("not-permitted", 403),
        ("not-found", 404),
        ("drf-throttled", 429),
        ("unavailable", 503),
        ("operational", 503),
        ("defect", 500),
    ],
)
@pytest.mark.invariant("I3")
def test_what_is_not_final_is_not_stored(payer, answer, status):
    assert once(payer, answer).status_code == status
    assert once(payer, answer).status_code == status

    assert len(planted.seen) == 2
    assert not IdempotencyKey.objects.exists()


@pytest.mark.urls("tests.core.planted")
@pytest.mark.invariant("I3")
def test_the_retry_after_an_error_of_ours_does_the_work(payer):
    assert once(payer, "fails-once").status_code == 500

    retry, again = once(payer, "fails-once"), once(payer, "fails-once")

    assert (retry.status_code, retry.json()["data"]) == (201, {"times": 2})
    assert again.content == retry.content
    assert len(planted.seen) == 2


def test_a_refused_payment_is_replayed_and_leaves_no_trace(member, payer):
    first, again = start(payer, gateway="nothing"), start(payer, gateway="nothing")

    assert refusal_of(first) == (422, "gateway_not_enabled")
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert count_payments(member) == 0
    assert not OutboxEvent.objects.exists()


def test_a_corrected_body_may_use_the_key_of_a_malformed_one(member, payer):
    assert refusal_of(start(payer, phone="nonsense")) == (400, "validation_error")

    assert start(payer).status_code == 201
    assert count_payments(member) == 1


def test_a_refusal_that_wrote_something_first_undoes_it_and_keeps_the_answer(member, payer):
    """The second payment under one client_reference fails on a constraint, after an insert."""
    start(payer, key="a", client_reference="order-1")

    first, again = (start(payer, key="b", client_reference="order-1") for _ in range(2))

    assert refusal_of(first) == (409, "client_reference_taken")
    assert again.content == first.content
    assert count_payments(member) == 1


@pytest.mark.urls("tests.core.planted")
def test_a_plain_response_is_stored_in_the_envelope(payer):
    first, again = once(payer, "plain"), once(payer, "plain")

    assert first.json() == {"status": "success", "message": "", "data": {"times": 1}}
    assert again.content == first.content
    assert (first.headers["Content-Type"], again.headers["Content-Type"]) == ("application/json",) * 2


# --- Keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I4")
def test_a_money_request_without_a_key_is_refused(member, payer):
    assert refusal_of(start(payer, key=None)) == (400, "idempotency_key_required")
    assert count_payments(member) == 0


@pytest.mark.invariant("I4")
def test_quoted_and_bare_spellings_are_one_key(member, payer):
    first = start(payer, key="abc-1")

    for spelling in ('"abc-1"', ' "abc-1" ', "abc-1 ", "\tabc-1"):
        assert start(payer, key=spelling).content == first.content
    assert start(payer, key='"abc-2"').content != first.content
    assert count_payments(member) == 2


PRINTABLE = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=255)


@given(key=PRINTABLE.filter(lambda key: key == key.strip() and key[0] != '"'))
def test_every_printable_key_is_itself_bare_and_quoted(key):
    quoted = '"' + key.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert read_key(key) == read_key(quoted) == key


@settings(max_examples=1_000)
@given(header=st.text(st.characters(max_codepoint=255), max_size=300))
@pytest.mark.invariant("I4")
def test_any_header_is_a_key_or_a_refusal(header):
    try:
        key = read_key(header)
    except Malformed:
        return

    assert 1 <= len(key) <= 255
    assert all(" " <= character <= "~" for character in key)


@pytest.mark.parametrize("key", ["", " ", '""', "k" * 256, "a\nb", "a\x00", "\x7f", "caf\xe9", '"' + "k" * 256 + '"'])
@pytest.mark.invariant("I4")
def test_a_bad_key_is_named_as_such(key):
    with pytest.raises(IdempotencyKeyInvalid):
        read_key(key)


@pytest.mark.invariant("I4")
def test_a_key_of_255_characters_is_accepted(member, payer):
    assert start(payer, key="k" * 255).status_code == 201
    assert refusal_of(start(payer, key="k" * 256)) == (400, "idempotency_key_invalid")


@pytest.mark.django_db
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(keys=st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, max_size=8))
def test_as_many_payments_as_distinct_keys(keys):
    member = make_member()
    client = quiet(member)

    bodies = {key: {start(client, key=key).content for _ in range(keys.count(key))} for key in keys}

    assert count_payments(member) == len(set(keys))
    assert all(len(each) == 1 for each in bodies.values())


def test_keys_are_forgotten_after_three_days_and_not_before(payer):
    start(payer)
    with time_machine.travel(timezone.now() + timedelta(hours=71)):
        purge_idempotency_keys_task()
        assert IdempotencyKey.objects.count() == 1
    with time_machine.travel(timezone.now() + timedelta(hours=73)):
        purge_idempotency_keys_task()

    assert not IdempotencyKey.objects.exists()


# --- At once ---------------------------------------------------------------------------------------------------------


def at_once(count: int, work: Any) -> list[Any]:
    """Run `work(number)` in `count` threads that start together, each on a connection of its own."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        try:
            barrier.wait(timeout=60)
            return work(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.invariant("I1")
def test_sixteen_at_once_are_one_payment_and_sixteen_equal_answers():
    member = make_member()

    responses = at_once(16, lambda _: start(quiet(member)))

    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    assert sum("Idempotent-Replayed" not in response.headers for response in responses) == 1
    assert count_payments(member) == 1
    assert OutboxEvent.objects.filter(name="payment.started").count() == 1


@pytest.mark.postgresql
@pytest.mark.invariant("I1")
@pytest.mark.django_db(transaction=True)
def test_many_keys_five_times_each_at_once_are_as_many_payments_and_submissions(settings, figure, record_figure):
    """Half of them pushes, which the worker submits, and half pages, which the request submits itself."""
    settings.PAYMENT_INLINE_CALLS = 16
    member, count, chance = make_member(), figure(quick=6, full=2_000), random.Random(1)
    keys = [number for number in range(count) for _ in range(5)]
    chance.shuffle(keys)
    bodies: dict[int, set[bytes]] = {number: set() for number in range(count)}
    firsts: list[int] = []

    def ask(number: int) -> None:
        try:
            method = "checkout" if number % 2 else "push"
            response = start(quiet(member), key=f"key-{number}", gateway="scripted", method=method)
            assert response.status_code == 201, response.content
            bodies[number].add(response.content)
            if "Idempotent-Replayed" not in response.headers:
                firsts.append(number)
        finally:
            connections.close_all()

    with scripted_gateway(PageScriptedGateway) as gateway:
        gateway.charges = [OPEN_PAGE] * len(keys)
        with ThreadPoolExecutor(12) as pool:
            list(pool.map(ask, keys))

    assert all(len(each) == 1 for each in bodies.values())
    assert sorted(firsts) == list(range(count))
    assert count_payments(member) == count
    assert len(gateway.calls) == len(set(gateway.calls)) == count // 2
    assert OutboxEvent.objects.filter(name="payment.started").count() == count
    record_figure(f"{count} keys x 5 requests, {count} payments, 0 keys with two bodies, 0 submissions too many")


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.invariant("I5")
def test_a_first_request_that_does_not_finish_makes_the_second_wait_and_then_give_up():
    """409 with Retry-After; nothing is created; and once the first is gone the same key works."""
    member = make_member()
    has_claimed, may_end = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                IdempotencyKey.objects.create(
                    scope=f"{member.tenant_id}:{member.user.pk}", key="key-1", fingerprint="x"
                )
                has_claimed.set()
                may_end.wait(timeout=20)
                transaction.set_rollback(True)
        finally:
            connections.close_all()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert has_claimed.wait(timeout=60)
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '200ms'")
        refused = start(quiet(member))
    finally:
        may_end.set()
        holder.join()
        with connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = '5s'")

    assert refusal_of(refused) == (409, "idempotency_in_progress")
    assert refused.headers["Retry-After"] == "1"
    assert count_payments(member) == 0
    assert start(quiet(member)).status_code == 201


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_wait_for_a_lock_is_bounded_at_five_seconds_by_the_connection():
    with connection.cursor() as cursor:
        cursor.execute("SHOW lock_timeout")
        assert cursor.fetchone() == ("5s",)


@pytest.mark.postgresql
def test_a_database_that_fails_during_the_claim_is_not_called_a_running_request(payer, monkeypatch):
    """Only a lock that was waited for in vain means "in progress"."""
    from core.idempotency import decorator

    real = decorator._claim

    def claim_on_a_cancelled_statement(scope: str, key: str, fingerprint: str) -> bool:
        with connection.cursor() as cursor:
            cursor.execute(
                "CREATE OR REPLACE FUNCTION pg_temp.slow() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$"
            )
            cursor.execute(
                "CREATE TRIGGER slow BEFORE INSERT ON idempotency_idempotencykey "
                "FOR EACH ROW EXECUTE FUNCTION pg_temp.slow()"
            )
            cursor.execute("SET LOCAL statement_timeout = 50")
        return real(scope, key, fingerprint)

    monkeypatch.setattr(decorator, "_claim", claim_on_a_cancelled_statement)

    assert refusal_of(start(payer, key=uuid.uuid4().hex)) == (503, "temporarily_unavailable")
