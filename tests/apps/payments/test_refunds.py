"""Refunds: reserved under the payment's lock, sent once, heard of in any order, or sent by a person."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from apps.messaging.models.messages import Message
from apps.payments.history import is_intact
from apps.payments.models.accounts import GatewayReference
from apps.payments.models.payments import Observation, Payment, PaymentEvent
from apps.payments.models.transfers import Refund
from apps.payments.services import transfers
from apps.payments.services.attempts import record_charge
from apps.payments.services.books import derive_totals_again
from apps.payments.services.refunds import (
    NothingCaptured,
    RefundCurrencyDiffers,
    RefundExceedsCaptured,
    RefundSpansAttempts,
    _desk,
    ask_refund,
    complete_refund,
    poll_refund,
    record_refund,
    reject_refund,
    submit_refund,
)
from apps.payments.services.transfers import NotWaitingForAPerson
from apps.payments.transfers import ShownStatus, TransferStatus
from core.audit.models import AuditEntry
from core.money import Money
from core.outbox.models import OutboxEvent
from core.outbox.relay import RetryLater
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments import base
from services.payments.base import (
    ChargeResult,
    ChargeStatus,
    GatewayRefused,
    RefundNotSupported,
    TransferNotFound,
    TransferResult,
)
from tests.factories.accounts import Member
from tests.factories.payments import (
    count_of,
    lines_of,
    make_payment,
    make_refund,
    make_settled_payment,
    only_attempt,
    pay_again,
)
from tests.fakes import GenerousScriptedGateway, ScriptedGateway, scripted_gateway
from tests.outbox import work_off_outbox

ASKED = Money(500_000, "TZS")
PENDING = TransferResult(status=base.TransferStatus.PENDING, provider_reference="R1")
SENT = TransferResult(status=base.TransferStatus.SUCCEEDED, provider_reference="R1")
FAILED = TransferResult(status=base.TransferStatus.FAILED, provider_reference="R1", reason="account closed")
RETURNED = TransferResult(status=base.TransferStatus.RETURNED, provider_reference="R1")


@pytest.fixture
def gateway(in_tenant: Member) -> Iterator[ScriptedGateway]:
    with scripted_gateway(GenerousScriptedGateway) as installed:
        yield installed


@pytest.fixture
def payment(gateway: ScriptedGateway, in_tenant: Member) -> Payment:
    return make_settled_payment(in_tenant, gateway="scripted")


def refund_of(member: Member, payment: Payment, amount: int | None = None, **changes: Any) -> Refund:
    money = None if amount is None else Money(amount, "TZS")
    return make_refund(member, payment, money=money, **changes)


def columns_of(payment: Payment) -> tuple[int, int, int]:
    payment.refresh_from_db()
    return payment.captured, payment.refund_reserved, payment.refunded


def calls_of(gateway: ScriptedGateway) -> list[str]:
    return [call for call, _reference in gateway.calls]


def fresh(refund: Refund) -> Refund:
    refund.refresh_from_db()
    return refund


# --- Asking for one --------------------------------------------------------------------------------------------------


def test_asking_reserves_and_calls_nobody(gateway, payment, in_tenant):
    refund = refund_of(in_tenant, payment, 200_000, reason="broken")

    assert refund.shown_status is ShownStatus.PROCESSING
    assert columns_of(payment) == (500_000, 200_000, 0)
    assert not gateway.calls
    assert GatewayReference.objects.get(reference=refund.reference).kind == "refund"
    assert OutboxEvent.objects.filter(name="refund.requested").count() == 1
    assert AuditEntry.objects.get(action="refund.requested").target_id == str(refund.pk)


def test_without_an_amount_all_that_is_left_goes_back(payment, in_tenant):
    refund_of(in_tenant, payment, 120_000)

    assert refund_of(in_tenant, payment).amount == 380_000
    with pytest.raises(RefundExceedsCaptured):
        refund_of(in_tenant, payment)


def test_more_than_came_in_is_refused_and_leaves_nothing(payment, in_tenant):
    refund_of(in_tenant, payment, 300_000)

    with pytest.raises(RefundExceedsCaptured):
        refund_of(in_tenant, payment, 200_001)

    assert Refund.objects.count() == 1
    assert columns_of(payment) == (500_000, 300_000, 0)


def test_a_payment_that_has_brought_nothing_in_cannot_be_refunded(gateway, in_tenant):
    waiting = make_payment(in_tenant, gateway="scripted")

    with pytest.raises(NothingCaptured):
        refund_of(in_tenant, waiting)


def test_a_refund_has_the_currency_of_its_payment(payment, in_tenant):
    with pytest.raises(RefundCurrencyDiffers):
        make_refund(in_tenant, payment, money=Money(100, "USD"))


def test_a_second_capture_is_refunded_by_its_number(payment, in_tenant):
    second = pay_again(in_tenant, payment)
    assert columns_of(payment)[0] == 1_000_000

    with pytest.raises(RefundSpansAttempts):
        refund_of(in_tenant, payment, 600_000)
    assert refund_of(in_tenant, payment, attempt=2).attempt_id == second.pk
    with pytest.raises(RefundExceedsCaptured):
        refund_of(in_tenant, payment, 1, attempt=2)
    with pytest.raises(RefundExceedsCaptured):
        refund_of(in_tenant, payment, 1, attempt=3)
    assert refund_of(in_tenant, payment).attempt_id == payment.applied_attempt_id
    assert columns_of(payment) == (1_000_000, 1_000_000, 0)


def test_without_a_number_the_attempt_that_counts_comes_first_and_then_an_excess_one(payment, in_tenant):
    second = pay_again(in_tenant, payment)

    assert refund_of(in_tenant, payment, 400_000).attempt_id == payment.applied_attempt_id
    assert refund_of(in_tenant, payment, 400_000).attempt_id == second.pk


def hear_of_foreign(payment: Payment, amount: int) -> None:
    """The gateway says that so much of the payment went back in all, by whoever's wish."""
    result = ChargeResult(status=ChargeStatus.PAID, money=ASKED, refunded=Money(amount, "TZS"))
    record_charge(attempt_id=only_attempt(payment).pk, source="poll", result=result)


def test_what_was_sent_back_at_the_gateway_is_not_there_to_be_refunded(payment, in_tenant):
    hear_of_foreign(payment, 200_000)

    assert columns_of(payment) == (500_000, 0, 200_000)
    with pytest.raises(RefundExceedsCaptured):
        refund_of(in_tenant, payment, 300_001)
    assert refund_of(in_tenant, payment).amount == 300_000
    assert derive_totals_again().differences == []


def test_what_the_gateway_counts_as_refunded_is_ours_as_long_as_ours_is_not_failed(payment, in_tenant):
    refund = refund_of(in_tenant, payment, 200_000)
    hear_of_foreign(payment, 200_000)
    assert columns_of(payment) == (500_000, 200_000, 0)

    record_refund(refund_id=refund.pk, source="webhook", result=FAILED)

    assert columns_of(payment) == (500_000, 0, 200_000)
    assert payment.anomalies == ["refunded_elsewhere"]


# --- Sending it ------------------------------------------------------------------------------------------------------


def test_a_refund_that_succeeds_is_one_line_and_the_customer_is_told(gateway, payment, in_tenant):
    gateway.refunds = [SENT]
    refund = refund_of(in_tenant, payment, 200_000)

    work_off_outbox()
    submit_refund(refund_id=refund.pk)

    assert calls_of(gateway) == ["refund"]
    assert fresh(refund).shown_status is ShownStatus.SUCCEEDED
    assert refund.ended_at is not None
    assert columns_of(payment) == (500_000, 200_000, 200_000)
    assert payment.status == "settled"
    assert sorted(lines_of(in_tenant)) == [("capture", 500_000), ("refund", -200_000)]
    told = Message.objects.get(text__contains="sent back")
    assert told.to == payment.phone


def test_a_worker_that_died_after_claiming_asks_and_never_sends_again(gateway, payment, in_tenant):
    refund = refund_of(in_tenant, payment)
    transfers._claim(_desk, refund.pk)  # and then the power went
    gateway.refund_queries = [TransferNotFound(), TransferNotFound(), SENT]

    submit_refund(refund_id=refund.pk)
    assert fresh(refund).status == TransferStatus.UNKNOWN
    submit_refund(refund_id=refund.pk)
    for poll in range(2):
        poll_refund(refund_id=refund.pk, poll=poll)

    assert calls_of(gateway) == ["query_refund"] * 3
    assert fresh(refund).status == TransferStatus.SUCCEEDED


@pytest.mark.parametrize("silence", [OutcomeUnknown(), GatewayUnavailable(), GatewayRefused("credentials", "no")])
def test_a_question_that_fails_says_nothing_about_what_may_have_been_sent(gateway, payment, in_tenant, silence):
    refund = refund_of(in_tenant, payment)
    transfers._claim(_desk, refund.pk)
    gateway.refund_queries = [silence]

    submit_refund(refund_id=refund.pk)

    assert fresh(refund).status == TransferStatus.UNKNOWN
    assert refund.next_poll_at is not None
    assert columns_of(payment) == (500_000, 500_000, 0)


def test_silence_after_sending_is_asked_about_until_it_is_known(gateway, payment, in_tenant):
    gateway.refunds, gateway.refund_queries = [OutcomeUnknown()], [GatewayUnavailable(), PENDING, PENDING, SENT]
    refund = refund_of(in_tenant, payment)
    submit_refund(refund_id=refund.pk)

    for poll in range(4):
        assert OutboxEvent.objects.filter(name="refund.poll_due").count() == poll + 1
        poll_refund(refund_id=refund.pk, poll=poll)
        poll_refund(refund_id=refund.pk, poll=poll)

    assert calls_of(gateway) == ["refund", *["query_refund"] * 4]
    assert fresh(refund).status == TransferStatus.SUCCEEDED
    assert refund.next_poll_at is None


def test_when_nothing_was_sent_it_is_in_line_again(gateway, payment, in_tenant):
    gateway.refunds = [GatewayUnavailable(retry_after=90), PENDING]
    refund = refund_of(in_tenant, payment)

    with pytest.raises(RetryLater) as later:
        submit_refund(refund_id=refund.pk)
    assert fresh(refund).status == TransferStatus.QUEUED
    assert later.value.delay >= timedelta(seconds=70)

    submit_refund(refund_id=refund.pk)
    assert calls_of(gateway) == ["refund", "refund"]
    assert fresh(refund).status == TransferStatus.PENDING


def test_a_gateway_that_is_away_for_a_day_has_refunded_nothing(gateway, payment, in_tenant):
    gateway.refunds = [GatewayUnavailable()]
    refund = refund_of(in_tenant, payment)
    Refund.objects.update(created_at=timezone.now() - timedelta(hours=25))

    submit_refund(refund_id=refund.pk)

    assert (fresh(refund).shown_status, refund.refusal) == (ShownStatus.FAILED, "gateway_unavailable")
    assert columns_of(payment) == (500_000, 0, 0)


def test_a_refusal_by_the_gateway_fails_it_and_releases_what_was_reserved(gateway, payment, in_tenant):
    gateway.refunds = [GatewayRefused("not_enabled", "Refunds are off for org 17")]
    refund = refund_of(in_tenant, payment)

    work_off_outbox()

    assert (fresh(refund).shown_status, refund.refusal) == (ShownStatus.FAILED, "not_enabled")
    assert "org 17" in Observation.objects.get(refund=refund).reason
    assert columns_of(payment) == (500_000, 0, 0)
    assert refund_of(in_tenant, payment).amount == 500_000


def test_money_that_comes_back_may_be_refunded_anew(gateway, payment, in_tenant):
    refund = refund_of(in_tenant, payment, 200_000)
    gateway.refunds = [SENT]
    submit_refund(refund_id=refund.pk)

    record_refund(refund_id=refund.pk, source="webhook", result=RETURNED)

    assert fresh(refund).shown_status is ShownStatus.RETURNED
    assert columns_of(payment) == (500_000, 0, 0)
    assert sum(amount for _kind, amount in lines_of(in_tenant)) == 500_000
    assert refund_of(in_tenant, payment).amount == 500_000


def test_a_return_that_is_heard_of_first_leaves_the_same_lines(payment, in_tenant):
    refund = refund_of(in_tenant, payment, 200_000)

    for result in (RETURNED, SENT, RETURNED):
        record_refund(refund_id=refund.pk, source="webhook", result=result)

    assert sorted(lines_of(in_tenant)) == [("capture", 500_000), ("refund", -200_000), ("return", 200_000)]
    assert derive_totals_again().differences == []


def test_a_success_after_a_failure_is_written_down_even_when_the_money_went_out_twice(payment, in_tenant):
    """The gateway called it failed, another one was sent, and then it turns out that both went."""
    first = refund_of(in_tenant, payment)
    record_refund(refund_id=first.pk, source="webhook", result=FAILED)
    second = refund_of(in_tenant, payment)
    record_refund(refund_id=second.pk, source="webhook", result=SENT)

    record_refund(refund_id=first.pk, source="webhook", result=SENT)

    assert fresh(first).status == TransferStatus.SUCCEEDED
    assert first.anomalies == ["success_and_failure"]
    assert columns_of(payment) == (500_000, 500_000, 1_000_000)
    (difference,) = derive_totals_again().differences
    assert "1000000 went back" in str(difference)


def test_another_amount_than_asked_for_needs_a_person(payment, in_tenant):
    refund = refund_of(in_tenant, payment, 200_000)

    result = TransferResult(status=base.TransferStatus.SUCCEEDED, money=Money(150_000, "TZS"))
    record_refund(refund_id=refund.pk, source="poll", result=result)

    assert fresh(refund).anomalies == ["amount_mismatch"]


def test_a_week_without_an_answer_needs_a_person(gateway, payment, in_tenant):
    refund = refund_of(in_tenant, payment)
    gateway.refunds, gateway.refund_queries = [OutcomeUnknown()], [TransferNotFound()]
    submit_refund(refund_id=refund.pk)
    Refund.objects.update(submitted_at=timezone.now() - timedelta(days=8), polls=99)

    poll_refund(refund_id=refund.pk, poll=99)

    assert (fresh(refund).next_poll_at, refund.anomalies) == (None, ["unanswered"])
    wish = {"actor_id": in_tenant.user.pk, "refund_id": refund.pk, "evidence": "bank statement"}
    with pytest.raises(NotWaitingForAPerson):
        reject_refund(**wish)  # the money is the installation's: its staff find out
    reject_refund(**wish, is_platform=True)
    assert (fresh(refund).shown_status, refund.refusal, refund.anomalies) == (ShownStatus.FAILED, "rejected", [])


def test_a_hint_makes_us_ask(gateway, payment, in_tenant):
    refund = refund_of(in_tenant, payment)
    ask_refund(refund_id=refund.pk)
    assert not gateway.calls

    gateway.refunds, gateway.refund_queries = [PENDING], [TransferNotFound(), SENT]
    submit_refund(refund_id=refund.pk)
    ask_refund(refund_id=refund.pk)
    ask_refund(refund_id=refund.pk)

    assert fresh(refund).status == TransferStatus.SUCCEEDED
    assert calls_of(gateway) == ["refund", "query_refund", "query_refund"]


def test_the_payments_history_tells_of_its_refunds_and_stays_chained(gateway, payment, in_tenant):
    before = payment.version
    gateway.refunds = [PENDING]
    refund = refund_of(in_tenant, payment)
    submit_refund(refund_id=refund.pk)
    record_refund(refund_id=refund.pk, source="webhook", result=SENT)

    lines = list(PaymentEvent.objects.filter(payment=payment).order_by("seq"))
    assert [line.kind for line in lines[before:]] == ["refund_requested", "refund_observed", "refund_observed"]
    assert {line.to_status for line in lines[before:]} == {"settled"}
    assert lines[-1].data["status"] == "succeeded"
    assert is_intact(lines)
    payment.refresh_from_db()
    assert payment.version == len(lines)


# --- By hand ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def plain_payment(in_tenant: Member) -> Iterator[Payment]:
    """Of a gateway that cannot refund."""
    with scripted_gateway(ScriptedGateway):
        yield make_settled_payment(in_tenant, gateway="scripted")


def test_where_the_gateway_cannot_refund_a_person_does(plain_payment, in_tenant):
    refund = refund_of(in_tenant, plain_payment, 200_000)
    assert refund.shown_status is ShownStatus.MANUAL
    work_off_outbox()
    assert fresh(refund).shown_status is ShownStatus.MANUAL

    complete_refund(actor_id=in_tenant.user.pk, refund_id=refund.pk, evidence="M-Pesa QK27X8Y1")

    assert (fresh(refund).shown_status, refund.evidence) == (ShownStatus.SUCCEEDED, "M-Pesa QK27X8Y1")
    assert columns_of(plain_payment) == (500_000, 200_000, 200_000)
    observation = Observation.objects.get(refund=refund)
    assert (observation.source, observation.actor) == ("manual", str(in_tenant.user.pk))
    assert PaymentEvent.objects.filter(payment=plain_payment).order_by("-seq")[0].actor == str(in_tenant.user.pk)
    assert AuditEntry.objects.get(action="refund.completed").data["evidence"] == "M-Pesa QK27X8Y1"
    for decide in (complete_refund, reject_refund):
        with pytest.raises(NotWaitingForAPerson):
            decide(actor_id=in_tenant.user.pk, refund_id=refund.pk, evidence="again")


def test_what_a_person_does_not_send_is_free_again(plain_payment, in_tenant):
    refund = refund_of(in_tenant, plain_payment)

    reject_refund(actor_id=in_tenant.user.pk, refund_id=refund.pk)

    assert (fresh(refund).shown_status, refund.refusal) == (ShownStatus.FAILED, "rejected")
    assert columns_of(plain_payment) == (500_000, 0, 0)


def test_where_people_may_not_send_either_it_is_refused(plain_payment, in_tenant, settings):
    settings.MANUAL_REFUNDS = False

    with pytest.raises(RefundNotSupported):
        refund_of(in_tenant, plain_payment)

    assert not Refund.objects.exists()
    assert columns_of(plain_payment) == (500_000, 0, 0)


def test_nobody_decides_about_a_refund_that_the_gateway_sends(gateway, payment, in_tenant):
    refund = refund_of(in_tenant, payment)

    with pytest.raises(NotWaitingForAPerson):
        complete_refund(actor_id=in_tenant.user.pk, refund_id=refund.pk, evidence="I say so", is_platform=True)


# --- Over HTTP -------------------------------------------------------------------------------------------------------


def ask_for(client: Any, payment: Payment, key: str = "", **wish: Any) -> Any:
    url = f"/api/v1/payments/{payment.pk}/refunds/"
    return client.post(url, wish, format="json", headers={"Idempotency-Key": key or uuid.uuid4().hex})


def test_an_equal_refund_twice_with_one_key_is_one(member, member_client):
    payment = make_settled_payment(member)
    amount = {"amount": 100_000, "currency": "TZS"}

    first, again = (ask_for(member_client, payment, key="k", amount=amount) for _ in range(2))

    assert first.status_code == again.status_code == 201
    assert first.content == again.content
    data = first.json()["data"]
    assert (data["status"], data["attempt"], data["amount"]["display"]) == ("manual", 1, "TZS 1,000")
    url = f"/api/v1/payments/{payment.pk}/refunds/"
    assert [each["id"] for each in member_client.get(url).json()["data"]["results"]] == [data["id"]]
    assert member_client.get(f"/api/v1/refunds/{data['id']}/").json()["data"] == data
    assert member_client.get("/api/v1/refunds/?status=manual").json()["data"]["results"] == [data]
    assert member_client.get("/api/v1/refunds/?status=succeeded").json()["data"]["results"] == []


@pytest.mark.parametrize(
    ("wish", "status", "code"),
    [
        ({"amount": {"amount": 500_001, "currency": "TZS"}}, 422, "refund_exceeds_captured"),
        ({"amount": {"amount": 100, "currency": "USD"}}, 422, "refund_currency_differs"),
        ({"amount": {"amount": 0, "currency": "TZS"}}, 400, "validation_error"),
        ({"amount": None}, 400, "validation_error"),
        ({"attempt": 2}, 422, "refund_exceeds_captured"),
        ({"attempt": "1"}, 400, "validation_error"),
        ({"reason": "x" * 301}, 400, "validation_error"),
        ({"is_manual": True}, 400, "validation_error"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused_by_name(member, member_client, wish, status, code):
    payment = make_settled_payment(member)

    response = ask_for(member_client, payment, **wish)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert count_of(member, Refund) == 0


def test_a_payment_without_money_answers_409(member, member_client):
    response = ask_for(member_client, make_payment(member))

    assert (response.status_code, response.json()["code"]) == (409, "nothing_captured")
