"""Start, list and get, as a frontend sees them."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from rest_framework.test import APIClient

from apps.payments.models.payments import Observation, Payment
from apps.payments.services.attempts import submit_attempt
from apps.payments.services.payments import ClientReferenceTaken
from core.money import Money
from core.outbox.models import OutboxEvent
from core.tenancy import tenant_scope, tenant_transaction
from services.payments.base import ChargeResult, ChargeStatus
from services.payments.registry import GatewayNotEnabled
from tests.factories.payments import a_wish_to_pay, make_payment, only_attempt
from tests.fakes import scripted_gateway

pytestmark = pytest.mark.django_db

URL = "/api/v1/payments/"


def start(client: APIClient, wish: dict | None = None, key: str = ""):
    return client.post(
        URL, wish or a_wish_to_pay(), format="json", headers={"Idempotency-Key": key or uuid.uuid4().hex}
    )


def test_starting_answers_with_the_payment_in_progress(member_client):
    response = start(member_client, a_wish_to_pay(description="Order 1024", client_reference="order-1024"))

    assert response.status_code == 201
    data = response.json()["data"]
    assert data["status"] == "processing"
    assert data["amount"] == {"amount": 500_000, "currency": "TZS", "display": "TZS 5,000"}
    assert data["captured"]["amount"] == 0
    assert data["client_reference"] == "order-1024"
    assert data["created_at"].endswith("Z")
    assert member_client.get(f"{URL}{data['id']}/").json()["data"] == data


@pytest.mark.parametrize("phone", ["0712345678", "0712 345 678", "+255 712 345 678", "255712345678"])
def test_a_phone_is_read_in_any_usual_spelling(member_client, phone):
    assert start(member_client, a_wish_to_pay(phone=phone)).json()["data"]["phone"] == "+255712345678"


def test_a_refusal_reaches_the_client_in_the_envelope(member_client):
    response = start(member_client, a_wish_to_pay(gateway="acmepay"))

    assert response.status_code == 422
    refusal = {"status": "error", "message": str(GatewayNotEnabled.message), "code": "gateway_not_enabled"}
    assert response.json() == {**refusal, "data": None, "errors": {}}
    assert not OutboxEvent.objects.exists()


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"amount": {"amount": 500_050, "currency": "TZS"}}, 422, "amount_not_representable"),
        ({"amount": {"amount": 500, "currency": "USD"}}, 422, "currency_not_supported"),
        ({"phone": "+254712345678"}, 422, "phone_not_supported"),
        ({"amount": {"amount": 0, "currency": "TZS"}}, 400, "validation_error"),
        ({"amount": {"amount": -5, "currency": "TZS"}}, 400, "validation_error"),
        ({"amount": {"amount": "500000", "currency": "TZS"}}, 400, "validation_error"),
        ({"amount": {"amount": 500000.0, "currency": "TZS"}}, 400, "validation_error"),
        ({"amount": {"amount": True, "currency": "TZS"}}, 400, "validation_error"),
        ({"amount": {"amount": 10**18, "currency": "TZS"}}, 400, "validation_error"),
        ({"amount": {"amount": 500000, "currency": "EUR"}}, 400, "validation_error"),
        ({"amount": 500000}, 400, "validation_error"),
        ({"amount": None}, 400, "validation_error"),
        ({"phone": "12"}, 400, "validation_error"),
        ({"phone": 255712345678}, 400, "validation_error"),
        ({"gateway": "no such thing!"}, 400, "validation_error"),
        ({"description": "x" * 201}, 400, "validation_error"),
        ({"status": "settled"}, 400, "validation_error"),
        ({"tenant": str(uuid.uuid4())}, 400, "validation_error"),
    ],
)
def test_a_bad_wish_is_refused_and_leaves_nothing(member_client, change, status, code):
    response = start(member_client, a_wish_to_pay(**change))

    assert (response.status_code, response.json()["code"]) == (status, code)
    if status == 400:
        assert next(iter(change)) in response.json()["errors"]
    assert Payment.unscoped.count() == 0
    assert not OutboxEvent.objects.exists()


def test_the_same_client_reference_is_a_conflict_under_another_key(member_client):
    start(member_client, a_wish_to_pay(client_reference="order-1"))

    response = start(member_client, a_wish_to_pay(client_reference="order-1"))

    assert response.status_code == 409
    assert response.json()["code"] == ClientReferenceTaken.code


def test_two_tenants_may_use_the_same_client_reference_and_the_same_key(member_client, stranger):
    wish = a_wish_to_pay(client_reference="order-1")

    answers = [start(client, wish, key="k") for client in (member_client, stranger.client())]

    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["data"]["id"] != answers[1].json()["data"]["id"]


def test_a_strangers_payment_and_a_random_id_look_the_same(member, stranger):
    payment = make_payment(member)

    foreign = stranger.client().get(f"{URL}{payment.pk}/")
    random = stranger.client().get(f"{URL}{uuid.uuid4()}/")

    assert foreign.status_code == random.status_code == 404
    assert foreign.json() == random.json()
    assert stranger.client().get(URL).json()["data"]["results"] == []


@pytest.mark.parametrize("header", ["X-Tenant-ID", "X-Tenant", "Tenant"])
def test_a_tenant_in_a_header_or_parameter_is_ignored(member, stranger, header):
    make_payment(member)

    response = stranger.client().get(URL, headers={header: str(member.tenant_id)})
    asked = stranger.client().get(URL, {"tenant_id": str(member.tenant_id)})

    assert response.json()["data"]["results"] == []
    assert asked.status_code == 400


def test_the_list_is_newest_first_and_filters(member, member_client):
    payments = [make_payment(member, description=str(number)) for number in range(3)]

    def found(**query: str) -> list[str]:
        response = member_client.get(URL, query)
        assert response.status_code == 200, response.json()
        return [each["description"] for each in response.json()["data"]["results"]]

    middle = payments[1].created_at.isoformat()
    assert found() == ["2", "1", "0"]
    assert found(status="processing") == ["2", "1", "0"]
    assert found(status="settled") == []
    assert found(gateway="clickpesa", created_from=middle) == ["2", "1"]
    assert found(created_until=middle) == ["0"]


@pytest.mark.parametrize(
    "query", [{"status": "nonsense"}, {"gateway": "no such!"}, {"created_from": "yesterday"}, {"sort": "amount"}]
)
def test_a_filter_that_cannot_be_understood_is_refused_by_name(member_client, query):
    response = member_client.get(URL, query)

    assert response.status_code == 400
    assert set(response.json()["errors"]) == set(query)


def test_a_list_costs_the_same_number_of_queries_however_long(member, member_client):
    def queries() -> int:
        with CaptureQueriesContext(connection) as captured:
            member_client.get(URL)
        return len(captured)

    make_payment(member)
    one = queries()
    for _ in range(5):
        make_payment(member)

    assert queries() == one <= 7


def test_a_payment_expires_half_an_hour_after_it_was_started(member):
    payment = make_payment(member)

    assert timedelta(minutes=29) < payment.expires_at - payment.created_at < timedelta(minutes=31)


def test_without_a_token_nothing_is_shown(client):
    for response in (client.get(URL), start(client)):
        assert response.status_code == 401
        assert response.json()["code"] == "not_authenticated"
        assert response.headers["WWW-Authenticate"]


# --- What proves nothing ---------------------------------------------------------------------------------------------


@pytest.mark.invariant("I13")
@pytest.mark.parametrize(
    "query",
    ["payment_status=COMPLETED", "status=settled", "transid={reference}&result=SUCCESS", "checkout_id=1&paid=true"],
)
def test_that_a_browser_comes_back_proves_nothing(member, member_client, query):
    """Whatever a page writes into the address at which the customer returns: nothing of ours reads it as news."""
    payment = make_payment(member)
    with tenant_scope(member.tenant_id), tenant_transaction():
        attempt = only_attempt(payment)
        before = (payment.version, Observation.objects.count())
    asked = query.format(reference=attempt.reference)

    answers = [
        client.get(f"{path}?{asked}", headers={"Idempotency-Key": "k"})
        for client in (member_client, APIClient())
        for path in (f"{URL}{payment.pk}/", "/api/v1/webhooks/clickpesa/demo-clickpesa-callback-token/", "/")
    ]

    assert all(answer.status_code < 500 for answer in answers)
    with tenant_scope(member.tenant_id), tenant_transaction():
        found = Payment.objects.get(pk=payment.pk)
        assert (found.status, found.captured) == ("processing", 0)
        assert (found.version, Observation.objects.count()) == before


# --- Filters ---------------------------------------------------------------------------------------------------------


def test_the_list_finds_a_payer_an_order_and_a_way_to_pay(member, member_client):
    one = make_payment(member, client_reference="order-1")
    two = make_payment(member, phone="+255754000111")

    def found(**query: str) -> list[str]:
        return [each["id"] for each in member_client.get(URL, query).json()["data"]["results"]]

    assert found(client_reference="order-1") == [str(one.pk)]
    assert found(phone="+255754000111") == found(phone="0754000111") == [str(two.pk)]
    assert found(method="push") == [str(two.pk), str(one.pk)]
    assert found(method="checkout") == found(client_reference="ORDER-1") == []


# --- Numbers ---------------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I17")
def test_any_amount_is_kept_exactly_or_refused(member, member_client, figure, record_figure):
    """From the body to the gateway's request and back out of the database: whole numbers, or a refusal."""
    chance, count, kept = random.Random(17), figure(quick=10, full=10_000), 0
    with scripted_gateway() as gateway:
        for _ in range(count):
            amount = chance.choice([chance.randint(1, 10**6), chance.randint(1, 2**53 + 2), 2**53 - 1])
            currency = chance.choice(["TZS", "USD", "UGX", "KES", "RWF"])
            wish = a_wish_to_pay(gateway="scripted", amount={"amount": amount, "currency": currency})

            response = start(member_client, wish)

            if amount > 2**53 - 1:
                assert (response.status_code, response.json()["code"]) == (400, "validation_error")
                continue
            data = response.json()["data"]
            assert (data["amount"]["amount"], data["amount"]["currency"]) == (amount, currency)
            with tenant_scope(member.tenant_id), tenant_transaction():
                payment = Payment.objects.get(pk=data["id"])
                attempt = only_attempt(payment)
                gateway.charges = [ChargeResult(status=ChargeStatus.PAID, money=payment.money)]
                submit_attempt(attempt_id=attempt.pk)
                found = Payment.objects.get(pk=data["id"])
            assert gateway.requests.pop().money == Money(amount, currency)
            assert (found.status, found.captured) == ("settled", amount)
            kept += 1
    record_figure(f"{count:,} amounts, {kept:,} kept exactly, the others refused, 0 drift")
