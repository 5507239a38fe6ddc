"""ClickPesa's checkout links and card payments."""

from __future__ import annotations

import pytest

from tests.services.simulators.conftest import ClickPesa, wait_for

ORDER = {"orderReference": "ORD1", "orderCurrency": "TZS", "totalPrice": "36500"}
CUSTOMER = {"fullName": "Rehema Said", "email": "rehema@example.com", "phoneNumber": "255754321987"}
CARD = {"amount": "49.50", "currency": "USD", "orderReference": "CARD1", "customer": CUSTOMER}


def link(clickpesa: ClickPesa, **changes: object):
    return clickpesa.call("checkout-link/generate-checkout-url", **{**ORDER, **changes})


def test_items_are_added_up(clickpesa):
    items = [{"name": "Kahawa", "price": "2500", "quantity": 2}, {"name": "Chai", "price": "1000", "quantity": 1}]

    answer = clickpesa.call(
        "checkout-link/generate-checkout-url", orderReference="ORD1", orderCurrency="TZS", orderItems=items
    )

    assert answer.status_code == 200
    assert answer.json().keys() == {"checkoutLink", "clientId"}
    assert clickpesa.simulator.charge("ORD1")["amount"] == 6000


def test_the_customer_named_is_the_customer_told(clickpesa):
    link(clickpesa, customerName="Rehema Said", customerEmail="rehema@example.com", customerPhone="255754321987")
    clickpesa.simulator.steer("ORD1", "approve")

    [payment] = clickpesa.query("ORD1").json()

    assert payment["customer"] == {
        "customerName": "Rehema Said",
        "customerEmail": "rehema@example.com",
        "customerPhoneNumber": "255754321987",
    }
    assert (payment["status"], payment["collectedAmount"]) == ("SUCCESS", 36500)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"totalPrice": None}, "Total Price is required"),
        ({"totalPrice": "12.50"}, "Total Price is required"),
        ({"totalPrice": 12}, "Total Price is required"),
        ({"orderReference": ""}, "Order reference is required"),
        ({"orderReference": "A-1"}, "Invalid Order Reference, should only contain alphanumeric characters and"),
        ({"orderItems": [{"price": "1", "quantity": 1}]}, "All items must have a name"),
        ({"orderItems": [{"name": "x", "price": 1, "quantity": 1}]}, "All items must have a price"),
        ({"orderItems": [{"name": "x", "price": "1", "quantity": "1"}]}, "All items must have a quantity"),
        ({"orderCurrency": "KES"}, "orderCurrency"),
        ({"customerPhone": "0712"}, "Invalid / unsupported phone number"),
    ],
)
def test_a_wrong_checkout_is_refused(clickpesa, changes, message):
    answer = link(clickpesa, **changes)

    assert answer.status_code == 400
    assert message in str(answer.json()["message"])
    assert clickpesa.query("all").json()["totalCount"] == 0


def test_a_checkout_reference_is_used_once_for_every_kind(clickpesa):
    assert link(clickpesa).status_code == 200

    assert link(clickpesa).status_code == 409
    assert clickpesa.initiate(clickpesa.order("ORD1")).status_code == 409
    assert clickpesa.simulator.charge("ORD1")["submitted"] == 3


def test_a_lost_answer_leaves_a_page_that_nobody_can_pay(clickpesa):
    clickpesa.simulator.control("faults", provider="clickpesa", operation="checkout", fault="error_after")

    assert link(clickpesa).status_code == 500

    assert clickpesa.status("ORD1") == "PENDING"
    assert clickpesa.simulator.charge("ORD1")["captured"] == 0


def test_a_card_payment_leads_to_a_page_and_is_counted_in_cents(clickpesa, receiver):
    answer = clickpesa.call("payments/initiate-card-payment", **CARD)

    clickpesa.simulator.http.post(answer.json()["cardPaymentLink"], data={"action": "pay"}).raise_for_status()

    assert answer.json().keys() == {"cardPaymentLink", "clientId"}
    [callback] = wait_for(lambda: receiver.about("CARD1"))
    assert (callback["data"]["collectedAmount"], callback["data"]["collectedCurrency"]) == ("49.50", "USD")
    [payment] = clickpesa.query("CARD1").json()
    assert payment["collectedAmount"] == 49.5
    charge = clickpesa.simulator.charge("CARD1")
    assert (charge["kind"], charge["amount"], charge["decimals"], charge["captured"]) == ("card", 4950, 2, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"currency": "TZS"},
        {"amount": 49},
        {"amount": "0"},
        {"amount": "49.505"},
        {"customer": None},
        {"customer": {**CUSTOMER, "email": "nobody"}},
        {"customer": {**CUSTOMER, "fullName": ""}},
        {"customer": {**CUSTOMER, "phoneNumber": "1"}},
    ],
)
def test_a_wrong_card_payment_is_refused(clickpesa, changes):
    answer = clickpesa.call("payments/initiate-card-payment", **{**CARD, **changes})

    assert answer.status_code == 400
    assert clickpesa.query("all").json()["totalCount"] == 0


def test_a_known_customer_needs_only_an_id_and_a_preview_uses_nothing_up(clickpesa):
    preview = clickpesa.call("payments/preview-card-payment", amount="49", currency="USD", orderReference="CARD1")
    known = clickpesa.call("payments/initiate-card-payment", **{**CARD, "customer": {"id": "CUS1"}})

    assert preview.json()["activeMethods"]
    assert known.status_code == 200
