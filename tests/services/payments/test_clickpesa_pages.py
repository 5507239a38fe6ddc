"""ClickPesa's checkout and card pages."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import AmountNotRepresentable, Money
from services.http import OutcomeUnknown
from services.payments.base import (
    ChargeRequest,
    ChargeStatus,
    CurrencyNotSupported,
    Customer,
    CustomerDetailsMissing,
    GatewayRefused,
    Method,
)
from services.payments.providers.clickpesa_pages import amount_text
from tests.services import wire
from tests.services.payments.clickpesa_case import answered, clickpesa, offline, signed

ASHA = Customer(name="Asha Juma", email="asha@example.com")
CHECKOUT = ChargeRequest(
    reference="ORD2026000124",
    money=Money(1_500_000, "TZS"),
    method=Method.CHECKOUT,
    phone="+255712345678",
    description="Kahawa / Chai",
    customer=ASHA,
)
CARD = replace(CHECKOUT, reference="ORD2026000125", money=Money(4_900, "USD"), method=Method.CARD, description="")
PUSH = ChargeRequest(reference="ORD2026000123", money=Money(1_500_000, "TZS"), phone="+255712345678")
RECORDED = {name: wire.exchanges("clickpesa", f"charge_{name}_accepted") for name in ("checkout", "card")}


@pytest.mark.parametrize(("request_", "name"), [(CHECKOUT, "checkout"), (CARD, "card")], ids=["checkout", "card"])
def test_a_page_waits_for_the_customer(request_, name):
    with clickpesa(*RECORDED[name]) as gateway:
        result = gateway.charge(request_)

    assert result.status is ChargeStatus.REQUIRES_ACTION
    assert result.checkout_url.endswith(request_.reference)
    # ClickPesa says nothing about the money yet, and so do we.
    assert (result.money, result.provider_reference) == (None, "")


def test_a_refusal_of_a_page_says_why():
    with (
        clickpesa(*wire.exchanges("clickpesa", "charge_checkout_refused")) as gateway,
        pytest.raises(GatewayRefused) as caught,
    ):
        gateway.charge(CHECKOUT)

    assert (caught.value.reason, caught.value.detail) == ("invalid_request", "Total Price is required")


@pytest.mark.parametrize("link", [None, "", "javascript:alert(1)", "/relative", 5])
@pytest.mark.parametrize(("request_", "name"), [(CHECKOUT, "checkout"), (CARD, "card")], ids=["checkout", "card"])
def test_an_answer_without_a_usable_address_leaves_the_outcome_unknown(request_, name, link):
    token, page = RECORDED[name]
    body = {"checkoutLink": link, "cardPaymentLink": link, "clientId": "IDdemo"}

    with clickpesa(token, answered(page, 200, body)) as gateway, pytest.raises(OutcomeUnknown):
        gateway.charge(request_)


def test_a_page_asked_for_twice_is_not_found_again_until_somebody_pays():
    token, page = RECORDED["checkout"]
    used = answered(page, 409, {"message": "Order reference ORD2026000124 already used: Create a different reference"})
    question = {
        "request": {"method": "GET", "path": "/third-parties/payments/ORD2026000124"},
        "answer": {"status": 404, "json": {"message": "Invalid or missing payment: ORD2026000124"}},
    }

    with clickpesa(token, used, question) as gateway, pytest.raises(OutcomeUnknown):
        gateway.charge(CHECKOUT)

    paid = {"orderReference": "ORD2026000124", "id": "P1", "status": "SUCCESS", "collectedAmount": 15000}
    with clickpesa(token, used, answered(question, 200, [{**paid, "collectedCurrency": "TZS"}])) as gateway:
        assert gateway.charge(CHECKOUT).status is ChargeStatus.PAID


def test_what_the_merchant_did_not_say_is_not_sent():
    bare = ChargeRequest(reference="A1", money=Money(100, "USD"), method=Method.CHECKOUT, phone="+254712345678")
    token, page = RECORDED["checkout"]
    wish = {"totalPrice": "1", "orderCurrency": "USD", "orderReference": "A1"}
    request = {**page["request"], "json": {**wish, "checksum": _checksum(wish)}}

    with clickpesa(token, {**page, "request": request}) as gateway:
        assert gateway.charge(bare).checkout_url


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (replace(PUSH, money=Money(1_000, "USD")), CurrencyNotSupported),
        (replace(CHECKOUT, money=Money(1_000, "KES")), CurrencyNotSupported),
        (replace(CARD, money=Money(1_500_000, "TZS")), CurrencyNotSupported),
        (replace(CHECKOUT, money=Money(1_500_050, "TZS")), AmountNotRepresentable),
        (replace(CHECKOUT, money=Money(0, "USD")), AmountNotRepresentable),
        (replace(CARD, money=Money(-100, "USD")), AmountNotRepresentable),
        (replace(CARD, customer=Customer()), CustomerDetailsMissing),
        (replace(CARD, customer=Customer(name=" ", email="a@b.example")), CustomerDetailsMissing),
    ],
)
def test_what_a_page_cannot_charge_is_refused_without_a_call(request_, refusal):
    gateway = offline()

    for ask in (gateway.check, gateway.charge):
        with pytest.raises(refusal):
            ask(request_)


def test_a_card_payment_says_what_it_needs_to_know():
    with pytest.raises(CustomerDetailsMissing) as nothing:
        offline().check(replace(CARD, customer=Customer()))
    with pytest.raises(CustomerDetailsMissing) as half:
        offline().check(replace(CARD, customer=Customer(name="Asha")))

    assert list(nothing.value.errors) == ["name", "email"]
    assert list(half.value.errors) == ["email"]


def test_a_page_needs_no_phone():
    offline().check(replace(CHECKOUT, phone=""))
    offline().check(replace(CARD, phone=""))


@given(st.integers(min_value=1, max_value=2**63 - 1), st.sampled_from(["TZS", "USD"]))
def test_an_amount_written_reads_back_as_it_was_or_is_refused(amount, currency):
    money = Money(amount, currency)

    try:
        text = amount_text(money)
    except AmountNotRepresentable:
        assert currency == "TZS"
        assert amount % 100
        return

    assert Money.from_units(text, currency) == money
    assert ("." in text) == bool(amount % 100)


@pytest.mark.parametrize(("amount", "text"), [(4_900, "49"), (4_950, "49.50"), (4_901, "49.01"), (1, "0.01")])
def test_cents_of_a_dollar_are_written_with_two_digits(amount, text):
    assert amount_text(Money(amount, "USD")) == text


def _checksum(wish: dict[str, str]) -> str:
    checksum: str = json.loads(signed(wish))["checksum"]
    return checksum
