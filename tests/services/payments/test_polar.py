from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ImproperlyConfigured
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.exceptions import RuleViolated
from core.money import EXPONENTS, Money
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    Address,
    AmountOutOfRange,
    CancelNotSupported,
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeStatus,
    CurrencyNotSupported,
    Customer,
    GatewayRefused,
    Method,
    MethodNotSupported,
    PayoutNotSupported,
    PayoutRequest,
    RefundRequest,
    Subject,
    TransferId,
    TransferNotFound,
    TransferStatus,
    Trust,
    WebhookRejected,
)
from services.payments.providers.polar import PolarGateway
from services.payments.providers.polar_objects import (
    LIMITS,
    PLACES,
    from_polar,
    order_result,
    refund_amount,
    refund_result,
    to_polar,
)
from tests.services import wire

CASE = wire.load("polar", "case")
OPTIONS = CASE["options"]
PRODUCT = OPTIONS["product_id"]
NOW = datetime.fromisoformat(CASE["at"])
REFERENCE = "ORD2026000123"
REQUEST = ChargeRequest(
    reference=REFERENCE,
    money=Money(1_500_000, "TZS"),
    method=Method.CHECKOUT,
    customer=Customer(name="Asha Juma", email="asha@example.com"),
    return_url="https://shop.example.com/pay/return",
    cancel_url="https://shop.example.com/cart",
)
CARD = replace(
    REQUEST,
    method=Method.CARD,
    money=Money(2_500, "USD"),
    return_url="",
    cancel_url="",
    customer=replace(
        REQUEST.customer,
        address=Address(
            line="Plot 5, Samora Avenue",
            city="Dar es Salaam",
            country="TZ",
            region="Dar es Salaam",
            postal_code="11101",
        ),
    ),
)
[CREATED] = wire.exchanges("polar", "charge_checkout_accepted")
CHECKOUT = CREATED["answer"]["json"]
[FOUND] = wire.exchanges("polar", "query_paid")
ORDER = FOUND["answer"]["json"]["items"][0]
[NO_ORDER, GOT] = wire.exchanges("polar", "query_pending")
[_none, SEARCHED] = wire.exchanges("polar", "query_unknown")
[_order, REFUNDS, REFUNDED] = wire.exchanges("polar", "refund_accepted")
REFUND = REFUNDED["answer"]["json"]
CHECKOUT_ID, ORDER_ID = CHECKOUT["id"], ORDER["id"]
CHARGE = ChargeId(reference=REFERENCE, provider_reference=CHECKOUT_ID)
WISH = RefundRequest(reference="REF2026000123", charge=CHARGE, money=Money(500_000, "TZS"), reason="customer_request")
WEBHOOKS = ["webhook_paid", "webhook_declined", "webhook_expired", "webhook_reopened", "webhook_refunded"]


@pytest.fixture(autouse=True, scope="module")
def _the_recorded_moment() -> Iterator[None]:
    with time_machine.travel(NOW, tick=False):
        yield


@contextmanager
def polar(*exchanges: dict[str, Any], **options: Any) -> Iterator[PolarGateway]:
    with wire.playing(*exchanges) as (url, _player):
        yield PolarGateway(base_url=url, **{**OPTIONS, **options})


def offline(**options: Any) -> PolarGateway:
    return PolarGateway(**{"base_url": wire.refused_url(), **OPTIONS, **options})


def recording(*names: str) -> list[dict[str, Any]]:
    return wire.exchanges("polar", *names)


def answered(exchange: dict[str, Any], status: int, body: Any) -> dict[str, Any]:
    """`exchange` with another answer: JSON, or text as it stands."""
    return {**exchange, "answer": {"status": status, **({"text": body} if isinstance(body, str) else {"json": body})}}


def found(*orders: Any, exchange: dict[str, Any] = FOUND, max_page: int = 1) -> dict[str, Any]:
    """`exchange` answered with this page."""
    return answered(exchange, 200, {"items": orders, "pagination": {"total_count": 1, "max_page": max_page}})


def asked(exchange: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """`exchange` as it is recorded for a request with these changes."""
    return {**exchange, "request": {**exchange["request"], **changes}}


def delivery(name: str) -> Delivery:
    recorded = wire.load("polar", name)
    return Delivery(body=wire.delivery_body(recorded), headers=recorded["headers"])


def told(kind: str, data: Any, **headers: str) -> Delivery:
    return Delivery(body=json.dumps({"type": kind, "data": data}).encode(), headers={"webhook-id": "m1", **headers})


# --- What it is ---


@pytest.mark.parametrize("option", ["access_token", "webhook_secret", "product_id"])
@pytest.mark.parametrize("value", ["", "  "])
def test_an_unusable_credential_is_named_at_start(option, value):
    with pytest.raises(ImproperlyConfigured, match=option):
        offline(**{option: value})


def test_a_token_that_cannot_stand_in_a_header_is_refused_without_being_shown():
    with pytest.raises(ImproperlyConfigured, match="access_token") as caught:
        offline(access_token="polar_oat_secret\n")

    assert "polar_oat_secret" not in str(caught.value)


@pytest.mark.parametrize("currency", ["dollars", "us", "u$d", "12"])
def test_a_default_currency_that_is_none_is_refused(currency):
    with pytest.raises(ImproperlyConfigured, match="default_currency"):
        offline(default_currency=currency)


def test_what_polar_cannot_do_is_not_declared_and_refused_without_a_call():
    gateway = offline()

    assert gateway.trust is Trust.SIGNED
    assert not gateway.capabilities & {Capability.CANCEL, Capability.IDEMPOTENT_CHARGE, Capability.PUSH}
    with pytest.raises(CancelNotSupported):
        gateway.cancel(CHARGE)
    with pytest.raises(PayoutNotSupported):
        gateway.check_payout(PayoutRequest(reference="P1", money=Money(1_000_000, "TZS"), phone="+255712345678"))


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"method": Method.PUSH}, MethodNotSupported),
        ({"money": Money(500_000, "UGX")}, CurrencyNotSupported),
        ({"money": Money(199_999, "TZS")}, AmountOutOfRange),
        ({"money": Money(250_000_001, "TZS")}, AmountOutOfRange),
        ({"money": Money(49, "USD")}, AmountOutOfRange),
        ({"money": Money(100_000_000, "USD")}, AmountOutOfRange),
        ({"money": Money(0, "USD")}, AmountOutOfRange),
        ({"money": Money(-1_500_000, "TZS")}, AmountOutOfRange),
    ],
)
def test_what_can_never_be_charged_is_refused_without_a_call(change, refusal):
    gateway = offline()

    with pytest.raises(refusal):
        gateway.check(replace(REQUEST, **change))
    with pytest.raises(refusal):
        gateway.charge(replace(REQUEST, **change))


@pytest.mark.parametrize("reference", ["", "a b", "a" * 101, "ÅÄ", "a]=b", "A\n"])
def test_an_odd_reference_is_our_mistake(reference):
    gateway = offline()

    with pytest.raises(ValueError, match="1 to 100"):
        gateway.charge(replace(REQUEST, reference=reference))
    with pytest.raises(ValueError, match="1 to 100"):
        gateway.query(ChargeId(reference=reference))
    with pytest.raises(ValueError, match="1 to 100"):
        gateway.refund(replace(WISH, reference=reference))
    with pytest.raises(ValueError, match="1 to 100"):
        gateway.query_refund(TransferId(reference=reference))


# --- Money ---


@pytest.mark.parametrize(
    ("money", "amount"),
    [
        (Money(1_500_000, "TZS"), 1_500_000),  # 15,000.00
        (Money(1_500_050, "TZS"), 1_500_050),
        (Money(7_050, "KES"), 7_050),
        (Money(1_250, "USD"), 1_250),
        (Money(1_000, "RWF"), 1_000),  # 1,000: no decimals here nor there
    ],
)
def test_amounts_are_hundredths_except_in_rwandan_francs(money, amount):
    assert to_polar(money) == amount
    assert from_polar(amount, money.currency.lower()) == money


@settings(deadline=None)  # the first gateway of a process reads the TLS roots
@given(
    amount=st.integers(-1_000, 300_000_000) | st.integers(-(2**63) + 1, 2**63 - 1),
    currency=st.sampled_from(sorted(EXPONENTS)),
)
@example(amount=100, currency="UGX")
def test_every_amount_comes_back_as_it_went_or_is_refused(amount, currency):
    money = Money(amount, currency)

    try:
        offline_check(money)
    except RuleViolated:
        assert currency not in LIMITS or not LIMITS[currency][0] <= amount <= LIMITS[currency][1]
    else:
        assert from_polar(to_polar(money), currency.lower()) == money


def offline_check(money: Money) -> None:
    PolarGateway(base_url="http://127.0.0.1:1", **OPTIONS).check(replace(REQUEST, money=money))


def test_ten_thousand_amounts_go_and_come_back_exactly():
    for currency in PLACES:
        for amount in range(1, 2**63, 2**63 // 2_500):
            assert from_polar(to_polar(Money(amount, currency)), currency.lower()) == Money(amount, currency)


@pytest.mark.parametrize(
    ("amount", "currency"),
    [
        ("1500000", "tzs"),
        (True, "tzs"),
        (None, "tzs"),
        (1_500_000, "xxx"),
        (1_500_000, None),
        (1_500_000, "ugx"),
        (10**30, "tzs"),
        ([1], "tzs"),
    ],
)
def test_an_amount_is_read_exactly_or_not_at_all(amount, currency):
    assert from_polar(amount, currency) is None


def test_a_decimal_fraction_is_no_amount_of_polars():
    text = json.dumps({"items": [{**ORDER, "subtotal_amount": "AMOUNT"}], "pagination": {}})

    for written in ("1500000.5", "1500000.0", "1.5e6"):
        with polar(answered(FOUND, 200, text.replace('"AMOUNT"', written))) as gateway:
            assert gateway.query(CHARGE).money is None


# --- Charging ---


@pytest.mark.parametrize(
    ("name", "request_", "money"),
    [("charge_checkout_accepted", REQUEST, REQUEST.money), ("charge_card_accepted", CARD, CARD.money)],
)
def test_a_charge_is_a_page_for_the_customer(name, request_, money):
    with polar(*recording(name)) as gateway:
        result = gateway.charge(request_)

    assert result.status is ChargeStatus.REQUIRES_ACTION
    assert result.checkout_url == CHECKOUT["url"]
    assert result.provider_reference == CHECKOUT_ID
    assert result.money == money


@pytest.mark.parametrize(
    ("default", "prices"),
    [
        ("usd", [1_500_000, ("usd", 99_999_999)]),
        ("tzs", [1_500_000]),
        ("TZS", [1_500_000]),
        ("kes", [1_500_000, ("kes", 99_999_999)]),
        ("eur", [1_500_000, ("eur", 99_999_999)]),
        ("", [1_500_000, ("usd", 99_999_999)]),
    ],
)
def test_the_price_in_the_organizations_currency_is_never_the_cheaper_one(default, prices):
    first, *others = prices
    listed = [{"amount_type": "fixed", "price_amount": first, "price_currency": "tzs"}]
    listed += [{"amount_type": "fixed", "price_amount": amount, "price_currency": code} for code, amount in others]
    wish = {**CREATED["request"]["json"], "prices": {PRODUCT: listed}}

    with polar(asked(CREATED, json=wish), default_currency=default) as gateway:
        gateway.charge(REQUEST)


@pytest.mark.parametrize(
    ("customer", "kept"),
    [
        (Customer(), {}),
        (Customer(name="Zoë"), {"customer_name": "Zoë"}),
        (Customer(email="asha@localhost"), {}),
        (Customer(email="not an address"), {}),
        (Customer(address=Address(line="", city="", country="tz")), {}),
        (
            Customer(address=Address(line="", city="Arusha", country="TZ")),
            {"customer_billing_address": {"city": "Arusha", "country": "TZ"}},
        ),
    ],
)
def test_only_what_polar_would_take_is_filled_in_for_the_customer(customer, kept):
    plain = {name: value for name, value in CREATED["request"]["json"].items() if not name.startswith("customer_")}

    with polar(asked(CREATED, json={**plain, **kept})) as gateway:
        gateway.charge(replace(REQUEST, customer=customer))


def test_addresses_that_are_none_are_left_out():
    plain = {name: value for name, value in CREATED["request"]["json"].items() if not name.endswith("_url")}

    with polar(asked(CREATED, json=plain)) as gateway:
        gateway.charge(replace(REQUEST, return_url="myapp://done", cancel_url="/cart"))


@pytest.mark.parametrize(
    "error", wire.load("polar", "errors")["errors"], ids=lambda error: json.dumps(error["json"])[:60]
)
def test_a_client_error_is_a_refusal_with_a_short_reason(error):
    refused = answered(CREATED, error["status"], error["json"])

    with polar(refused) as gateway, pytest.raises(GatewayRefused) as caught:
        gateway.charge(REQUEST)

    assert (caught.value.reason, caught.value.detail) == (error["reason"], error["detail"])


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (500, {"error": "InternalServerError", "detail": "x"}),
        (502, "<html>"),
        (201, "<html>"),
        (201, []),
        (201, {}),
        (201, {**CHECKOUT, "metadata": {}}),
        (201, {**CHECKOUT, "metadata": {"payment_ref": "SOMEONEELSES"}}),
        (201, {**CHECKOUT, "id": None}),
        (307, "{}"),
        (408, {}),
        (409, {"error": "CheckoutLocked", "detail": "locked"}),
    ],
)
def test_an_answer_that_says_nothing_about_our_charge_leaves_it_unknown(status, body):
    with polar(answered(CREATED, status, body)) as gateway, pytest.raises(OutcomeUnknown):
        gateway.charge(REQUEST)


def test_a_charge_that_is_cut_off_is_unknown_and_one_that_never_left_is_not():
    with polar({**CREATED, "answer": "hang up"}) as gateway, pytest.raises(OutcomeUnknown):
        gateway.charge(REQUEST)
    with pytest.raises(GatewayUnavailable):
        offline().charge(REQUEST)


def test_too_many_requests_charged_nothing():
    busy = answered(CREATED, 429, "")
    busy["answer"]["headers"] = {"Retry-After": "7"}

    with polar(busy) as gateway, pytest.raises(GatewayUnavailable) as caught:
        gateway.charge(REQUEST)

    assert caught.value.retry_after == 7


@pytest.mark.parametrize("page", [None, "", "javascript:alert(1)", "//buy.polar.sh/x", "https://a b", 5])
def test_a_page_that_nobody_could_open_is_not_handed_out(page):
    with polar(answered(CREATED, 201, {**CHECKOUT, "url": page})) as gateway:
        result = gateway.charge(REQUEST)

    assert (result.status, result.checkout_url) == (ChargeStatus.UNKNOWN, "")
    assert result.provider_reference == CHECKOUT_ID


def test_the_same_charge_again_makes_another_page_so_nobody_may_send_it_again():
    with polar(*recording("charge_checkout_accepted", "charge_duplicate")) as gateway:
        first, second = gateway.charge(REQUEST), gateway.charge(REQUEST)

    assert first.provider_reference != second.provider_reference
    assert Capability.IDEMPOTENT_CHARGE not in gateway.capabilities


# --- Asking ---


@pytest.mark.parametrize(
    "name",
    ["query_paid", "query_pending", "query_requires_action", "query_declined", "query_expired", "query_found"],
)
def test_a_question_is_answered_in_our_words(name):
    recorded = wire.load("polar", name)

    with polar(*recording(name)) as gateway:
        result = gateway.query(ChargeId(**recorded.get("id", {"reference": REFERENCE})))

    assert result.status == recorded["status"]
    assert result.provider_reference == recorded["provider_reference"]
    assert result.money == REQUEST.money
    assert bool(result.reason) is (result.status is ChargeStatus.DECLINED)
    assert bool(result.checkout_url) is (result.status is ChargeStatus.REQUIRES_ACTION)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("draft", ChargeStatus.PENDING),
        ("pending", ChargeStatus.PENDING),
        ("paid", ChargeStatus.PAID),
        ("partially_refunded", ChargeStatus.PAID),
        ("refunded", ChargeStatus.PAID),
        ("void", ChargeStatus.DECLINED),
        ("teleported", ChargeStatus.UNKNOWN),
        (None, ChargeStatus.UNKNOWN),
        (["paid"], ChargeStatus.UNKNOWN),
    ],
)
def test_each_word_about_an_order_has_one_meaning_everywhere(word, status):
    order = {**ORDER, "status": word}

    with polar(found(order)) as gateway:
        result = gateway.query(CHARGE)
    [event] = offline().parse(told("order.updated", order))

    assert result == event.result
    assert result.status is status


@pytest.mark.parametrize(
    ("word", "ends_at", "status"),
    [
        ("open", "2026-10-02T08:00:00.000000Z", ChargeStatus.REQUIRES_ACTION),
        ("open", "2026-10-01T08:06:01+00:00", ChargeStatus.REQUIRES_ACTION),
        ("open", "2026-10-01T08:06:00.000000Z", ChargeStatus.EXPIRED),
        ("open", "2026-10-01T11:05:59+03:00", ChargeStatus.EXPIRED),
        ("open", "2026-10-01T08:05:59", ChargeStatus.EXPIRED),
        ("open", "0001-01-01T00:00:00+14:00", ChargeStatus.REQUIRES_ACTION),
        ("open", None, ChargeStatus.REQUIRES_ACTION),
        ("open", "soon", ChargeStatus.REQUIRES_ACTION),
        ("confirmed", "2026-10-01T08:05:59Z", ChargeStatus.PENDING),
        ("succeeded", "2026-10-01T08:05:59Z", ChargeStatus.PENDING),
        ("failed", None, ChargeStatus.DECLINED),
        ("expired", None, ChargeStatus.EXPIRED),
        ("teleported", None, ChargeStatus.UNKNOWN),
        (None, None, ChargeStatus.UNKNOWN),
        ({}, None, ChargeStatus.UNKNOWN),
    ],
)
def test_each_word_about_a_checkout_has_one_meaning_everywhere(word, ends_at, status):
    checkout = {**CHECKOUT, "status": word, "expires_at": ends_at}
    more = [asked(NO_ORDER, query={"checkout_id": CHECKOUT_ID, "page": "1", "limit": "100"})]

    with polar(NO_ORDER, answered(GOT, 200, checkout), *(more if word == "succeeded" else [])) as gateway:
        result = gateway.query(CHARGE)
    [event] = offline().parse(told("checkout.updated", checkout))

    assert result == event.result
    assert result.status is status


@pytest.mark.parametrize("kind", ["checkout", "order", "refund"])
def test_a_charge_is_paid_by_the_word_of_an_order_and_nothing_else(kind):
    gateway = offline()
    body = {"checkout": CHECKOUT, "order": ORDER, "refund": REFUND}[kind]

    statuses = {
        gateway.parse(told(f"{kind}.updated", {**body, "status": word}))[0].result.status
        for word in ("open", "confirmed", "succeeded", "paid", "complete", "PAID")
    }

    assert (ChargeStatus.PAID in statuses) is (kind == "order")


def test_a_success_without_its_order_is_not_paid_until_the_order_says_so():
    succeeded = answered(GOT, 200, {**CHECKOUT, "status": "succeeded"})
    by_checkout = asked(FOUND, query={"checkout_id": CHECKOUT_ID, "page": "1", "limit": "100"})
    bare = {**ORDER, "metadata": {}}
    foreign = {**ORDER, "metadata": {"payment_ref": "SOMEONEELSES"}}

    with polar(NO_ORDER, succeeded, found(bare, exchange=by_checkout)) as gateway:
        assert gateway.query(CHARGE).status is ChargeStatus.PAID
    with polar(NO_ORDER, succeeded, found(foreign, exchange=by_checkout)) as gateway:
        assert gateway.query(CHARGE).status is ChargeStatus.PENDING


def order_at(minute: int, status: str, **more: Any) -> dict[str, Any]:
    created_at = f"2026-10-01T08:{minute:02}:00.000000Z"
    return {**ORDER, "checkout_id": f"{status}{minute}", "status": status, "created_at": created_at, **more}


@pytest.mark.parametrize(
    ("orders", "winner"),
    [
        ([order_at(1, "void"), order_at(2, "paid"), order_at(3, "pending")], "paid2"),
        ([order_at(3, "paid"), order_at(1, "refunded")], "refunded1"),
        ([order_at(2, "pending"), order_at(1, "void")], "pending2"),
        ([order_at(1, "pending"), order_at(2, "paid", metadata={"payment_ref": "OTHER"})], "pending1"),
        (["junk", None, order_at(1, "pending")], "pending1"),
    ],
)
def test_of_several_orders_a_paid_one_of_ours_wins_and_else_the_newest(orders, winner):
    with polar(found(*orders)) as gateway:
        assert gateway.query(CHARGE).provider_reference == winner


def test_a_reference_nobody_knows_is_not_found():
    with polar(*recording("query_unknown")) as gateway, pytest.raises(ChargeNotFound):
        gateway.query(ChargeId(reference=REFERENCE))
    missing = answered(GOT, 404, {"error": "ResourceNotFound", "detail": "Not found"})
    with polar(NO_ORDER, missing) as gateway, pytest.raises(ChargeNotFound):
        gateway.query(CHARGE)


def test_a_checkout_whose_id_never_reached_us_is_looked_for_on_two_pages_of_the_newest():
    other = {**CHECKOUT, "metadata": {"payment_ref": "OTHER"}}
    first = found(other, exchange=SEARCHED, max_page=9)
    second = asked(first, query={**SEARCHED["request"]["query"], "page": "2"})

    with polar(NO_ORDER, first, found(CHECKOUT, exchange=second, max_page=9)) as gateway:
        assert gateway.query(ChargeId(reference=REFERENCE)).checkout_url == CHECKOUT["url"]
    with polar(NO_ORDER, first, second) as gateway, pytest.raises(ChargeNotFound):
        gateway.query(ChargeId(reference=REFERENCE))


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (200, []),
        (200, "<html>"),
        (200, {"items": {}}),
        (200, {"items": [{**ORDER, "metadata": {"payment_ref": "OTHER"}}]}),
        (500, {}),
        (429, {}),
        (409, {}),
        (307, "{}"),
        (404, "<html>"),
    ],
)
def test_an_answer_about_something_else_does_not_say_that_ours_was_never_made(status, body):
    with polar(answered(FOUND, status, body)) as gateway, pytest.raises(GatewayUnavailable):
        gateway.query(CHARGE)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, {}),
        (200, []),
        (200, {**CHECKOUT, "metadata": {"payment_ref": "OTHER"}}),
        (404, "<html>"),
        (503, {}),
    ],
)
def test_neither_does_another_checkout(status, body):
    with polar(NO_ORDER, answered(GOT, status, body)) as gateway, pytest.raises(GatewayUnavailable):
        gateway.query(CHARGE)


@pytest.mark.parametrize("name", ["query_server_error", "query_hang_up"])
def test_silence_after_a_question_is_only_unavailable(name):
    with polar(*recording(name)) as gateway, pytest.raises(GatewayUnavailable):
        gateway.query(CHARGE)


# --- Tax ---


EXCLUSIVE = {**ORDER, "status": "partially_refunded", "refunded_amount": 500_000, "refunded_tax_amount": 90_000}
INCLUSIVE = {
    **ORDER,
    "status": "partially_refunded",
    "subtotal_amount": 1_770_000,
    "net_amount": 1_500_000,
    "tax_amount": 270_000,
    "total_amount": 1_770_000,
    "refunded_amount": 500_000,
    "refunded_tax_amount": 90_000,
    "refundable_amount": 1_000_000,
    "refundable_tax_amount": 180_000,
}


@pytest.mark.parametrize(
    ("order", "money", "refunded"),
    [
        (ORDER, 1_500_000, 0),
        (EXCLUSIVE, 1_500_000, 500_000),
        (INCLUSIVE, 1_770_000, 590_000),
        ({**ORDER, "subtotal_amount": 2_000_000, "discount_amount": 500_000}, 1_500_000, 0),
        ({**ORDER, "subtotal_amount": None}, 1_500_000, 0),
        ({**ORDER, "tax_amount": 0, "total_amount": 1_500_000}, 1_500_000, 0),
    ],
    ids=["tax on top", "refunded", "tax within, refunded", "discount", "no subtotal", "no tax"],
)
def test_the_price_is_what_we_asked_whatever_tax_was_taken(order, money, refunded):
    result = order_result(order)

    assert (result.money, result.refunded) == (Money(money, "TZS"), Money(refunded, "TZS"))


@settings(deadline=None)  # the first gateway of a process reads the TLS roots
@given(net=st.integers(1, 10**9), tax_percent=st.integers(0, 40), share=st.integers(1, 10**9))
def test_a_refund_sends_back_exactly_what_was_asked_or_is_refused(net, tax_percent, share):
    tax = net * tax_percent // 100
    asked_amount = 1 + share % (net + tax)
    order = {
        **INCLUSIVE,
        "subtotal_amount": net + tax,
        "net_amount": net,
        "tax_amount": tax,
        "refundable_amount": net,
        "refundable_tax_amount": tax,
    }

    try:
        amount = refund_amount(order, asked_amount)
    except GatewayRefused:
        # Where there is no tax nothing is rounded; and all of it can always go back.
        assert tax > 0
        assert asked_amount != net + tax
        return

    # What Polar adds (its server's arithmetic).
    added = tax if amount == net else round(Fraction(amount * tax, net))
    assert amount + added == asked_amount


def test_a_refund_of_a_price_with_tax_in_it_is_net_of_tax_and_says_so():
    wish = {**REFUNDED["request"]["json"], "metadata": {"refund_ref": WISH.reference, "includes_tax": True}}
    refund = {**REFUND, "metadata": wish["metadata"]}
    played = [found(INCLUSIVE), REFUNDS, answered(asked(REFUNDED, json=wish), 201, refund)]

    with polar(*played) as gateway:
        result = gateway.refund(replace(WISH, money=Money(590_000, "TZS")))

    assert result.money == Money(590_000, "TZS")


def test_all_that_is_left_of_such_a_price_goes_back_whole():
    assert refund_amount(INCLUSIVE, 1_180_000) == 1_000_000


def test_an_amount_that_rounding_cannot_hit_is_refused_before_anything_is_sent():
    # 0.03 back: a net of 0.02 would take 0.00 of tax with it, and one of 0.03 would take 0.01.
    order = {**INCLUSIVE, "subtotal_amount": 120, "net_amount": 100, "tax_amount": 20}

    with polar(found(order), REFUNDS) as gateway, pytest.raises(GatewayRefused, match="amount_not_representable"):
        gateway.refund(replace(WISH, money=Money(3, "TZS")))


# --- Refunds ---


def test_a_refund_is_sent_under_our_reference():
    with polar(*recording("refund_accepted")) as gateway:
        result = gateway.refund(WISH)

    assert result.status is TransferStatus.SUCCEEDED
    assert (result.provider_reference, result.money) == (REFUND["id"], WISH.money)


def test_a_refund_that_exists_under_our_reference_is_not_made_again():
    with polar(FOUND, found(REFUND, exchange=REFUNDS)) as gateway:
        assert gateway.refund(WISH).provider_reference == REFUND["id"]


@pytest.mark.parametrize(
    ("reason", "sent"),
    [
        ("", {"reason": "other"}),
        ("duplicate", {"reason": "duplicate"}),
        ("dispute_prevention", {"reason": "other", "comment": "dispute_prevention"}),
        ("Wrong size\0", {"reason": "other", "comment": "Wrong size\ufffd"}),
    ],
)
def test_a_reason_that_polar_has_no_word_for_is_a_comment(reason, sent):
    wish = {**REFUNDED["request"]["json"], **sent}

    with polar(FOUND, REFUNDS, asked(REFUNDED, json=wish)) as gateway:
        gateway.refund(replace(WISH, reason=reason))


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (403, {"error": "RefundedAlready", "detail": "x"}, "already_refunded"),
        (403, {"error": "RefundsBlocked", "detail": "x"}, "refunds_blocked"),
        (403, {"error": "RefundDisputedPayment", "detail": "x"}, "disputed"),
        (404, {"error": "RefundUnknownPayment", "detail": "x"}, "payment_not_found"),
        (422, {"detail": [{"loc": ["body", "order_id"], "msg": "Order not found"}]}, "order"),
        (422, {"detail": [{"loc": ["body", "amount"], "msg": "Refund amount exceeds refundable amount"}]}, "amount"),
        (400, {"error": "RevokeSubscriptionBenefitsProhibited", "detail": "x"}, "invalid_request"),
    ],
)
def test_a_refused_refund_has_a_short_reason(status, body, reason):
    played = [FOUND, REFUNDS, answered(REFUNDED, status, body)]

    with polar(*played) as gateway, pytest.raises(GatewayRefused) as caught:
        gateway.refund(WISH)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "last",
    [
        {**REFUNDED, "answer": "hang up"},
        answered(REFUNDED, 500, {}),
        answered(REFUNDED, 201, {}),
        answered(REFUNDED, 201, "<html>"),
        answered(REFUNDED, 201, {**REFUND, "metadata": {"refund_ref": "OTHER"}}),
        answered(REFUNDED, 409, {"error": "RefundPendingCreation", "detail": "x"}),
    ],
    ids=lambda last: str(last["answer"])[:50],
)
def test_silence_after_a_refund_is_an_unknown_outcome(last):
    with polar(FOUND, REFUNDS, last) as gateway, pytest.raises(OutcomeUnknown):
        gateway.refund(WISH)


def test_silence_before_a_refund_sent_nothing():
    with polar(FOUND, {**REFUNDS, "answer": "hang up"}) as gateway, pytest.raises(GatewayUnavailable):
        gateway.refund(WISH)
    with pytest.raises(GatewayUnavailable):
        offline().refund(WISH)


@pytest.mark.parametrize(
    ("orders", "reason"),
    [
        ([], "order_not_found"),
        ([{**ORDER, "status": "pending"}], "order_not_found"),
        ([{**ORDER, "id": None}], "order_not_found"),
        ([{**ORDER, "currency": "usd"}], "currency"),
    ],
)
def test_only_a_paid_order_in_the_same_currency_is_refunded(orders, reason):
    with polar(found(*orders)) as gateway, pytest.raises(GatewayRefused) as caught:
        gateway.refund(WISH)

    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("money", "refusal"),
    [
        (Money(0, "TZS"), AmountOutOfRange),
        (Money(-5, "TZS"), AmountOutOfRange),
        (Money(5_000, "UGX"), CurrencyNotSupported),
    ],
)
def test_a_refund_that_can_never_be_made_is_refused_without_a_call(money, refusal):
    gateway = offline()

    with pytest.raises(refusal):
        gateway.check_refund(replace(WISH, money=money))
    with pytest.raises(refusal):
        gateway.refund(replace(WISH, money=money))


def test_a_refund_is_found_by_our_reference_among_those_of_its_order():
    refund_id = TransferId(reference=WISH.reference, charge=CHARGE)

    with polar(*recording("refund_query_succeeded")) as gateway:
        assert gateway.query_refund(refund_id).status is TransferStatus.SUCCEEDED
    with polar(*recording("refund_query_unknown")) as gateway, pytest.raises(TransferNotFound):
        gateway.query_refund(refund_id)
    with polar(NO_ORDER) as gateway, pytest.raises(TransferNotFound):
        gateway.query_refund(refund_id)


def test_a_refund_whose_charge_is_not_named_is_looked_for_among_all():
    everything = asked(found(REFUND, exchange=REFUNDS), query={"page": "1", "limit": "100"})

    with polar(everything) as gateway:
        assert gateway.query_refund(TransferId(reference=WISH.reference)).provider_reference == REFUND["id"]


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("pending", TransferStatus.PENDING),
        ("succeeded", TransferStatus.SUCCEEDED),
        ("failed", TransferStatus.FAILED),
        ("canceled", TransferStatus.FAILED),
        ("teleported", TransferStatus.UNKNOWN),
        (None, TransferStatus.UNKNOWN),
        ([], TransferStatus.UNKNOWN),
    ],
)
def test_each_word_about_a_refund_has_one_meaning_everywhere(word, status):
    refund = {**REFUND, "status": word}

    [event] = offline().parse(told("refund.updated", refund))

    assert event.subject is Subject.REFUND
    assert event.result == refund_result(refund)
    assert event.result.status is status
    assert bool(event.result.reason) is (status is TransferStatus.FAILED)


# --- The list ---


def test_the_list_is_read_to_its_last_page():
    recorded = wire.load("polar", "list")
    since, until = (datetime.fromisoformat(recorded[bound]) for bound in ("since", "until"))

    with polar(*recording("list")) as gateway:
        listed = list(gateway.list_charges(since=since, until=until))

    assert [
        [each.reference, each.result.status, each.result.money.amount, each.result.money.currency]
        for each in listed
        if each.result.money
    ] == recorded["listed"]
    assert [each.result.refunded for each in listed if each.result.refunded][1] == Money(500_000, "TZS")
    assert all(each.created_at and since <= each.created_at < until for each in listed)


def test_the_window_of_a_list_has_its_beginning_and_not_its_end():
    since = datetime(2026, 10, 1, 8, tzinfo=UTC)
    until = since + timedelta(hours=1)
    at = [since - timedelta(microseconds=1), since, until - timedelta(microseconds=1), until]
    orders = [{**ORDER, "created_at": each.isoformat()} for each in at]
    query = {
        "created_after": "2026-10-01T07:59:59.999999Z",
        "created_before": "2026-10-01T09:00:00Z",
        "sorting": "created_at",
        "page": "1",
        "limit": "100",
    }

    with polar(asked(found(*orders), query=query)) as gateway:
        listed = [each.created_at for each in gateway.list_charges(since=since, until=until)]

    assert listed == at[1:3]


def test_a_list_that_breaks_off_is_no_shorter_list():
    first, second = recording("list")
    window = {"since": datetime(2026, 10, 1, tzinfo=UTC), "until": datetime(2026, 10, 2, tzinfo=UTC)}

    with polar(first, answered(second, 500, {})) as gateway, pytest.raises(GatewayUnavailable):
        list(gateway.list_charges(**window))


def test_a_probe_is_one_question():
    with polar(*recording("probe")) as gateway:
        gateway.probe()
    with polar(*recording("probe_refused")) as gateway, pytest.raises(GatewayRefused, match="credentials"):
        gateway.probe()
    with pytest.raises(GatewayUnavailable):
        offline().probe()


# --- Callbacks ---


@pytest.mark.parametrize("name", [*WEBHOOKS, "webhook_refund"])
def test_a_callback_is_read_in_our_words(name):
    recorded = wire.load("polar", name)

    [event] = offline().read_webhook(delivery(name))

    assert (event.reference, event.result.status) == (recorded["reference"], recorded["status"])
    assert event.key == recorded["headers"]["webhook-id"]
    assert event.subject is (Subject.REFUND if name == "webhook_refund" else Subject.CHARGE)


def test_news_of_a_refund_is_told_of_the_charge_too():
    [event] = offline().read_webhook(delivery("webhook_refunded"))

    assert event.result.status is ChargeStatus.PAID
    assert event.result.refunded == Money(500_000, "TZS")
    assert event.result.money == REQUEST.money
    assert event.result.provider_reference == CHECKOUT_ID


def test_a_declined_card_is_not_the_end_of_a_charge():
    [event] = offline().read_webhook(delivery("webhook_reopened"))

    assert event.result.status is ChargeStatus.REQUIRES_ACTION
    assert event.result.checkout_url == CHECKOUT["url"]


def test_only_the_name_of_the_message_is_needed_to_read_a_callback():
    whole = delivery("webhook_paid")
    bare = replace(whole, headers={"webhook-id": whole.headers["webhook-id"]})
    stripped = replace(whole, headers={})
    gateway = offline()

    [event] = gateway.parse(bare)
    [first], [again] = gateway.parse(stripped), gateway.parse(stripped)
    [other] = gateway.parse(replace(delivery("webhook_refunded"), headers={}))

    assert event == gateway.read_webhook(whole)[0]
    assert first.key == again.key != other.key
    assert (first.reference, first.result) == (event.reference, event.result)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("customer.created", {"metadata": {"payment_ref": REFERENCE}}),
        ("order.teleported", ORDER),
        ("subscription.active", []),
        ("", {}),
        ("order.paid", {**ORDER, "metadata": {}}),
        ("order.paid", {**ORDER, "metadata": None}),
        ("order.paid", {**ORDER, "metadata": {"payment_ref": 5}}),
        ("order.paid", {**ORDER, "metadata": {"payment_ref": "a b"}}),
        ("refund.created", {**REFUND, "metadata": {"payment_ref": REFERENCE}}),
        ("checkout.updated", {**CHECKOUT, "metadata": {"refund_ref": REFERENCE}}),
    ],
)
def test_news_about_other_things_is_no_news(kind, data):
    assert offline().parse(told(kind, data)) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        b'{"type":5,"data":{}}',
        b'{"type":"order.paid"}',
        b'{"type":"order.paid","data":[]}',
        b"[" * 50_000,
        b'{"type":"order.paid","data":{"a":1e99999999999999999999}}',
    ],
    ids=lambda body: ascii(body)[:50],
)
def test_junk_is_rejected(body):
    with pytest.raises(WebhookRejected):
        offline().parse(Delivery(body=body, headers={"webhook-id": "m1"}))
    with pytest.raises(WebhookRejected):
        offline().verify(Delivery(body=body, headers={"webhook-id": "m1"}))


def test_what_is_kept_of_a_callback_can_be_stored():
    [event] = offline().parse(told("order.paid", {**ORDER, "description": "a\0b\ud800"}))

    kept = json.dumps(event.result.raw, ensure_ascii=False)
    assert "\\u0000" not in kept
    kept.encode()


def test_nothing_personal_and_no_secret_shows_when_a_result_is_printed():
    gateway = offline()

    printed = repr((gateway, gateway.read_webhook(delivery("webhook_paid")), delivery("webhook_paid"), REQUEST))

    for word in ("Asha", "asha@example.com", OPTIONS["webhook_secret"], OPTIONS["access_token"]):
        assert word not in printed


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(exclude_categories=()), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
FIELDS = sorted({*CHECKOUT, *ORDER, *REFUND})
KINDS = ["checkout.updated", "order.paid", "order.refunded", "refund.updated"]


@settings(deadline=None)  # the first gateway of a process reads the TLS roots
@given(
    kind=st.sampled_from(KINDS) | JSON,
    changes=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=5) | JSON,
    message_id=st.just("m1") | st.text(max_size=5),
)
def test_no_signed_delivery_raises_anything_but_a_rejection(kind, changes, message_id):
    gateway = PolarGateway(base_url="http://127.0.0.1:1", **OPTIONS)
    data: Any = changes
    if isinstance(changes, dict):
        data = {**copy.deepcopy(ORDER), **CHECKOUT, **REFUND, "metadata": {"payment_ref": "A", "refund_ref": "B"}}
        data |= changes
    body = json.dumps({"type": kind, "data": data}).encode()

    try:
        events = gateway.parse(Delivery(body=body, headers={"webhook-id": message_id}))
    except WebhookRejected:
        return

    for event in events:
        assert event.reference
        assert event.key.isascii()
        json.dumps(event.result.raw, ensure_ascii=False).encode()
