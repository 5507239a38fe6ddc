"""Polar's side of the wire, driven by its official client: checkouts, the page, orders, refunds, webhooks.

The process under test has 18 % tax, so that a total is never what was asked for, and signs the webhooks of its first
endpoint in the older way; those of endpoints made by the API are signed in the newer one.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from polar.base import PolarClientError, PolarServerError, deserialize
from polar.v2026_04 import Polar
from polar.v2026_04 import webhooks as present
from polar.v2026_04.errors import HTTPValidationError, RefundedAlready, ResourceNotFound
from polar.v2026_04.outputs import Checkout, Order
from polar.v2026_10 import Polar as NextPolar
from polar.v2026_10 import webhooks as next_to_come
from polar.webhooks import PolarWebhookVerificationError, validate_event
from standardwebhooks.webhooks import Webhook

from services.simulators.config import BadSetting, read_config
from services.simulators.ledger.callbacks import DueCallback, Trust
from services.simulators.polar import webhooks
from tests.services.simulators.conftest import Received, Receiver, Simulator, running, wait_for

PRODUCT = "e8b2c1a4-5f3d-4c7e-9a10-2b6c7d8e9f01"
NOBODY = "3c9f8a52-7b1e-4f0a-9d2e-61f0b7c4a8d3"
OLD_SECRET = "whsec_demoLegacySecret0123456789abcdefghijklmnopq"
NET, TAX = 1_500_000, 270_000
ORDER_EVENTS = ["checkout.updated", "order.created", "order.updated", "order.paid", "checkout.updated"]


@pytest.fixture(scope="module")
def process(receiving: Receiver) -> Iterator[Simulator]:
    environ = {
        "SIMULATOR_POLAR_CALLBACK_URL": f"{receiving.url}/polar",
        "SIMULATOR_POLAR_WEBHOOK_SECRET": OLD_SECRET,
        "SIMULATOR_POLAR_STANDARD_SIGNATURE": "false",
        "SIMULATOR_POLAR_TAX_PERCENT": "18",
        "SIMULATOR_POLAR_EXPIRY_EVERY": "0.5",
    }
    with running(environ) as simulator:
        yield simulator


@dataclass(kw_only=True)
class Shop:
    """A caller of the simulated Polar with the official client, and its customers."""

    simulator: Simulator
    receiver: Receiver
    api: Polar
    started: str

    def checkout(self, reference: str = "ORD-1", **changes: Any) -> Checkout:
        prices = [{"amount_type": "fixed", "price_amount": NET, "price_currency": "tzs"}]
        wish = {"products": [PRODUCT], "prices": {PRODUCT: prices}, "metadata": {"payment_ref": reference}}
        return self.api.checkouts.create(**{**wish, "currency": "tzs", **changes})

    def act(self, checkout: Checkout, action: str) -> httpx.Response:
        return self.simulator.http.post(checkout.url, data={"action": action})

    def paid(self, reference: str = "ORD-1", **changes: Any) -> Order:
        checkout = self.checkout(reference, **changes)
        self.act(checkout, "pay")
        [order] = self.api.orders.list(checkout_id=checkout.id).items
        return order

    def refund(self, order: Order, amount: int, **changes: Any) -> Any:
        return self.api.refunds.create(order_id=order.id, reason="customer_request", amount=amount, **changes)

    def events(self, path: str = "/polar") -> list[Received]:
        """Those received at `path` in this test; one of an earlier test may still have been on its way."""
        every = [each for each in list(self.receiver.callbacks) if each.path == path]
        return [each for each in every if each.body["timestamp"] >= self.started]

    def told(self) -> list[tuple[str, str]]:
        return [(each.body["type"], each.body["data"]["status"]) for each in self.events()]

    def ledger(self) -> list[dict[str, Any]]:
        charges = self.simulator.http.get("/simulator/charges", params={"provider": "polar"}).json()["charges"]
        return [dict(charge) for charge in charges]

    def call(self, method: str, path: str, **options: Any) -> httpx.Response:
        headers = {"Authorization": "Bearer demo-polar-token", **options.pop("headers", {})}
        return self.simulator.http.request(method, f"/polar/v1/{path}", headers=headers, **options)


@pytest.fixture
def shop(process: Simulator, receiver: Receiver) -> Shop:
    process.http.post("/simulator/reset").raise_for_status()
    started = datetime.now(UTC).isoformat()
    return Shop(simulator=process, receiver=receiver, api=client(process, "demo-polar-token"), started=started)


def client(simulator: Simulator, token: str) -> Polar:
    return Polar(token, base_url=f"{simulator.url}/polar")


def accept(received: Received, secret: str) -> Any:
    """The event, verified and strictly read by the official client in its version.

    Its own door takes the union of all events, which it needs three seconds to prepare; this one names the event.
    """
    kind = received.body["type"]
    version = next_to_come if received.body["api_version"] == "2026-10" else present
    model = getattr(version, f"Webhook{kind.title().replace('.', '')}Payload")
    return validate_event(
        received.raw, received.headers, secret, frozenset({kind}), lambda data: deserialize(data, model)
    )


# The official client's journey


@pytest.mark.parametrize("version", [Polar, NextPolar])
def test_the_official_client_completes_its_journey_in_both_versions(shop, version):
    shop.api = version("demo-polar-token", base_url=f"{shop.simulator.url}/polar")
    metadata = {"payment_ref": "ORD-2026-000123", "number": 2, "share": 1.5, "is_gift": True}

    checkout = shop.checkout(metadata=metadata, success_url="https://shop.example.com/back?id={CHECKOUT_ID}")
    paying = shop.act(checkout, "pay")
    seen = shop.api.checkouts.get(checkout.id)
    [order] = shop.api.orders.list(metadata={"payment_ref": "ORD-2026-000123", "number": "2"}).items
    [payment] = shop.api.payments.list(order_id=order.id).items
    first, rest = shop.refund(order, 500_000, metadata={"refund": "R1"}), shop.refund(order, 1_000_000)
    with pytest.raises(Exception, match="RefundedAlready"):
        shop.refund(order, 1)
    made = shop.api.webhooks.create_webhook_endpoint(
        url="https://shop.example.com/hooks", format="raw", events=["order.paid"]
    )

    assert (checkout.status, checkout.total_amount, checkout.tax_amount) == ("open", NET, None)
    assert paying.status_code == 303
    assert paying.headers["location"] == f"https://shop.example.com/back?id={checkout.id}" == checkout.success_url
    assert (seen.status, seen.net_amount, seen.total_amount) == ("succeeded", NET, NET + TAX)
    assert (order.status, order.paid, order.checkout_id, order.metadata) == ("paid", True, checkout.id, metadata)
    assert (order.net_amount, order.tax_amount, order.total_amount) == (NET, TAX, NET + TAX)
    assert (payment.status, payment.amount) == ("succeeded", NET + TAX)
    assert shop.api.payments.get(payment.id) == payment
    assert (first.status, first.tax_amount, first.metadata) == ("succeeded", 90_000, {"refund": "R1"})
    assert (rest.amount, rest.tax_amount) == (1_000_000, 180_000)
    assert shop.api.orders.get(order.id).status == "refunded"
    assert {each.id for each in shop.api.refunds.list(order_id=order.id, succeeded=True).items} == {first.id, rest.id}
    assert made.uses_standard_webhook_signature
    assert shop.api.webhooks.reset_webhook_endpoint_secret(made.id).secret != made.secret
    assert shop.api.products.get(PRODUCT).prices[0].source == "catalog"
    assert [each.id for each in shop.api.products.list().items] == [PRODUCT]


def test_the_official_client_reads_our_refusals(shop):
    stranger, reader = client(shop.simulator, "polar_oat_wrong"), client(shop.simulator, "demo-polar-read-token")
    order = shop.paid()
    shop.refund(order, NET)

    with pytest.raises(ResourceNotFound):
        shop.api.checkouts.get(NOBODY)
    with pytest.raises(ResourceNotFound):
        shop.api.orders.get(NOBODY)
    with pytest.raises(RefundedAlready):
        shop.refund(order, 1)
    with pytest.raises(HTTPValidationError, match="Order not found"):
        shop.api.refunds.create(order_id=NOBODY, reason="other", amount=1)
    with pytest.raises(Exception, match="401"):
        stranger.orders.list()
    with pytest.raises(Exception, match="insufficient_scope"):
        reader.checkouts.create(products=[PRODUCT])
    assert reader.orders.get(order.id).id == order.id


def test_every_event_is_accepted_by_the_official_client_and_both_signatures_by_the_standard_library(shop):
    made = shop.api.webhooks.create_webhook_endpoint(
        url=f"{shop.receiver.url}/new",
        format="raw",
        events=["checkout.created", "checkout.updated", "order.paid", "refund.created"],
        api_version="2026-10",
    )
    old, new = Webhook(base64.b64encode(OLD_SECRET.encode()).decode()), Webhook(made.secret)

    checkout = shop.checkout()
    shop.act(checkout, "decline")
    shop.act(checkout, "pay")
    [order] = shop.api.orders.list(checkout_id=checkout.id).items
    shop.refund(order, 500_000)
    wait_for(lambda: len(shop.events()) == 11 and len(shop.events("/new")) == 7)

    for each in shop.events():
        assert accept(each, OLD_SECRET).type == each.body["type"]
        assert old.verify(each.raw, each.headers) == each.body
        assert each.body["api_version"] == "2026-04"
    for each in shop.events("/new"):
        assert accept(each, made.secret).type == each.body["type"]
        assert new.verify(each.raw, each.headers) == each.body
        assert each.body["api_version"] == "2026-10"
    assert {each.headers["user-agent"] for each in shop.events()} == {"polar.sh webhooks"}
    assert len({each.headers["webhook-id"] for each in [*shop.events(), *shop.events("/new")]}) == 18


# The vendor notes' vectors for signatures


P1 = (
    "whsec_AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=",
    "0b3f7c9e-6d1a-4c55-9a0e-2f6f6f0f1c11",
    1780000000,
    '{"type":"order.paid","timestamp":"2026-05-28T20:26:40Z","api_version":"2026-04","data":{"id":"57107b74-8400-4d80'
    '-a2fc-54c2b4239cb3","status":"paid","total_amount":1500000,"currency":"tzs","metadata":{"payment_ref":"ORD-2026-00'
    '0123"}}}',
)
P2 = (
    OLD_SECRET,
    "0b3f7c9e-6d1a-4c55-9a0e-2f6f6f0f1c12",
    1780000100,
    '{"type":"checkout.updated","timestamp":"2026-05-28T20:28:20Z","data":{"id":"57107b74-8400-4d80-a2fc-54c2b4239cb4"'
    ',"status":"confirmed"}}',
)
P3 = (P1[0], "msg_demo_1", 1780000200, '{"type":"refund.created","data":{"id":"r1","note":"Zo\u00eb"}}')


@pytest.mark.parametrize(
    ("vector", "is_standard", "signature"),
    [
        (P1, True, "v1,zO2plHRUPa8y3teuvdZZ1JZW0FqPv/17rqVngBsM1tE="),
        (P2, False, "v1,3Xci1WHsBxUtVqfSXasA7A6KieIOP7dSuL/ngKlP/18="),
        (P3, True, "v1,MIWmXAopKRpkeJUzxt8fzv7d8UYHtlEUIz+cd2AnJo4="),
        (P3, False, "v1,tWyssK0Kdpd0Uz5ezdyxy0a+ffyvCzUWtNbmDHdwQ9w="),
    ],
)
def test_a_signature_is_the_one_of_the_vectors(vector, is_standard, signature):
    secret, id, moment, body = vector
    callback = DueCallback(
        id=1,
        provider="polar",
        subject="",
        kind="",
        url="",
        body=body.encode(),
        headers={"webhook-id": id},
        trust=Trust.GENUINE,
        extra={"secret": secret, "is_standard": is_standard},
        queue="",
        due_at=0,
        tries_left=1,
        tries=0,
    )

    signed = webhooks.sign(read_config({}), callback, moment + 0.9)

    assert signed.body == body.encode()
    assert signed.headers["webhook-timestamp"] == str(moment)
    assert signed.headers["webhook-signature"] == signature


def test_a_secret_that_is_no_key_only_goes_with_the_older_signatures():
    environ = {"SIMULATOR_POLAR_WEBHOOK_SECRET": "chosen by hand"}

    with pytest.raises(BadSetting, match="SIMULATOR_POLAR_WEBHOOK_SECRET"):
        read_config(environ)

    assert read_config({**environ, "SIMULATOR_POLAR_STANDARD_SIGNATURE": "false"}).polar_webhook_secret
    assert len(webhooks.signing_key(read_config({}).polar_webhook_secret, is_standard=True)) == 32


# What is told, and in which order


def test_a_declined_card_leaves_the_page_open_and_the_next_one_may_pay(shop):
    checkout = shop.checkout(customer_email="juma@example.com")

    declined = shop.act(checkout, "decline")
    between = shop.api.checkouts.get(checkout.id)
    shop.act(checkout, "pay")
    wait_for(lambda: len(shop.told()) == 8)

    assert "You can try again" in declined.text
    assert between.status == "open"
    assert [status for _, status in shop.told()[:4]] == ["open", "confirmed", "open", "confirmed"]
    assert [type for type, _ in shop.told()] == ["checkout.created", *["checkout.updated"] * 2, *ORDER_EVENTS]
    assert shop.told()[4:] == [
        ("order.created", "pending"),
        ("order.updated", "paid"),
        ("order.paid", "paid"),
        ("checkout.updated", "succeeded"),
    ]
    [paid, failed] = shop.api.payments.list(checkout_id=checkout.id).items
    assert (paid.status, failed.status, failed.decline_reason) == ("succeeded", "failed", "generic_decline")
    assert shop.api.payments.get(failed.id) == failed
    assert shop.api.checkouts.get(checkout.id).customer_email == "juma@example.com"


def test_an_abandoned_page_tells_nobody_and_can_be_paid_later(shop):
    checkout = shop.checkout(return_url="https://shop.example.com/cart")

    left = shop.act(checkout, "abandon")

    assert left.headers["location"] == "https://shop.example.com/cart"
    assert shop.api.checkouts.get(checkout.id).status == "open"
    assert "TZS 17,700" in shop.simulator.http.get(checkout.url).text
    assert shop.api.orders.list(checkout_id=checkout.id).items == []
    assert shop.act(checkout, "pay").status_code == 200
    assert shop.act(checkout, "pay").status_code == 409


def test_an_overdue_checkout_says_open_until_the_job_comes_by(shop):
    checkout = shop.checkout()
    wait_for(lambda: shop.told() == [("checkout.created", "open")])

    shop.simulator.control(f"polar/checkouts/{checkout.id}/expire")
    overdue = shop.api.checkouts.get(checkout.id)
    too_late = shop.act(checkout, "pay")
    wait_for(lambda: len(shop.told()) == 2)

    assert overdue.status == "open"
    assert datetime.fromisoformat(overdue.expires_at) <= datetime.now(UTC)
    assert too_late.status_code == 410
    assert "expired" in too_late.text
    assert shop.told()[1] == ("checkout.expired", "expired")
    assert shop.api.checkouts.get(checkout.id).status == "expired"
    assert shop.api.orders.list(checkout_id=checkout.id).items == []


def test_a_checkout_lasts_a_day(shop):
    checkout = shop.checkout()

    assert datetime.fromisoformat(checkout.expires_at) - datetime.fromisoformat(checkout.created_at) == timedelta(
        days=1
    )


def test_an_event_is_repeated_with_its_id_and_a_fresh_signature_before_the_next_one_goes_out(shop):
    checkout = shop.checkout()
    wait_for(lambda: shop.ledger()[0]["callbacks_acknowledged"] == 1)
    shop.receiver.answers += [500, 302, 500]

    shop.act(checkout, "pay")
    wait_for(lambda: len(shop.events()) == 9)

    tries, rest = shop.events()[1:5], shop.events()[5:]
    assert len({each.headers["webhook-id"] for each in tries}) == 1
    assert len({each.raw for each in tries}) == 1
    assert [each.body["type"] for each in [tries[-1], *rest]] == ORDER_EVENTS
    for each in tries:
        assert abs(int(each.headers["webhook-timestamp"]) - each.at) < 2
        accept(each, OLD_SECRET)


def test_a_forger_knows_no_key(shop):
    shop.simulator.control("faults", provider="polar", fault="forged", operation="checkout")

    shop.checkout()
    wait_for(lambda: len(shop.events()) == 11)

    claims = [each for each in shop.events() if each.body["type"] == "order.paid"]
    assert [each.headers.get("webhook-signature") is None for each in claims] == [True, False]
    for each in claims:
        with pytest.raises(PolarWebhookVerificationError):
            accept(each, OLD_SECRET)


# Refunds


def test_a_refund_tells_the_order_how_much_is_left(shop):
    order = shop.paid()
    wait_for(lambda: len(shop.events()) == 6)

    shop.refund(order, 333_333)
    wait_for(lambda: len(shop.events()) == 9)

    seen = shop.api.orders.get(order.id)
    assert shop.told()[6:] == [
        ("refund.created", "succeeded"),
        ("order.updated", "partially_refunded"),
        ("order.refunded", "partially_refunded"),
    ]
    assert (seen.status, seen.refunded_amount, seen.refunded_tax_amount) == ("partially_refunded", 333_333, 60_000)
    assert (seen.refundable_amount, seen.refundable_tax_amount) == (NET - 333_333, TAX - 60_000)
    assert shop.events()[-1].body["data"]["refunded_amount"] == 333_333


@pytest.mark.parametrize(
    ("becomes", "told", "order_is"),
    [
        ("succeeded", ["refund.updated", "order.updated", "order.refunded"], "refunded"),
        ("failed", ["refund.updated", "order.updated"], "paid"),
    ],
)
def test_a_refund_can_be_pending_first(shop, becomes, told, order_is):
    order = shop.paid()
    shop.simulator.control("polar/next-refund", becomes=becomes, after=0.4)

    pending = shop.refund(order, NET)
    with pytest.raises(HTTPValidationError, match="exceeds refundable amount"):
        shop.refund(order, 1)
    wait_for(lambda: len(shop.events()) == 7 + len(told))

    assert pending.status == "pending"
    assert [type for type, _ in shop.told()[6:]] == ["refund.created", *told]
    assert shop.told()[7] == ("refund.updated", becomes)
    assert shop.api.orders.get(order.id).status == order_is
    assert [each.status for each in shop.api.refunds.list(order_id=order.id).items] == [becomes]


def test_a_refund_that_fails_after_it_succeeded_restores_the_order(shop):
    order = shop.paid()
    refund = shop.refund(order, NET)

    shop.simulator.control(f"transfers/polar/{refund.id}/flip", state="failed", tells=True)
    wait_for(lambda: ("refund.updated", "failed") in shop.told())

    assert shop.api.orders.get(order.id).status == "paid"
    assert shop.refund(order, NET).status == "succeeded"


def test_the_dashboard_refunds_without_being_asked(shop):
    order = shop.paid()
    shop.refund(order, 500_000)

    made = shop.simulator.control("polar/refunds", order="ORD-1", reason="dispute_prevention")

    assert (made["amount"], made["tax_amount"], made["status"]) == (1_000_000, 180_000, "succeeded")
    assert shop.api.orders.get(order.id).status == "refunded"
    assert [each.reason for each in shop.api.refunds.list().items] == ["dispute_prevention", "customer_request"]


@pytest.mark.parametrize(
    ("hold", "error"),
    [({"is_disputed": True}, "RefundDisputedPayment"), ({"are_refunds_blocked": True}, "RefundsBlocked")],
)
def test_a_held_order_refuses_refunds(shop, hold, error):
    order = shop.paid()
    shop.simulator.control(f"polar/orders/{order.id}", **hold)

    answer = shop.call("POST", "refunds/", json={"order_id": order.id, "reason": "other", "amount": 1})

    assert (answer.status_code, answer.json()["error"]) == (403, error)
    assert shop.api.refunds.list().items == []


def test_refunds_at_once_never_exceed_what_was_paid(shop):
    order = shop.paid()
    body = {"order_id": order.id, "reason": "other", "amount": 400_000}

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: shop.call("POST", "refunds/", json=body).status_code, range(8)))

    assert sorted(answers) == [201] * 3 + [422] * 5
    assert shop.api.orders.get(order.id).refunded_amount == 1_200_000


def test_polar_gives_money_back_by_itself(shop):
    order = shop.paid()
    shop.refund(order, 500_000)

    shop.simulator.control(f"charges/polar/{order.checkout_id}/flip", state="refunded")

    assert shop.api.orders.get(order.id).status == "refunded"
    assert [each.amount for each in shop.api.refunds.list(order_id=order.id).items] == [1_000_000, 500_000]


# Lists


def test_orders_are_filtered_sorted_and_cut(shop):
    orders = [shop.paid(f"ORD-{number}", external_customer_id=f"user-{number % 2}") for number in range(5)]
    ids = [order.id for order in orders]

    def listed(**asked: Any) -> list[int]:
        return [ids.index(order.id) for order in shop.api.orders.list(**asked).items]

    assert listed() == [4, 3, 2, 1, 0]
    assert listed(sorting=["created_at"]) == [0, 1, 2, 3, 4]
    assert listed(limit=2, page=2) == [2, 1]
    assert shop.api.orders.list(limit=2).pagination.max_page == 3
    assert listed(metadata={"payment_ref": "ORD-3"}) == [3]
    assert listed(metadata={"payment_ref": ["ORD-3", "ORD-1"]}) == [3, 1]
    assert listed(metadata={"other": "ORD-3"}) == []
    assert listed(external_customer_id="user-1") == [3, 1]
    assert listed(customer_id=orders[2].customer_id) == [2]
    assert listed(checkout_id=[orders[0].checkout_id, NOBODY]) == [0]
    assert listed(created_after=orders[3].created_at) == [4, 3]
    assert listed(created_after=orders[3].created_at, status="paid") == [4, 3]
    assert listed(created_before=orders[1].created_at, sorting=["created_at"], limit=1, page=2) == [1]
    assert listed(created_before=orders[1].created_at, status="paid") == [1, 0]
    assert listed(status=["refunded", "void"]) == []
    assert listed(product_id=NOBODY) == []
    assert len(list(shop.api.orders.iter_list(limit=2))) == 5


def test_checkouts_are_filtered_by_status_and_customer(shop):
    first, second = shop.checkout("A", customer_email="asha@example.com"), shop.checkout("B")
    shop.act(second, "pay")

    assert [each.id for each in shop.api.checkouts.list().items] == [second.id, first.id]
    assert [each.id for each in shop.api.checkouts.list(status="open").items] == [first.id]
    assert [each.id for each in shop.api.checkouts.list(query="asha@").items] == [second.id, first.id]
    assert shop.api.checkouts.list(external_customer_id="nobody").pagination.total_count == 0


def test_an_open_checkout_can_be_changed_and_a_paid_one_not(shop):
    checkout = shop.checkout()

    changed = shop.api.checkouts.update(checkout.id, customer_name="Juma Ally", metadata={"payment_ref": "ORD-2"})
    shop.act(checkout, "pay")
    refused = shop.call("PATCH", f"checkouts/{checkout.id}", json={"customer_name": "Asha"})

    assert (changed.customer_name, changed.metadata) == ("Juma Ally", {"payment_ref": "ORD-2"})
    assert (refused.status_code, refused.json()["error"]) == (403, "NotOpenCheckout")
    [order] = shop.api.orders.list(checkout_id=checkout.id).items
    assert (order.billing_name, order.metadata) == ("Juma Ally", {"payment_ref": "ORD-2"})


# What is refused


PRICE = {"amount_type": "fixed", "price_amount": NET, "price_currency": "tzs"}


@pytest.mark.parametrize(
    ("body", "place", "message"),
    [
        ({}, ["body", "products"], "Field required"),
        ({"products": []}, ["body", "products"], "List should have at least 1 item after validation, not 0"),
        ({"products": ["x"]}, ["body", "products", 0], "Input should be a valid UUID"),
        ({"products": [NOBODY]}, ["body", "products", 0], "Product does not exist."),
        ({"products": [PRODUCT, PRODUCT]}, ["body", "products"], "Product IDs must be unique."),
        ({"discount_id": NOBODY}, ["body", "discount_id"], "Discount does not exist."),
        ({"customer_id": NOBODY}, ["body", "customer_id"], "Customer does not exist."),
        ({"currency": "usd"}, ["body", "currency"], "Product is not available in the specified currency."),
        (
            {"prices": {PRODUCT: [{**PRICE, "price_currency": "usd"}]}},
            ["body", "prices", PRODUCT],
            "The organization's default presentment currency must be present in the prices.",
        ),
        *(
            (
                {"prices": {PRODUCT: [{**PRICE, "price_amount": amount}]}},
                ["body", "prices", PRODUCT, 0, "price_amount"],
                message,
            )
            for amount, message in (
                (199_999, "Input should be greater than or equal to 200000"),
                (250_000_001, "Input should be less than or equal to 250000000"),
                ("1500000", "Input should be a valid integer"),
                (15000.5, "Input should be a valid integer"),
                (True, "Input should be a valid integer"),
            )
        ),
        (
            {"prices": {PRODUCT: [{**PRICE, "price_currency": "TZS"}]}},
            ["body", "prices", PRODUCT, 0, "price_currency"],
            "Input should be a currency",
        ),
        ({"metadata": {"k" * 41: "x"}}, ["body", "metadata", "k" * 41, "[key]"], "at most 40 characters"),
        ({"metadata": {"k": "x" * 501}}, ["body", "metadata", "k", "str"], "at most 500 characters"),
        ({"metadata": {"k": None}}, ["body", "metadata", "k", "str"], "Input should be a valid string"),
        ({"metadata": {str(n): n for n in range(51)}}, ["body", "metadata"], "at most 50 items"),
        ({"success_url": "shop"}, ["body", "success_url"], "Input should be a valid URL"),
        ({"customer_email": "juma"}, ["body", "customer_email"], "not a valid email address"),
    ],
)
def test_a_wrong_checkout_is_refused_and_makes_nothing(shop, body, place, message):
    wish = {"products": [PRODUCT], "prices": {PRODUCT: [PRICE]}, **body} if body else {}

    answer = shop.call("POST", "checkouts/", json=wish)

    [wrong] = answer.json()["detail"]
    assert answer.status_code == 422
    assert wrong["loc"] == place
    assert message in wrong["msg"]
    assert shop.api.checkouts.list().items == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"\xff", b'{"a": NaN}'])
def test_a_body_that_is_no_json_object_is_refused(shop, body):
    answer = shop.call("POST", "checkouts/", content=body)

    assert (answer.status_code, answer.json()["error"]) == (422, "RequestValidationError")


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": 1.5}, "amount"),
        ({"amount": NET + 1}, "amount"),
        ({"reason": "dispute_prevention"}, "reason"),
        ({"order_id": "x"}, "order_id"),
        ({"order_id": NOBODY}, "order_id"),
    ],
)
def test_a_wrong_refund_is_refused_and_gives_nothing_back(shop, changes, place):
    order = shop.paid()
    wish = {"order_id": order.id, "reason": "other", "amount": 1, **changes}

    answer = shop.call("POST", "refunds/", json=wish)

    assert answer.status_code == 422
    assert [each["loc"] for each in answer.json()["detail"]] == [["body", place]]
    assert shop.api.refunds.list().items == []


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({"Authorization": ""}, 401, "Unauthorized"),
        ({"Authorization": "Basic eA=="}, 401, "Unauthorized"),
        ({"Authorization": "Bearer x"}, 401, "invalid_token"),
    ],
)
def test_every_call_needs_a_token(shop, headers, status, error):
    paths = ["checkouts/", f"checkouts/{NOBODY}", "orders/", "payments/", "refunds/", "products/", "webhooks/endpoints"]

    answers = [shop.call("GET", path, headers=headers) for path in paths]

    assert {(answer.status_code, answer.json()["error"]) for answer in answers} == {(status, error)}
    assert all(answer.headers["www-authenticate"].startswith('Bearer realm="polar"') for answer in answers)


def test_the_version_is_told_back_and_an_unknown_one_is_nowhere(shop):
    versions = {
        sent: shop.call("GET", "orders/", headers={"Polar-Version": sent} if sent else {})
        for sent in ("", "2026-04", "2026-10", "2020-01", "x")
    }

    assert [versions[sent].headers.get("polar-version") for sent in ("", "2026-04", "2026-10")] == [
        "2026-04",
        "2026-04",
        "2026-10",
    ]
    for sent in ("2020-01", "x"):
        assert (versions[sent].status_code, versions[sent].json()) == (404, {"detail": "Not Found"})


def test_an_address_without_its_slash_is_answered_a_redirect(shop):
    answer = shop.call("POST", "checkouts", json={"products": [PRODUCT]})

    assert answer.status_code == 307
    assert answer.headers["location"] == f"{shop.simulator.url}/polar/v1/checkouts/"
    assert shop.api.checkouts.list().items == []
    assert shop.call("GET", "nothing/").json() == {"detail": "Not Found"}


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("orders/?page=0", "page"),
        ("orders/?limit=x", "limit"),
        ("orders/?sorting=x", "sorting"),
        ("orders/?checkout_id=x", "checkout_id"),
        ("orders/?created_after=x", "created_after"),
        ("orders/x", "id"),
    ],
)
def test_a_wrong_address_is_refused(shop, path, place):
    answer = shop.call("GET", path)

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][1] == place


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"url": "http://shop.example.com"}, "url"),
        ({"url": "shop"}, "url"),
        ({"events": ["order.paid", "nonsense"]}, "events"),
        ({"format": "xml"}, "format"),
        ({"api_version": "1999-01"}, "api_version"),
    ],
)
def test_a_wrong_webhook_endpoint_is_refused(shop, changes, place):
    wish = {"url": "https://shop.example.com", "format": "raw", "events": ["order.paid"], **changes}

    answer = shop.call("POST", "webhooks/endpoints", json=wish)

    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][1] == place
    assert shop.api.webhooks.list_webhook_endpoints().items == []


def test_a_webhook_endpoint_can_be_switched_off_and_removed(shop):
    made = shop.api.webhooks.create_webhook_endpoint(
        url=f"{shop.receiver.url}/new", format="raw", events=["checkout.created"]
    )

    shop.api.webhooks.update_webhook_endpoint(made.id, enabled=False)
    shop.checkout()
    wait_for(lambda: len(shop.events()) == 1)

    assert shop.events("/new") == []
    assert shop.api.webhooks.get_webhook_endpoint(made.id).enabled is False
    shop.api.webhooks.delete_webhook_endpoint(made.id)
    with pytest.raises(ResourceNotFound):
        shop.api.webhooks.get_webhook_endpoint(made.id)


# Faults and the ledger


def test_faults_befall_a_checkout_as_scripted(shop):
    def script(fault: str, operation: str = "checkout") -> None:
        shop.simulator.control("faults", provider="polar", fault=fault, operation=operation)

    script("refuse")
    with pytest.raises(PolarClientError, match="PaymentNotReady"):
        shop.checkout("A")
    script("error_before")
    with pytest.raises(PolarServerError):
        shop.checkout("B")
    script("error_after")
    with pytest.raises(PolarServerError):
        shop.checkout("C")
    script("malformed")
    with pytest.raises(json.JSONDecodeError):
        shop.checkout("D")
    script("wrong_amount")
    less = shop.paid("E")
    script("wrong_currency")
    other = shop.paid("F")

    known = {each.metadata["payment_ref"] for each in shop.api.checkouts.list().items}
    assert known == {"C", "D", "E", "F"}
    assert (less.net_amount, less.currency) == (NET * 9 // 10, "tzs")
    assert (other.net_amount, other.currency) == (NET, "kes")


def test_the_ledger_counts_what_was_asked_and_what_was_taken(shop):
    shop.checkout("ORD-1")
    order = shop.paid("ORD-1")
    shop.refund(order, 500_000)

    rows = shop.ledger()
    balances = shop.simulator.http.get("/simulator/balances").json()["balances"]
    again = shop.simulator.http.post(f"/simulator/charges/polar/{order.checkout_id}/pay-again")

    assert [(row["submitted"], row["captured"], row["collected"], row["status"]) for row in rows] == [
        (2, 0, 0, "open"),
        (2, 1, NET, "succeeded"),
    ]
    [balance] = [row for row in balances if row["provider"] == "polar" and row["currency"] == "TZS"]
    assert (balance["captured"], balance["left"]) == (NET, 500_000)
    assert again.status_code == 409


def test_an_invented_order_is_found_by_its_metadata_and_told(shop):
    invented = shop.simulator.control("charges/polar/invent", reference="NEVER-ASKED", amount=300_000, tells=True)
    wait_for(lambda: ("order.paid", "paid") in shop.told())

    [order] = shop.api.orders.list(metadata={"reference": "NEVER-ASKED"}).items
    assert order.checkout_id == invented["charge"]["id"]
    assert (order.net_amount, order.total_amount) == (300_000, 300_000)


def test_a_flipped_or_forgotten_order_changes_its_word(shop):
    void, gone, dropped = shop.paid("A"), shop.paid("B"), shop.paid("C")

    for order, state in ((void, "cancelled"), (gone, "declined")):
        shop.simulator.control(f"charges/polar/{order.checkout_id}/flip", state=state)
    shop.simulator.control(f"charges/polar/{dropped.checkout_id}/drop")

    assert [(each.id, each.status, each.paid) for each in shop.api.orders.list().items] == [(void.id, "void", False)]
    assert shop.api.checkouts.get(gone.checkout_id).status == "failed"
    with pytest.raises(ResourceNotFound):
        shop.api.checkouts.get(dropped.checkout_id)
    refused = shop.call("POST", "refunds/", json={"order_id": void.id, "reason": "other", "amount": 1})
    assert refused.status_code == 404


def test_the_order_keeps_its_day_when_the_money_goes_back(shop):
    order = shop.paid()
    time.sleep(0.05)

    shop.simulator.control(f"charges/polar/{order.checkout_id}/flip", state="reversed")

    assert shop.api.orders.get(order.id).created_at == order.created_at
