"""Our adapter beside Polar's own client: the same requests for the same wishes, and answers that both can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import time_machine
from hypothesis import given, settings
from hypothesis import strategies as st
from polar.base import deserialize
from polar.v2026_04 import Polar, webhooks

from core.money import Money
from services.payments.base import Address, ChargeId, ChargeRequest, Customer, Method, RefundRequest, TransferId
from services.payments.providers.polar import PolarGateway
from services.payments.providers.polar_objects import LIMITS
from tests.services import wire

CASE = wire.load("polar", "case")
OPTIONS = CASE["options"]
PRODUCT = OPTIONS["product_id"]
SINCE, UNTIL = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 10, 2, tzinfo=UTC)
CHECKOUT = wire.load("polar", "charge_checkout_accepted")["exchanges"][0]["answer"]["json"]
ORDERS = wire.load("polar", "query_paid")["exchanges"][0]["answer"]["json"]
REFUND = wire.load("polar", "refund_accepted")["exchanges"][-1]["answer"]["json"]
EMPTY = {"items": [], "pagination": {"total_count": 0, "max_page": 0}}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """What of a request counts."""

    method: str
    path: str
    query: dict[str, str]
    json: Any
    headers: dict[str, str | None]


def heard(call: Callable[[str], object], *answers: tuple[int, Any]) -> list[Sent]:
    """The requests that `call` makes to a server that gives these answers."""
    handler, requests = wire.answering(*[wire.answer(status, json.dumps(body).encode()) for status, body in answers])
    with wire.listening(handler) as url:
        call(url)
    return [
        Sent(
            method=request.method,
            path=urlsplit(request.target).path,
            query=dict(parse_qsl(urlsplit(request.target).query)),
            json=request.json,
            headers={name: request.headers.get(name) for name in ("authorization", "polar-version", "content-type")},
        )
        for request in requests
    ]


def ours(url: str) -> PolarGateway:
    return PolarGateway(base_url=url, **OPTIONS)


def theirs(url: str) -> Polar:
    return Polar(OPTIONS["access_token"], base_url=url)


def shared(mine: dict[str, str], other: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Both queries as far as both send a parameter: the client always sends its defaults."""
    names = mine.keys() & other.keys()
    return {name: mine[name] for name in names}, {name: other[name] for name in names}


WORDS = st.text(st.characters(codec="utf-8", categories=["L", "N", "Zs"]), max_size=20).map(str.strip)


@settings(max_examples=30, deadline=None)  # of a server and two clients each
@given(
    reference=st.from_regex(r"[0-9A-Z]{20}", fullmatch=True),
    currency=st.sampled_from(["TZS", "USD", "KES", "RWF"]),
    share=st.integers(0, 10**6),
    name=WORDS,
    city=WORDS,
)
def test_a_checkout_is_asked_for_as_polars_client_asks(reference, currency, share, name, city):
    smallest, largest = LIMITS[currency]
    amount = smallest + (largest - smallest) * share // 10**6
    request = ChargeRequest(
        reference=reference,
        money=Money(amount, currency),
        method=Method.CHECKOUT,
        customer=Customer(name=name, email="asha@example.com", address=Address(line="", city=city, country="TZ")),
        return_url="https://shop.example.com/done?id={CHECKOUT_ID}",
        cancel_url="https://shop.example.com/cart",
    )
    code = currency.lower()
    prices: list[Any] = [{"amount_type": "fixed", "price_amount": amount, "price_currency": code}]
    if code != "usd":
        prices.append({"amount_type": "fixed", "price_amount": 99_999_999, "price_currency": "usd"})

    def by_their_client(url: str) -> object:
        address: Any = {"country": "TZ", **({"city": city} if city else {})}
        return theirs(url).checkouts.create(
            products=[PRODUCT],
            prices={PRODUCT: prices},
            currency=code,
            metadata={"payment_ref": reference},
            allow_discount_codes=False,
            success_url=request.return_url,
            return_url=request.cancel_url,
            customer_email="asha@example.com",
            customer_billing_address=address,
            **({"customer_name": name} if name else {}),
        )

    answer = (201, {**CHECKOUT, "metadata": {"payment_ref": reference}})

    assert heard(lambda url: ours(url).charge(request), answer) == heard(by_their_client, answer)


def test_orders_are_asked_for_as_polars_client_asks():
    [mine] = heard(lambda url: ours(url).query(ChargeId(reference="ORD2026000123")), (200, ORDERS))
    [other] = heard(
        lambda url: theirs(url).orders.list(metadata={"payment_ref": "ORD2026000123"}, limit=100), (200, ORDERS)
    )
    assert mine.query.pop("metadata[payment_ref]") == other.query["metadata[payment_ref]"] == "ORD2026000123"

    _same(mine, other)


def test_a_window_of_orders_is_asked_for_as_polars_client_asks():
    def by_their_client(url: str) -> object:
        return theirs(url).orders.list(
            created_after="2026-09-30T23:59:59.999999Z",
            created_before="2026-10-02T00:00:00Z",
            sorting=["created_at"],
            limit=100,
        )

    [mine] = heard(lambda url: list(ours(url).list_charges(since=SINCE, until=UNTIL)), (200, ORDERS))
    [other] = heard(by_their_client, (200, ORDERS))

    assert mine == other


def test_one_checkout_and_many_are_asked_for_as_polars_client_asks():
    charge = ChargeId(reference="ORD2026000123", provider_reference=CHECKOUT["id"])
    newest = {"items": [CHECKOUT], "pagination": {"total_count": 1, "max_page": 1}}

    with time_machine.travel(CASE["at"], tick=False):
        _orders, one = heard(lambda url: ours(url).query(charge), (200, EMPTY), (200, CHECKOUT))
        _orders, many = heard(
            lambda url: ours(url).query(ChargeId(reference=charge.reference)), (200, EMPTY), (200, newest)
        )

    [their_one] = heard(lambda url: theirs(url).checkouts.get(CHECKOUT["id"]), (200, CHECKOUT))
    [their_many] = heard(lambda url: theirs(url).checkouts.list(product_id=PRODUCT, limit=50), (200, newest))
    assert one == their_one
    assert many == their_many


@pytest.mark.parametrize("amount", [1, 500_000, 1_500_000])
def test_a_refund_is_asked_for_as_polars_client_asks(amount):
    request = RefundRequest(
        reference="REF2026000123",
        charge=ChargeId(reference="ORD2026000123"),
        money=Money(amount, "TZS"),
        reason="customer_request",
    )
    order_id = ORDERS["items"][0]["id"]

    def by_their_client(url: str) -> object:
        client = theirs(url)
        client.orders.list(metadata={"payment_ref": "ORD2026000123"}, limit=100)
        client.refunds.list(order_id=order_id, limit=100)
        return client.refunds.create(
            order_id=order_id,
            reason="customer_request",
            amount=amount,
            metadata={"refund_ref": "REF2026000123"},
        )

    answers = ((200, ORDERS), (200, EMPTY), (201, REFUND))
    mine, other = heard(lambda url: ours(url).refund(request), *answers), heard(by_their_client, *answers)

    for my_call, their_call in zip(mine, other, strict=True):
        _same(my_call, their_call)


def test_refunds_of_an_order_are_asked_for_as_polars_client_asks():
    found = {"items": [REFUND], "pagination": {"total_count": 1, "max_page": 1}}

    [mine] = heard(lambda url: ours(url).query_refund(TransferId(reference="REF2026000123")), (200, found))
    [other] = heard(lambda url: theirs(url).refunds.list(limit=100), (200, found))

    _same(mine, other)


RECORDED = sorted(
    path.stem
    for path in (wire.PROVIDERS / "polar").glob("*.json")
    if path.stem.startswith(("charge_checkout", "charge_card", "charge_duplicate", "query_", "no_", "list", "refund_"))
)


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_answer_satisfies_the_strict_reader_of_polars_client(name):
    for exchange in wire.exchanges("polar", name):
        recorded = exchange["answer"]
        if recorded == "hang up" or not 200 <= recorded["status"] < 300:
            continue
        path, method = exchange["request"]["path"], exchange["request"]["method"]
        read: dict[str, Callable[[Polar], object]] = {
            "POST /v1/checkouts/": lambda client: client.checkouts.create(products=[PRODUCT]),
            "GET /v1/checkouts/": lambda client: client.checkouts.list(),
            "GET /v1/orders/": lambda client: client.orders.list(),
            "GET /v1/refunds/": lambda client: client.refunds.list(),
            "POST /v1/refunds/": lambda client: client.refunds.create(order_id="o", reason="other", amount=1),
        }
        call = read.get(f"{method} {path}", lambda client: client.checkouts.get(CHECKOUT["id"]))
        assert heard(_asking(call), (recorded["status"], recorded["json"]))


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("webhook_paid", webhooks.WebhookOrderPaidPayload),
        ("webhook_declined", webhooks.WebhookCheckoutUpdatedPayload),
        ("webhook_expired", webhooks.WebhookCheckoutExpiredPayload),
        ("webhook_reopened", webhooks.WebhookCheckoutUpdatedPayload),
        ("webhook_refund", webhooks.WebhookRefundCreatedPayload),
        ("webhook_refunded", webhooks.WebhookOrderRefundedPayload),
    ],
)
def test_polars_client_reads_every_recorded_callback(name, payload):
    # Not by its one entry point, which prepares itself for all events there are: three seconds.
    assert deserialize(wire.load("polar", name)["json"], payload)


def _asking(call: Callable[[Polar], object]) -> Callable[[str], object]:
    return lambda url: call(theirs(url))


def _same(mine: Sent, other: Sent) -> None:
    assert (mine.method, mine.path, mine.json, mine.headers) == (other.method, other.path, other.json, other.headers)
    my_query, their_query = shared(mine.query, other.query)
    assert my_query == their_query
    assert my_query or mine.method == "POST"
