"""Calling off and trying again: what ends, what goes on, and that money wins."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import close_old_connections

from apps.payments.models.payments import Attempt, Observation, Payment, PaymentEvent
from apps.payments.services.attempts import begin_submission, end_submission, record_charge, submit_attempt
from apps.payments.services.cancellations import cancel_payment, withdraw_attempt
from apps.payments.services.payments import PaymentSettled, expire_payment, retry_payment
from core.exceptions import DomainError, NotFound
from core.outbox.models import OutboxEvent
from core.tenancy import tenant_scope, tenant_transaction
from services.http import GatewayUnavailable
from services.payments.base import ChargeNotFound
from tests.apps.payments.stories import (
    CANCELLED,
    DECLINED,
    OPEN_PAGE,
    PAID,
    PENDING,
    a_page,
    fresh,
    hear,
    paid,
    post,
    rows,
    tried_again,
)
from tests.core.test_idempotency import at_once
from tests.factories.accounts import Member, make_member
from tests.factories.payments import make_payment, only_attempt
from tests.fakes import CancellableScriptedGateway, PageScriptedGateway, ScriptedGateway, scripted_gateway

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway(in_tenant: Member) -> Iterator[ScriptedGateway]:
    with scripted_gateway(PageScriptedGateway) as installed:
        yield installed


@pytest.fixture
def closing_gateway(in_tenant: Member) -> Iterator[ScriptedGateway]:
    with scripted_gateway(CancellableScriptedGateway) as installed:
        yield installed


def start(member: Member, **changes: Any) -> Payment:
    return make_payment(member, gateway="scripted", **changes)


def start_page(member: Member) -> Payment:
    payment = start(member, method="checkout")
    hear(payment, OPEN_PAGE)
    return payment


def cancel(payment: Payment, member: Member) -> Payment:
    cancel_payment(payment_id=payment.pk, actor_id=member.user.pk)
    return fresh(payment)


# --- Cancel ----------------------------------------------------------------------------------------------------------


def test_what_was_not_sent_ends_at_once_and_is_never_sent(gateway, in_tenant):
    payment = start(in_tenant)

    found = cancel(payment, in_tenant)
    submit_attempt(attempt_id=only_attempt(payment).pk)

    assert (found.status, found.failure_code) == ("cancelled", "cancelled")
    assert found.cancel_asked_at is not None
    assert not gateway.calls


def test_a_page_at_a_gateway_that_cannot_close_it_ends_at_once(gateway, in_tenant):
    payment = start_page(in_tenant)

    found = cancel(payment, in_tenant)

    assert found.status == "cancelled"
    assert only_attempt(payment).open_page is None
    assert not gateway.calls


def test_a_push_that_nobody_can_call_back_goes_on_until_it_ends_badly(gateway, in_tenant):
    payment = start(in_tenant)
    hear(payment, PENDING)

    found = cancel(payment, in_tenant)

    assert (found.status, found.failure_code) == ("processing", "")
    assert found.cancel_asked_at is not None
    assert hear(payment, DECLINED).status == "cancelled"
    assert fresh(payment).failure_code == "cancelled"


def test_a_push_that_is_paid_after_the_wish_settles(gateway, in_tenant):
    payment = start(in_tenant)
    hear(payment, PENDING)
    cancel(payment, in_tenant)

    found = hear(payment, PAID)

    assert (found.status, found.is_late_settlement) == ("settled", False)


@pytest.mark.invariant("I10")
def test_money_for_a_cancelled_payment_settles_late(gateway, in_tenant):
    payment = start_page(in_tenant)
    cancel(payment, in_tenant)

    found = hear(payment, PAID)

    assert (found.status, found.is_late_settlement, found.failure_code) == ("settled", True, "")
    assert OutboxEvent.objects.filter(name="payment.settled").values("event_id").distinct().count() == 1


def test_repeating_it_changes_nothing(gateway, in_tenant):
    payment = start(in_tenant)
    hear(payment, PENDING)
    first = cancel(payment, in_tenant)

    again = cancel(payment, in_tenant)

    assert (again.version, again.cancel_asked_at) == (first.version, first.cancel_asked_at)


def test_a_settled_payment_cannot_be_called_off(gateway, in_tenant):
    payment = start(in_tenant)
    hear(payment, PAID)

    with pytest.raises(PaymentSettled):
        cancel(payment, in_tenant)

    assert fresh(payment).cancel_asked_at is None


def test_a_wish_during_the_call_counts_once_nothing_was_sent(gateway, in_tenant):
    """Between the claim and the answer: the attempt is on its way, and then it turns out that nothing left."""
    payment = start(in_tenant)
    submission = begin_submission(attempt_id=only_attempt(payment).pk)
    assert submission is not None
    assert cancel(payment, in_tenant).status == "processing"
    gateway.charges = [GatewayUnavailable()]

    with pytest.raises(GatewayUnavailable):
        end_submission(submission, submission.call)
    submit_attempt(attempt_id=only_attempt(payment).pk)

    assert fresh(payment).status == "cancelled"
    assert [call for call, _ in gateway.calls] == ["charge"]


def test_a_page_that_opens_after_the_wish_is_closed_again(gateway, in_tenant):
    payment = start(in_tenant, method="checkout")
    assert begin_submission(attempt_id=only_attempt(payment).pk) is not None
    cancel(payment, in_tenant)

    assert hear(payment, OPEN_PAGE).status == "cancelled"


# --- Gateways that can call back -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (CANCELLED, "cancelled"),
        (OPEN_PAGE, "cancelled"),
        (ChargeNotFound(), "cancelled"),
        (PAID, "settled"),
        (paid(400_000), "review"),
    ],
    ids=str,
)
def test_the_gateway_is_told_and_its_answer_counts(closing_gateway, in_tenant, answer, status):
    client = in_tenant.client()
    closing_gateway.charges, closing_gateway.cancels = [OPEN_PAGE], [answer]
    payment_id = post(client, body=a_page()).json()["data"]["id"]

    response = post(client, f"{payment_id}/cancel/")

    assert (response.status_code, response.json()["data"]["status"]) == (200, status)
    assert [call for call, _ in closing_gateway.calls] == ["charge", "cancel"]


def test_a_gateway_that_does_not_answer_is_told_again_by_the_worker(closing_gateway, in_tenant):
    client = in_tenant.client()
    closing_gateway.charges, closing_gateway.cancels = [OPEN_PAGE], [GatewayUnavailable(), CANCELLED]
    payment_id = post(client, body=a_page()).json()["data"]["id"]

    response = post(client, f"{payment_id}/cancel/")
    event = OutboxEvent.objects.get(name="attempt.cancel_due")
    withdraw_attempt(attempt_id=Attempt.objects.get().pk)
    withdraw_attempt(attempt_id=Attempt.objects.get().pk)

    assert response.json()["data"]["status"] == "cancelled"
    assert event.payload == {"attempt_id": str(Attempt.objects.get().pk)}
    assert [call for call, _ in closing_gateway.calls] == ["charge", "cancel", "cancel"]
    assert Observation.objects.filter(status="cancelled").count() == 2  # our word, and then the gateway's


def test_a_push_is_called_back_where_that_can_be_done(closing_gateway, in_tenant):
    payment = start(in_tenant)
    hear(payment, PENDING)
    cancel(payment, in_tenant)
    closing_gateway.cancels = [CANCELLED]

    withdraw_attempt(attempt_id=only_attempt(payment).pk)

    assert fresh(payment).status == "cancelled"


def test_a_strangers_payment_cannot_be_called_off(gateway, in_tenant, stranger):
    payment = start(in_tenant)

    response = post(stranger.client(), f"{payment.pk}/cancel/")

    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert fresh(payment).cancel_asked_at is None
    with tenant_scope(stranger.tenant_id), pytest.raises(NotFound):
        cancel_payment(payment_id=payment.pk, actor_id=stranger.user.pk)


# --- The race --------------------------------------------------------------------------------------------------------


@pytest.mark.postgresql
@pytest.mark.invariant("I15")
@pytest.mark.django_db(transaction=True)
def test_cancelled_and_paid_at_once_has_one_winner_and_money_wins(figure, record_figure):
    member, chance, count = make_member(), random.Random(15), figure(quick=8, full=500)
    results: dict[str, int] = {}

    with scripted_gateway(PageScriptedGateway):
        for _ in range(count):
            method = chance.choice(["push", "checkout"])
            with tenant_scope(member.tenant_id), tenant_transaction():
                payment = start(member, method=method)
                attempt = only_attempt(payment)
                hear(payment, PENDING if method == "push" else OPEN_PAGE)
            result = at_once(2, lambda number, of=(payment, attempt): _cancel_or_pay(member, number, *of))[0]

            with tenant_scope(member.tenant_id), tenant_transaction():
                found = fresh(payment)
                lines = [line.to_status for line in PaymentEvent.objects.filter(payment=payment).order_by("seq")]
            assert found.status == "settled"
            assert found.captured == found.amount
            assert lines[-1] == "settled"
            assert lines.count("settled") == (2 if lines[-2] == "settled" else 1)
            # Either the cancel came too late and changed nothing, or it stands in the history before the money.
            assert (result == "payment_settled") is (found.cancel_asked_at is None)
            assert found.is_late_settlement is ("cancelled" in lines)
            results[result] = results.get(result, 0) + 1
    record_figure(f"{count} races, 0 mixed states, {results}")


def _cancel_or_pay(member: Member, number: int, payment: Payment, attempt: Attempt) -> str:
    close_old_connections()
    with tenant_scope(member.tenant_id):
        if number:
            record_charge(attempt_id=attempt.pk, source="webhook", result=PAID)
            return "paid"
        try:
            cancel_payment(payment_id=payment.pk, actor_id=member.user.pk)
        except DomainError as refusal:
            return refusal.code
        return "cancelled"


# --- Again -----------------------------------------------------------------------------------------------------------


def test_a_failed_payment_is_tried_again_under_a_new_reference(gateway, in_tenant):
    payment = start(in_tenant)
    hear(payment, DECLINED)

    attempt = tried_again(payment, in_tenant, phone="+255754000111")

    found = fresh(payment)
    assert (found.status, found.failure_code, found.phone) == ("processing", "", "+255754000111")
    assert (attempt.number, attempt.status, attempt.phone) == (2, "queued", "+255754000111")
    assert attempt.reference != Attempt.objects.get(payment=payment, number=1).reference
    assert hear(payment, PAID, number=2).applied_attempt_id == attempt.pk


def test_another_way_and_another_gateway_may_be_tried(gateway, in_tenant):
    client, payment = in_tenant.client(), start(in_tenant)
    hear(payment, DECLINED)
    gateway.charges = [OPEN_PAGE]

    data = post(client, f"{payment.pk}/retry/", {"gateway": "scripted", "method": "checkout"}).json()["data"]

    assert (data["status"], data["method"], data["checkout_url"]) == (
        "requires_action",
        "checkout",
        OPEN_PAGE.checkout_url,
    )
    assert [each["status"] for each in data["attempts"]] == ["failed", "requires_action"]


def test_each_attempt_has_a_time_of_its_own(gateway, in_tenant):
    payment = start(in_tenant)
    hear(payment, DECLINED)
    tried_again(payment, in_tenant)

    expire_payment(payment_id=payment.pk, attempt=1)
    assert fresh(payment).status == "processing"

    expire_payment(payment_id=payment.pk, attempt=2)
    assert fresh(payment).status == "expired"
    assert tried_again(payment, in_tenant).number == 3


@pytest.mark.parametrize(
    ("news", "code"),
    [
        ([], "payment_in_flight"),
        ([PENDING], "payment_in_flight"),
        ([PAID], "payment_settled"),
        ([paid(1)], "payment_in_review"),
        ([CANCELLED, "cancel"], "payment_cancelled"),
    ],
    ids=str,
)
def test_what_is_under_way_paid_or_called_off_is_not_tried_again(gateway, in_tenant, news, code):
    payment = start(in_tenant)
    for each in news:
        cancel(payment, in_tenant) if each == "cancel" else hear(payment, each)

    response = post(in_tenant.client(), f"{payment.pk}/retry/")

    assert (response.status_code, response.json()["code"]) == (409, code)
    assert Attempt.objects.filter(payment=payment).count() == 1


def test_a_retry_that_the_gateway_refuses_leaves_everything_as_it_was(gateway, in_tenant):
    payment = start(in_tenant)
    hear(payment, DECLINED)
    before = fresh(payment)

    response = post(in_tenant.client(), f"{payment.pk}/retry/", {"gateway": "nothing"})

    assert (response.status_code, response.json()["code"]) == (422, "gateway_not_enabled")
    assert (fresh(payment).version, fresh(payment).gateway) == (before.version, "scripted")
    assert Attempt.objects.count() == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_many_retries_at_once_one_begins_an_attempt():
    member = make_member()
    with scripted_gateway():
        with tenant_scope(member.tenant_id), tenant_transaction():
            payment = start(member)
            hear(payment, DECLINED)

        def again(_: int) -> str:
            with tenant_scope(member.tenant_id):
                try:
                    retry_payment(payment_id=payment.pk, actor_id=member.user.pk)
                except DomainError as refusal:
                    return refusal.code
                return "begun"

        answers = at_once(6, again)

    assert sorted(answers) == ["begun"] + ["payment_in_flight"] * 5
    assert len(rows(member, Attempt)) == 2
