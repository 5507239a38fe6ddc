"""Starting: by push or by page, with what a page needs, and the page's address at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.test import override_settings
from django.utils import timezone

from apps.payments.models.payments import Attempt, Payment
from apps.payments.services.attempts import submit_attempt
from core.outbox.models import OutboxEvent
from core.tenancy import tenant_scope, tenant_transaction
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import GatewayRefused
from tests.apps.payments.stories import DECLINED, OPEN_PAGE, PAGE, PAID, PENDING, URL, a_page, fresh, hear, post, rows
from tests.core.test_idempotency import at_once
from tests.factories.accounts import Member, make_member
from tests.factories.payments import a_wish_to_pay, make_payment, only_attempt
from tests.fakes import PageScriptedGateway, ScriptedGateway, SilentScriptedGateway, scripted_gateway

pytestmark = pytest.mark.django_db


@pytest.fixture
def gateway() -> Iterator[ScriptedGateway]:
    with scripted_gateway(PageScriptedGateway) as installed:
        yield installed


# --- Which way to pay ------------------------------------------------------------------------------------------------


def test_a_phone_means_a_push_and_no_phone_a_page(gateway, member_client):
    gateway.charges = [OPEN_PAGE]

    pushed = post(member_client, body=a_page(method=None)).json()["data"]
    shown = post(member_client, body=a_page(method=None, phone=None)).json()["data"]

    assert (pushed["method"], pushed["status"], pushed["checkout_url"]) == ("push", "processing", None)
    assert (shown["method"], shown["status"], shown["checkout_url"]) == ("checkout", "requires_action", PAGE)
    assert shown["phone"] == ""
    assert [call for call, _ in gateway.calls] == ["charge"]  # the push is the worker's


@pytest.mark.parametrize(
    ("kind", "change", "code"),
    [
        (ScriptedGateway, {"method": "checkout"}, "method_not_supported"),
        (ScriptedGateway, {"method": "card"}, "method_not_supported"),
        (ScriptedGateway, {"method": "push", "phone": None}, "phone_required"),
        (ScriptedGateway, {"method": None, "phone": None}, "phone_required"),
        (SilentScriptedGateway, {"method": "push"}, "method_not_supported"),
    ],
)
def test_a_way_to_pay_that_is_not_offered_is_refused_before_any_call(member, member_client, kind, change, code):
    with scripted_gateway(kind) as installed:
        response = post(member_client, body=a_page(**change))

    assert (response.status_code, response.json()["code"]) == (422, code)
    assert not installed.calls
    assert not rows(member)
    assert not OutboxEvent.objects.exists()


def test_the_gateway_gets_everything_that_a_page_needs(gateway, member_client):
    gateway.charges = [OPEN_PAGE]
    address = {"line": "Samora Avenue 1", "city": "Dar es Salaam", "country": "TZ"}
    customer = {"name": "Asha Juma", "email": "asha@example.com", "address": address}
    wish = a_page(
        customer=customer,
        return_url="https://shop.example.com/paid/{payment_id}?a=1",
        cancel_url="http://localhost:3000/cart",
        metadata={"order": "1024", "seats": 2, "is_gift": True},
        expires_in=3600,
    )

    data = post(member_client, body=wish).json()["data"]

    (request,) = gateway.requests
    assert request.method.value == "checkout"
    assert (request.customer.name, request.customer.email) == ("Asha Juma", "asha@example.com")
    assert request.customer.address is not None
    assert (request.customer.address.city, request.customer.address.region) == ("Dar es Salaam", "")
    assert request.return_url == f"https://shop.example.com/paid/{data['id']}?a=1"
    assert request.cancel_url == "http://localhost:3000/cart"
    assert request.lifetime is not None
    assert timedelta(minutes=59) < request.lifetime <= timedelta(hours=1)
    assert data["metadata"] == {"order": "1024", "seats": 2, "is_gift": True}
    assert "customer" not in data


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("method", "cash"),
        ("return_url", "javascript:alert(1)"),
        ("return_url", "ftp://shop.example.com/"),
        ("return_url", "//shop.example.com/"),
        ("return_url", "https://user:secret@shop.example.com/"),
        ("return_url", "https://shop.example.com/a b"),
        ("return_url", "https://shop.example.com/\nSet-Cookie: a"),
        ("return_url", "https://shop.example.com/" + "a" * 480),
        ("return_url", "https://shop.example.com/" + "{payment_id}" * 15),
        ("return_url", 5),
        ("cancel_url", "data:text/html,hello"),
        ("metadata", []),
        ("metadata", "text"),
        ("metadata", {"a": {"b": 1}}),
        ("metadata", {"a": None}),
        ("metadata", {"a": 1.5}),
        ("metadata", {"a": 2**53}),
        ("metadata", {"a": "x" * 501}),
        ("metadata", {"x" * 41: "a"}),
        ("metadata", {"": "a"}),
        ("metadata", {str(number): number for number in range(21)}),
        ("expires_in", 59),
        ("expires_in", 604_801),
        ("expires_in", "600"),
        ("customer", {"email": "nobody"}),
        ("customer", {"email": 5}),
        ("customer", {"nickname": "A"}),
        ("customer", {"address": {"line": "a", "city": "b", "country": "Tanzania"}}),
        ("customer", {"address": {"line": "a", "country": "TZ"}}),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(gateway, member, member_client, field, value):
    response = post(member_client, body=a_page(**{field: value}))

    assert (response.status_code, response.json()["code"]) == (400, "validation_error")
    assert set(response.json()["errors"]) == {field}
    assert not rows(member)


def test_a_push_lives_for_half_an_hour_and_a_page_for_a_day(gateway, member):
    push, page, short = (
        make_payment(member, gateway="scripted", **more)
        for more in ({}, {"method": "checkout"}, {"method": "checkout", "expires_in": 120})
    )

    lives = [payment.expires_at - payment.created_at for payment in (push, page, short)]
    assert [round(life.total_seconds()) for life in lives] == [1_800, 86_400, 120]


# --- The address at once ---------------------------------------------------------------------------------------------


def test_a_page_is_answered_with_its_address_and_repeated_byte_for_byte(gateway, member, member_client):
    gateway.charges = [OPEN_PAGE]

    first = post(member_client, body=a_page(), key="k")
    with tenant_scope(member.tenant_id), tenant_transaction():
        hear(Payment.objects.get(), PAID)
    again = post(member_client, body=a_page(), key="k")

    assert first.json()["data"]["checkout_url"] == PAGE
    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert gateway.calls == [("charge", rows(member, Attempt)[0].reference)]
    shown = member_client.get(f"{URL}{first.json()['data']['id']}/").json()["data"]
    assert (shown["status"], shown["checkout_url"]) == ("settled", None)


@pytest.mark.parametrize(
    ("answer", "status", "attempt", "failure"),
    [
        (GatewayUnavailable(), "processing", "queued", None),
        (OutcomeUnknown(), "processing", "unknown", None),
        (PENDING, "processing", "pending", None),
        (DECLINED, "failed", "failed", "declined"),
        (GatewayRefused("feature", "Application 7 has no access"), "failed", "failed", "gateway_refused"),
        (RuntimeError("a defect of an adapter"), "processing", "submitting", None),
    ],
    ids=str,
)
def test_whatever_the_gateway_answers_the_start_is_a_payment(
    gateway, member, member_client, answer, status, attempt, failure
):
    gateway.charges = [answer]

    response = post(member_client, body=a_page())

    assert response.status_code == 201
    data = response.json()["data"]
    assert (data["status"], data["attempts"][0]["status"], data["failure_code"]) == (status, attempt, failure)
    assert b"access" not in response.content
    assert b"no money" not in response.content
    refused = isinstance(answer, GatewayRefused)
    assert rows(member, Attempt)[0].refusal == ("feature" if refused else "")


def test_when_nothing_was_sent_the_worker_is_called_at_once(gateway, member, member_client):
    gateway.charges = [GatewayUnavailable()]
    post(member_client, body=a_page())

    event = OutboxEvent.objects.get(name="payment.started")
    assert event.next_at <= timezone.now()
    gateway.charges = [OPEN_PAGE]
    with tenant_scope(member.tenant_id):
        submit_attempt(attempt_id=rows(member, Attempt)[0].pk)
    assert rows(member)[0].status == "requires_action"


def test_the_worker_leaves_time_to_the_request(gateway, member):
    make_payment(member, gateway="scripted", method="checkout")

    event = OutboxEvent.objects.get(name="payment.started")
    assert timedelta(seconds=15) < event.next_at - timezone.now() < timedelta(seconds=25)


def test_with_too_many_calls_under_way_the_worker_does_it(gateway, member, member_client):
    with override_settings(PAYMENT_INLINE_CALLS=0):
        response = post(member_client, body=a_page())

    assert (response.status_code, response.json()["data"]["status"]) == (201, "processing")
    assert not gateway.calls
    assert rows(member, Attempt)[0].status == "queued"
    assert OutboxEvent.objects.get(name="payment.started").next_at <= timezone.now()


def test_an_address_that_is_none_is_not_given_to_anybody(gateway, member_client):
    gateway.charges = [type(OPEN_PAGE)(status=OPEN_PAGE.status, checkout_url="javascript:alert(1)")]

    response = post(member_client, body=a_page())

    assert response.json()["data"]["checkout_url"] is None
    assert b"javascript" not in response.content


@pytest.mark.postgresql
@pytest.mark.invariant("I5")
@pytest.mark.django_db(transaction=True)
def test_a_gateway_that_is_slow_delays_the_page_and_not_the_answer(figure, record_figure):
    """The first is answered `processing` in time, a repetition gets the same bytes, and the address comes later."""
    member, may_answer = make_member(), threading.Event()

    def slowly() -> Any:
        may_answer.wait(timeout=20)
        return OPEN_PAGE

    count = figure(quick=3, full=8)
    with scripted_gateway(PageScriptedGateway) as gateway, override_settings(PAYMENT_INLINE_SECONDS=0.7):
        gateway.charges = [slowly]
        responses = at_once(count, lambda _: post(member.client(), body=a_page(), key="k"))
        early: dict[str, Any] = responses[0].json()["data"]
        may_answer.set()
        client = member.client()
        late = client.get(f"{URL}{early['id']}/?wait=10&status=processing").json()["data"]

    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    assert (early["status"], early["checkout_url"]) == ("processing", None)
    assert (late["status"], late["checkout_url"]) == ("requires_action", PAGE)
    assert len(gateway.calls) == 1
    record_figure(f"{count} requests for one page, 1 charge, 1 body")


@pytest.mark.postgresql
@pytest.mark.invariant("I5")
@pytest.mark.django_db(transaction=True)
def test_a_repetition_during_a_very_slow_start_is_told_to_come_back(monkeypatch):
    from core.idempotency import decorator

    monkeypatch.setattr(decorator, "PATIENCE", 0.3)
    member, is_called, may_answer = make_member(), threading.Event(), threading.Event()

    def slowly() -> Any:
        is_called.set()
        may_answer.wait(timeout=20)
        return OPEN_PAGE

    def ask(number: int) -> Any:
        if number:
            assert is_called.wait(timeout=60)
        try:
            return post(member.client(), body=a_page(), key="k")
        finally:
            if number:
                may_answer.set()

    with scripted_gateway(PageScriptedGateway) as gateway:
        gateway.charges = [slowly]
        first, second = at_once(2, ask)

    assert first.json()["data"]["checkout_url"] == PAGE
    assert (second.status_code, second.json()["code"]) == (409, "idempotency_in_progress")
    assert second.headers["Retry-After"] == "1"
    assert len(rows(member)) == 1


@pytest.mark.postgresql
@pytest.mark.invariant("I3")
@pytest.mark.django_db(transaction=True)
def test_when_the_first_request_died_on_the_way_the_repetition_finishes_it(monkeypatch):
    """Nobody renews its lease, and nobody stored an answer. The gateway is not charged again."""
    from apps.payments.views import payments as views
    from core.idempotency import decorator

    monkeypatch.setattr(decorator, "LEASE", timedelta(seconds=0.3))
    member = make_member()

    def die(**_: Any) -> None:
        raise SystemExit

    with scripted_gateway(PageScriptedGateway) as gateway:
        gateway.charges = [OPEN_PAGE]
        with monkeypatch.context() as patch:
            patch.setattr(views, "_shown", lambda _: die())
            with pytest.raises(SystemExit):
                post(member.client(), body=a_page(), key="k")
        again = post(member.client(), body=a_page(), key="k")
        third = post(member.client(), body=a_page(), key="k")

    assert again.status_code == 201
    assert again.json()["data"]["checkout_url"] == PAGE
    assert third.content == again.content
    assert [call for call, _ in gateway.calls] == ["charge"]
    assert len(rows(member)) == 1


@pytest.mark.invariant("I20")
def test_a_gateway_that_is_down_does_not_hold_up_the_start_of_a_push(member_client, record_figure, figure):
    """The push goes out by the worker, so starting one never touches the wire.

    The p95 is that of a full run on an idle computer. In a quick one the fastest tells: a gateway that is waited for
    holds up every start.
    """
    import time

    times = []
    rounds = figure(quick=8, full=200)
    with (
        override_settings(RATE_LIMITS={"payments_person": (10_000, timedelta(minutes=1))}),
        scripted_gateway() as gateway,
    ):
        for _ in range(rounds):
            began = time.perf_counter()
            response = post(member_client, body=a_wish_to_pay(gateway="scripted"))
            times.append(time.perf_counter() - began)
            assert (response.status_code, response.json()["data"]["status"]) == (201, "processing")

    assert not gateway.calls
    p95 = sorted(times)[int(rounds * 0.95) - 1]
    record_figure(f"{rounds} starts with the gateway away, p95 {p95 * 1000:.0f} ms")
    assert (p95 if rounds >= 100 else min(times)) < 0.3


# --- Gateways that cannot be asked -----------------------------------------------------------------------------------


def test_a_gateway_that_cannot_be_asked_is_never_asked(in_tenant: Member):
    with scripted_gateway(SilentScriptedGateway) as gateway:
        payment = make_payment(in_tenant, gateway="scripted", method="checkout")
        attempt = only_attempt(payment)
        gateway.charges = [OutcomeUnknown()]
        submit_attempt(attempt_id=attempt.pk)
        submit_attempt(attempt_id=attempt.pk)

        attempt.refresh_from_db()
        assert (attempt.status, attempt.next_poll_at) == ("unknown", None)
        assert [call for call, _ in gateway.calls] == ["charge"]
        assert hear(payment, PAID).status == "settled"
        assert fresh(payment).captured == payment.amount
