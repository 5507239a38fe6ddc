"""The engine: start, submit, record, poll, expire. Crashes are played by leaving a step out and calling it again."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from apps.payments.derivation import AttemptStatus, PaymentStatus
from apps.payments.history import is_intact
from apps.payments.models.accounts import GatewayReference
from apps.payments.models.payments import Attempt, Observation, Payment, PaymentEvent
from apps.payments.services import attempts
from apps.payments.services.attempts import poll_attempt, record_charge, submit_attempt
from apps.payments.services.payments import ClientReferenceTaken, expire_payment
from core.money import Money
from core.outbox.models import OutboxEvent
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import ChargeNotFound, ChargeResult, ChargeStatus, GatewayRefused
from services.payments.registry import GatewayNotEnabled
from tests.factories.accounts import Member
from tests.factories.payments import make_payment, only_attempt
from tests.fakes import IdempotentScriptedGateway, ScriptedGateway, scripted_gateway

ASKED = Money(500_000, "TZS")
PENDING = ChargeResult(status=ChargeStatus.PENDING, provider_reference="P1")
PAID = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=ASKED)
DECLINED = ChargeResult(status=ChargeStatus.DECLINED, provider_reference="P1", reason="no money")


@pytest.fixture
def gateway(in_tenant: Member) -> Iterator[ScriptedGateway]:
    with scripted_gateway() as installed:
        yield installed


@pytest.fixture
def idempotent_gateway(in_tenant: Member) -> Iterator[ScriptedGateway]:
    with scripted_gateway(IdempotentScriptedGateway) as installed:
        yield installed


def start(member: Member, **changes: Any) -> tuple[Payment, Attempt]:
    payment = make_payment(member, gateway="scripted", **changes)
    return payment, only_attempt(payment)


def status_of(payment: Payment) -> str:
    payment.refresh_from_db()
    return payment.status


def events(name: str) -> list[OutboxEvent]:
    return list(OutboxEvent.objects.filter(name=name))


def test_starting_writes_everything_and_calls_nobody(gateway, in_tenant):
    payment, attempt = start(in_tenant)

    assert payment.status == PaymentStatus.PROCESSING
    assert attempt.status == AttemptStatus.QUEUED
    assert GatewayReference.objects.get().subject_id == attempt.pk
    assert [event.name for event in OutboxEvent.objects.order_by("id")] == ["payment.started", "payment.expiring"]
    assert not gateway.calls


def test_a_gateway_that_is_not_enabled_leaves_no_trace(gateway, in_tenant):
    with pytest.raises(GatewayNotEnabled):
        make_payment(in_tenant, gateway="acmepay")

    assert not Payment.objects.exists()
    assert not OutboxEvent.objects.exists()
    assert not GatewayReference.objects.exists()


def test_a_client_reference_is_taken_once_for_ever(gateway, in_tenant):
    start(in_tenant, client_reference="order-1")

    with pytest.raises(ClientReferenceTaken):
        start(in_tenant, client_reference="order-1")

    assert Payment.objects.count() == 1
    start(in_tenant)
    start(in_tenant)
    assert Payment.objects.count() == 3


def test_a_push_is_sent_once_and_waits(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    gateway.charges = [PENDING]

    submit_attempt(attempt_id=attempt.pk)
    submit_attempt(attempt_id=attempt.pk)

    assert gateway.calls == [("charge", attempt.reference)]
    assert status_of(payment) == PaymentStatus.PROCESSING
    attempt.refresh_from_db()
    assert attempt.status == AttemptStatus.PENDING
    assert attempt.provider_reference == "P1"
    assert attempt.next_poll_at is not None
    assert len(events("attempt.poll_due")) == 1


@pytest.mark.invariant("I8")
def test_a_worker_that_died_after_claiming_asks_and_does_not_charge_again(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    attempts._claim_for_submission(attempt_id=attempt.pk)  # and then the power went
    gateway.queries = [PAID]

    submit_attempt(attempt_id=attempt.pk)

    assert gateway.calls == [("query", attempt.reference)]
    assert status_of(payment) == PaymentStatus.SETTLED


@pytest.mark.invariant("I6", "I7")
def test_nobody_charges_on_a_guess_when_the_gateway_does_not_know_the_reference(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    attempts._claim_for_submission(attempt_id=attempt.pk)
    gateway.queries = [ChargeNotFound()]

    submit_attempt(attempt_id=attempt.pk)

    assert gateway.calls == [("query", attempt.reference)]
    assert status_of(payment) == PaymentStatus.PROCESSING
    attempt.refresh_from_db()
    assert attempt.status == AttemptStatus.UNKNOWN


def test_an_idempotent_gateway_gets_the_same_reference_again(idempotent_gateway, in_tenant):
    payment, attempt = start(in_tenant)
    attempts._claim_for_submission(attempt_id=attempt.pk)
    idempotent_gateway.queries = [ChargeNotFound()]
    idempotent_gateway.charges = [PENDING]

    submit_attempt(attempt_id=attempt.pk)

    assert idempotent_gateway.calls == [("query", attempt.reference), ("charge", attempt.reference)]
    assert Attempt.objects.count() == 1
    assert status_of(payment) == PaymentStatus.PROCESSING


@pytest.mark.invariant("I7")
def test_when_nothing_was_sent_the_next_try_is_again_the_first(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    gateway.charges = [GatewayUnavailable(), PENDING]

    with pytest.raises(GatewayUnavailable):
        submit_attempt(attempt_id=attempt.pk)
    attempt.refresh_from_db()
    assert attempt.status == AttemptStatus.QUEUED

    submit_attempt(attempt_id=attempt.pk)
    assert [call for call, _ in gateway.calls] == ["charge", "charge"]
    assert status_of(payment) == PaymentStatus.PROCESSING


@pytest.mark.invariant("I6")
def test_silence_after_sending_is_unknown_and_never_failed(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    gateway.charges = [OutcomeUnknown()]

    submit_attempt(attempt_id=attempt.pk)

    attempt.refresh_from_db()
    assert attempt.status == AttemptStatus.UNKNOWN
    assert status_of(payment) == PaymentStatus.PROCESSING
    assert attempt.next_poll_at is not None


def test_a_refusal_by_the_gateway_fails_the_payment_and_keeps_its_words_inside(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    gateway.charges = [GatewayRefused("feature", "Application has no access")]

    submit_attempt(attempt_id=attempt.pk)

    assert status_of(payment) == PaymentStatus.FAILED
    assert "no access" in Observation.objects.get().reason


def test_the_same_news_twice_is_one_observation_and_one_event(gateway, in_tenant):
    payment, attempt = start(in_tenant)

    for source in ("webhook", "poll", "webhook"):
        record_charge(attempt_id=attempt.pk, source=source, result=PAID)

    assert Observation.objects.count() == 1
    assert len({event.event_id for event in events("payment.settled")}) == 1
    payment.refresh_from_db()
    assert payment.captured == payment.amount
    assert payment.applied_attempt_id == attempt.pk


@pytest.mark.invariant("I10")
def test_a_decline_then_money_settles_late_and_says_so(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    record_charge(attempt_id=attempt.pk, source="webhook", result=DECLINED)
    assert status_of(payment) == PaymentStatus.FAILED

    record_charge(attempt_id=attempt.pk, source="poll", result=PAID)

    assert status_of(payment) == PaymentStatus.SETTLED
    assert payment.is_late_settlement
    record_charge(attempt_id=attempt.pk, source="webhook", result=DECLINED)
    assert status_of(payment) == PaymentStatus.SETTLED


@pytest.mark.parametrize(
    ("money", "captured"), [(Money(450_000, "TZS"), 450_000), (Money(500_000, "USD"), 0), (None, 0)]
)
@pytest.mark.invariant("I12")
def test_a_wrong_amount_is_never_settled(gateway, in_tenant, money, captured):
    payment, attempt = start(in_tenant)

    record_charge(attempt_id=attempt.pk, source="poll", result=ChargeResult(status=ChargeStatus.PAID, money=money))

    assert status_of(payment) == PaymentStatus.REVIEW
    assert payment.anomalies == ["amount_mismatch"]
    assert payment.captured == captured
    assert not events("payment.settled")


def test_polling_goes_on_until_the_gateway_has_answered(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    gateway.charges, gateway.queries = [PENDING], [GatewayUnavailable(), ChargeNotFound(), PENDING, PAID]
    submit_attempt(attempt_id=attempt.pk)

    for poll in range(4):
        assert len(events("attempt.poll_due")) == poll + 1
        poll_attempt(attempt_id=attempt.pk, poll=poll)

    assert status_of(payment) == PaymentStatus.SETTLED
    assert len(events("attempt.poll_due")) == 4
    attempt.refresh_from_db()
    assert attempt.next_poll_at is None


def test_an_answered_attempt_is_neither_asked_about_nor_expired(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    other, other_attempt = start(in_tenant)
    gateway.charges = [PENDING, PENDING]
    for each in (attempt, other_attempt):
        submit_attempt(attempt_id=each.pk)

    record_charge(attempt_id=attempt.pk, source="webhook", result=PAID)

    waiting = OutboxEvent.objects.filter(done_at=None, name__in=("attempt.poll_due", "payment.expiring"))
    assert {event.aggregate for event in waiting} == {f"question:{other_attempt.pk}", f"expiry:{other_attempt.pk}"}
    assert (status_of(payment), status_of(other)) == (PaymentStatus.SETTLED, PaymentStatus.PROCESSING)


def test_a_poll_that_is_delivered_twice_asks_and_plans_once(gateway, in_tenant):
    _payment, attempt = start(in_tenant)
    gateway.charges, gateway.queries = [PENDING], [PENDING, PENDING]
    submit_attempt(attempt_id=attempt.pk)

    poll_attempt(attempt_id=attempt.pk, poll=0)
    poll_attempt(attempt_id=attempt.pk, poll=0)

    assert [call for call, _ in gateway.calls] == ["charge", "query"]
    assert len(events("attempt.poll_due")) == 2


def test_after_a_week_without_an_answer_a_person_has_to_look(gateway, in_tenant):
    _payment, attempt = start(in_tenant)
    gateway.charges, gateway.queries = [PENDING], [PENDING]
    submit_attempt(attempt_id=attempt.pk)
    Attempt.objects.update(submitted_at=timezone.now() - timedelta(days=8), polls=99)

    poll_attempt(attempt_id=attempt.pk, poll=99)

    attempt.refresh_from_db()
    assert attempt.next_poll_at is None
    assert len(events("attempt.poll_due")) == 1


@pytest.mark.invariant("I10")
def test_expiry_is_our_opinion_and_money_outranks_it(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    gateway.charges = [PENDING]
    submit_attempt(attempt_id=attempt.pk)

    expire_payment(payment_id=payment.pk)
    assert status_of(payment) == PaymentStatus.EXPIRED

    gateway.queries = [PAID]
    poll_attempt(attempt_id=attempt.pk, poll=0)
    assert status_of(payment) == PaymentStatus.SETTLED
    assert payment.is_late_settlement


def test_an_expired_payment_is_never_sent(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    expire_payment(payment_id=payment.pk)

    submit_attempt(attempt_id=attempt.pk)

    assert not gateway.calls
    assert status_of(payment) == PaymentStatus.EXPIRED


def test_expiry_leaves_a_settled_payment_alone(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    record_charge(attempt_id=attempt.pk, source="poll", result=PAID)

    expire_payment(payment_id=payment.pk)

    assert status_of(payment) == PaymentStatus.SETTLED


@pytest.mark.invariant("I16")
def test_the_history_is_gapless_chained_and_notices_changes(gateway, in_tenant):
    payment, attempt = start(in_tenant)
    for result in (PENDING, DECLINED, PAID):
        record_charge(attempt_id=attempt.pk, source="poll", result=result)

    lines = list(PaymentEvent.objects.filter(payment=payment).order_by("seq"))
    assert [line.to_status for line in lines] == ["processing", "processing", "failed", "settled"]
    assert is_intact(lines)
    assert not is_intact(lines[1:])
    lines[2].to_status = "expired"
    assert not is_intact(lines)


@pytest.mark.parametrize("table", ["payments_paymentevent", "payments_observation"])
@pytest.mark.parametrize("statement", ["UPDATE {} SET id = id", "DELETE FROM {}"])
def test_the_database_itself_refuses_to_rewrite_history(gateway, in_tenant, table, statement):
    _payment, attempt = start(in_tenant)
    record_charge(attempt_id=attempt.pk, source="poll", result=PAID)

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement.format(table))


@pytest.mark.invariant("I6")
def test_a_refused_question_is_no_answer_about_the_charge(gateway, in_tenant):
    """The charge may be on the customer's phone: that we may not ask about it does not make it fail."""
    payment, attempt = start(in_tenant)
    attempts._claim_for_submission(attempt_id=attempt.pk)
    gateway.queries = [GatewayRefused("credentials", "no right to query")]

    submit_attempt(attempt_id=attempt.pk)

    assert status_of(payment) == PaymentStatus.PROCESSING


def test_our_own_end_does_not_hide_the_gateways(gateway, in_tenant):
    """The same word by two voices is two pieces of news: after the gateway's, nobody asks any more."""
    payment, attempt = start(in_tenant)
    record_charge(attempt_id=attempt.pk, source="webhook", result=PENDING)
    expire_payment(payment_id=payment.pk)

    record_charge(attempt_id=attempt.pk, source="poll", result=ChargeResult(status=ChargeStatus.EXPIRED))

    attempt.refresh_from_db()
    assert attempt.next_poll_at is None
    assert Observation.objects.filter(status="expired").count() == 2
