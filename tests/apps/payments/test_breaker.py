"""The breaker: a gateway that does not answer is left alone, and found again soon after it is back."""

from __future__ import annotations

import statistics
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.payments.models.accounts import OWN_ACCOUNT, GatewayHealth
from apps.payments.models.payments import Attempt, Payment
from apps.payments.services import breaker
from apps.payments.services.accounts import choose_account, save_account
from apps.payments.services.attempts import poll_attempt, submit_attempt
from apps.payments.services.breaker import GatewayResting, admit, guarded, is_resting
from core.outbox.models import OutboxEvent
from core.outbox.relay import RetryLater
from core.tenancy import outside_tenants, tenant_scope
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import ChargeNotFound, ChargeResult, ChargeStatus, GatewayRefused
from tests.envelope import refusal_of
from tests.factories.payments import a_wish_to_pay, make_payment, only_attempt
from tests.fakes import ScriptedGateway, scripted_gateway
from tests.outbox import work_off_outbox

pytestmark = pytest.mark.django_db

URL = "/api/v1/payments/"
PENDING = ChargeResult(status=ChargeStatus.PENDING)


@pytest.fixture
def clock() -> Iterator[time_machine.Traveller]:
    with time_machine.travel(timezone.now(), tick=False) as traveller:
        yield traveller


@pytest.fixture
def account() -> uuid.UUID:
    """An account that no other test has called."""
    return uuid.uuid4()


def call(account: uuid.UUID, error: Exception | None = None) -> bool:
    """One call, which ends in `error`; whether it was made."""

    made: list[bool] = []

    def ask() -> None:
        made.append(True)
        if error is not None:
            raise error

    with suppress(GatewayResting, *([type(error)] if error else [])):
        guarded("scripted", account, ask)
    return bool(made)


def silence_of(account: uuid.UUID, count: int = 20) -> None:
    for _ in range(count):
        call(account, OutcomeUnknown())


def rests(account: uuid.UUID) -> bool:
    return is_resting("scripted", account)


@pytest.mark.parametrize("silence", [GatewayUnavailable, OutcomeUnknown])
def test_it_opens_at_twenty_calls_of_which_half_met_silence(clock, account, silence):
    for number in range(19):
        assert call(account, silence() if number % 2 == 0 else None)
    assert not rests(account)

    assert call(account, silence())

    assert rests(account)
    assert not call(account)


def test_fewer_calls_or_less_silence_leave_it_closed(clock, account):
    silence_of(account, 19)
    assert not rests(account)

    other = uuid.uuid4()
    for number in range(100):
        call(other, OutcomeUnknown() if number % 5 < 2 else None)
    assert not rests(other)


def test_silence_that_is_spread_over_more_than_a_minute_leaves_it_closed(clock, account):
    for _ in range(40):
        assert call(account, OutcomeUnknown())
        clock.shift(timedelta(seconds=4))

    assert not rests(account)


@pytest.mark.parametrize("answer", [GatewayRefused("credentials"), ChargeNotFound("x"), None])
def test_a_refusal_is_an_answer_and_never_counts(clock, account, answer):
    for _ in range(50):
        assert call(account, answer)

    assert not rests(account)
    assert not GatewayHealth.objects.exists()


def test_answers_are_counted_however_long_ago_within_the_minute_they_were(clock, account):
    for _ in range(30):
        call(account)
    clock.shift(timedelta(seconds=50))

    silence_of(account, 25)
    assert not rests(account)

    silence_of(account, 5)
    assert rests(account)


def test_nothing_is_written_while_all_is_well(account):
    with CaptureQueriesContext(
        connection,
    ) as queries:
        for _ in range(20):
            call(account)

    assert {query["sql"].split()[0] for query in queries} == {"SELECT"}
    assert len(queries) == 20


@pytest.mark.invariant("I20")
def test_one_call_finds_out_and_the_rest_goes_on_when_it_is_back(clock, account, record_figure):
    silence_of(account)
    assert not call(account)

    clock.shift(timedelta(seconds=29))
    assert not call(account)
    clock.shift(timedelta(seconds=1))
    permits = []
    for _ in range(10):
        with suppress(GatewayResting):
            permits.append(admit("scripted", account))
    assert len(permits) == 1

    permits[0].note(None)

    assert all(call(account) for _ in range(5))
    record_figure("half-open after 30 s, 1 call of 10; closed by its answer")


@pytest.mark.invariant("I20")
def test_a_slow_silence_does_not_make_the_rest_longer(clock, account):
    silence_of(account)
    clock.shift(timedelta(seconds=30))
    permit = admit("scripted", account)

    clock.shift(timedelta(seconds=25))
    permit.note(OutcomeUnknown())
    assert not call(account)

    clock.shift(timedelta(seconds=5))
    assert call(account)
    assert call(account)


def test_whoever_dies_while_finding_out_is_replaced_after_half_a_minute(clock, account):
    silence_of(account)
    clock.shift(timedelta(seconds=30))
    admit("scripted", account)

    clock.shift(timedelta(seconds=29))
    assert not call(account)
    clock.shift(timedelta(seconds=1))
    assert call(account)


def test_late_news_of_calls_from_before_changes_nothing(clock, account):
    permits = [admit("scripted", account) for _ in range(5)]
    silence_of(account)

    for permit in permits:
        permit.note(None)

    assert rests(account)


def test_one_accounts_silence_is_no_others(clock, account):
    silence_of(account)

    assert call(uuid.uuid4())


def test_workers_share_it(clock, account, monkeypatch):
    for _worker in range(4):
        monkeypatch.setattr(breaker, "_answers", breaker._Counter())  # what another process has in memory
        silence_of(account, 5)

    assert rests(account)


def test_resting_is_a_refusal_that_the_outbox_repeats_and_a_client_understands(account):
    resting = GatewayResting(timedelta(seconds=12))

    assert isinstance(resting, RetryLater)
    assert isinstance(resting, GatewayUnavailable)
    assert resting.delay == timedelta(seconds=12)
    assert (resting.code, resting.retry_after) == ("gateway_unavailable", 13)
    assert resting.message == GatewayUnavailable.message


# --- What payments make of it ----------------------------------------------------------------------------------------


@pytest.fixture
def gateway(db: None) -> Iterator[ScriptedGateway]:
    with scripted_gateway() as installed:
        breaker._answers.forget(("scripted", OWN_ACCOUNT))
        yield installed


def break_down() -> None:
    silence_of(OWN_ACCOUNT)
    assert rests(OWN_ACCOUNT)


def test_a_push_to_a_gateway_that_rests_is_not_sent_and_waits_without_counting_as_failed(
    clock, gateway, member, in_tenant
):
    payment = make_payment(member, gateway="scripted")
    attempt = only_attempt(payment)
    OutboxEvent.objects.exclude(name="payment.started").delete()
    break_down()

    with outside_tenants():
        work_off_outbox()

    event = OutboxEvent.objects.get(name="payment.started")
    assert gateway.calls == []
    assert (event.attempts, event.done_at) == (0, None)
    assert timedelta(0) < event.next_at - timezone.now() <= timedelta(seconds=30)
    attempt.refresh_from_db()
    assert attempt.status == "queued"

    clock.shift(timedelta(seconds=31))
    gateway.charges = [PENDING]
    with outside_tenants():
        work_off_outbox()
    assert gateway.calls == [("charge", attempt.reference)]


def test_polls_of_a_gateway_that_rests_are_postponed_and_not_used_up(clock, gateway, in_tenant):
    attempt = only_attempt(make_payment(in_tenant, gateway="scripted"))
    gateway.charges = [PENDING]
    submit_attempt(attempt_id=attempt.pk)
    break_down()

    with pytest.raises(RetryLater):
        poll_attempt(attempt_id=attempt.pk, poll=0)

    attempt.refresh_from_db()
    assert attempt.polls == 0
    assert gateway.calls == [("charge", attempt.reference)]


def start(client, key: str = ""):
    wish = a_wish_to_pay(gateway="scripted")
    return client.post(URL, wish, format="json", headers={"Idempotency-Key": key or uuid.uuid4().hex})


@pytest.mark.invariant("I20")
def test_a_payment_is_taken_while_its_gateway_rests(clock, gateway, member_client):
    break_down()

    response = start(member_client)

    assert (response.status_code, response.json()["data"]["status"]) == (201, "processing")


@pytest.mark.invariant("I20")
def test_where_it_is_wished_a_payment_is_refused_before_anything_is_stored(clock, gateway, member_client, settings):
    settings.PAYMENT_REFUSE_WHEN_GATEWAY_IS_DOWN = True
    break_down()

    response = start(member_client, key="the same key")

    assert refusal_of(response) == (503, "gateway_unavailable")
    assert 0 < int(response.headers["Retry-After"]) <= 31
    assert not Payment.unscoped.exists()
    assert not Attempt.unscoped.exists()
    clock.shift(timedelta(seconds=31))
    assert start(member_client, key="the same key").status_code == 201


def test_a_tenant_may_wish_it_for_its_own_account(clock, gateway, member, stranger):
    with tenant_scope(member.tenant_id):
        save_account(actor_id=member.user.pk, gateway="scripted", credentials={})
        account = choose_account("scripted")
        assert account.id is not None
        silence_of(account.id)
        assert choose_account("scripted").id == account.id

    client = member.client()
    path = "/api/v1/payments/gateways/scripted/account/"
    assert client.put(path, {"refuses_when_down": True}, format="json").status_code == 200

    assert refusal_of(start(client)) == (503, "gateway_unavailable")
    assert start(stranger.client()).status_code == 201


@pytest.mark.invariant("I20")
def test_starting_a_payment_asks_no_gateway_and_is_quick_while_it_is_down(
    gateway, member_client, wire, figure, record_figure
):
    """The figure of the invariant is that of a full run on an idle computer; a quick one only looks that it works."""
    break_down()
    count = figure(quick=5, full=500)
    took = []

    for _ in range(count):
        began = time.perf_counter()
        assert start(member_client).status_code == 201
        took.append(time.perf_counter() - began)

    assert wire.calls == []
    assert gateway.calls == []
    if count >= 100:
        p95 = statistics.quantiles(took, n=20)[-1]
        record_figure(f"p95 of {count} starts: {p95 * 1000:.0f} ms")
        assert p95 < 0.3
