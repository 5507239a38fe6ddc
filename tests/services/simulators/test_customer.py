"""A person plays the customer, and a provider does what it should not."""

from __future__ import annotations

import re
import time

import httpx
import pytest

from services.simulators import signing
from tests.services.simulators.conftest import CHECKSUM_KEY, ROOT, ClickPesa, wait_for

PAGE = ROOT / "services" / "simulators" / "page.html"


def waiting(clickpesa: ClickPesa) -> list[str]:
    return [each["reference"] for each in clickpesa.simulator.http.get("/simulator/waiting").json()["charges"]]


def checkout(clickpesa: ClickPesa, reference: str = "ORD1") -> str:
    """The address of a page for TZS 36,500."""
    body = {"orderReference": reference, "orderCurrency": "TZS", "totalPrice": "36500"}
    answer = clickpesa.call("checkout-link/generate-checkout-url", **body)
    assert answer.status_code == 200
    return str(answer.json()["checkoutLink"])


def press(clickpesa: ClickPesa, url: str, action: str) -> httpx.Response:
    return clickpesa.simulator.http.post(url, data={"action": action})


# Pushes


def test_a_phone_that_ends_in_100_waits_for_a_person(clickpesa, receiver):
    clickpesa.initiate(clickpesa.order(phone="255712345100"))
    time.sleep(0.6)
    assert clickpesa.status("ORD1") == "PROCESSING"
    assert waiting(clickpesa) == ["ORD1"]

    approved = clickpesa.simulator.steer("ORD1", "approve")

    assert (approved["state"], approved["captured"], approved["collected"]) == ("paid", 1, 5000)
    [callback] = wait_for(lambda: receiver.about("ORD1"))
    assert signing.is_valid(CHECKSUM_KEY, callback)
    assert clickpesa.status("ORD1") == "SUCCESS"
    assert waiting(clickpesa) == []


def test_in_ask_mode_ordinary_numbers_wait_and_special_ones_do_not(clickpesa):
    clickpesa.simulator.control("customer", mode="ask")
    clickpesa.initiate(clickpesa.order("ORD1"))
    clickpesa.initiate(clickpesa.order("ORD2", "255712345101"))

    wait_for(lambda: clickpesa.status("ORD2") == "FAILED")

    assert waiting(clickpesa) == ["ORD1"]
    assert clickpesa.simulator.steer("ORD1", "decline")["status"] == "FAILED"
    assert clickpesa.simulator.http.get("/simulator/customer").json() == {"mode": "ask"}
    assert clickpesa.simulator.http.post("/simulator/customer", json={"mode": "sleepy"}).status_code == 400


def test_a_push_can_be_answered_before_it_answers_itself_and_only_once(clickpesa, receiver):
    clickpesa.initiate(clickpesa.order())

    clickpesa.simulator.steer("ORD1", "decline")
    again = clickpesa.simulator.http.post("/simulator/charges/clickpesa/ORD1/approve")

    assert (again.status_code, again.json()["message"]) == (409, "This charge is declined already.")
    time.sleep(0.7)
    assert [callback["data"]["status"] for callback in receiver.about("ORD1")] == ["FAILED"]
    assert clickpesa.simulator.charge("ORD1")["captured"] == 0


def test_an_ignored_push_ends_unanswered_without_a_word(clickpesa, receiver):
    clickpesa.initiate(clickpesa.order())

    clickpesa.simulator.steer("ORD1", "ignore")
    time.sleep(0.4)

    assert clickpesa.status("ORD1") == "PROCESSING"
    wait_for(lambda: clickpesa.status("ORD1") == "FAILED")
    assert receiver.about("ORD1") == []


def test_an_unknown_charge_or_provider_is_404(simulator):
    for path in ("charges/clickpesa/NOPE/approve", "charges/nobody/ORD1/approve", "charges/nobody/invent"):
        assert simulator.http.post(f"/simulator/{path}").status_code == 404


# Pages


def test_a_page_is_never_paid_by_itself_only_by_whoever_opens_it(clickpesa, receiver):
    url = checkout(clickpesa)
    time.sleep(0.6)
    assert clickpesa.status("ORD1") == "PENDING"
    assert "TZS 36,500" in clickpesa.simulator.http.get(url).text

    left = press(clickpesa, url, "abandon")
    paid = press(clickpesa, url, "pay")
    again = press(clickpesa, url, "pay")

    assert (left.status_code, paid.status_code, again.status_code) == (200, 200, 409)
    assert "Paid" in paid.text
    assert "<button" not in paid.text
    [callback] = wait_for(lambda: receiver.about("ORD1"))
    assert callback["data"]["collectedAmount"] == "36500"
    charge = clickpesa.simulator.charge("ORD1")
    assert (charge["kind"], charge["status"], charge["captured"]) == ("checkout", "SUCCESS", 1)


def test_a_declined_page_is_told(clickpesa, receiver):
    press(clickpesa, checkout(clickpesa), "decline")

    [callback] = wait_for(lambda: receiver.about("ORD1"))

    assert callback["eventType"] == "PAYMENT FAILED"
    assert clickpesa.simulator.charge("ORD1")["captured"] == 0


def test_a_script_waits_for_the_person_but_a_forger_does_not(clickpesa, receiver):
    for fault in ("forged", "lost"):
        clickpesa.simulator.control("faults", provider="clickpesa", fault=fault, reference="ORD1")
    url = checkout(clickpesa)

    forgeries = wait_for(lambda: len(found := receiver.about("ORD1")) == 2 and found)
    assert [signing.is_valid(CHECKSUM_KEY, each) for each in forgeries] == [False, False]
    assert clickpesa.simulator.charge("ORD1")["captured"] == 0
    press(clickpesa, url, "pay")
    time.sleep(0.3)

    assert len(receiver.about("ORD1")) == 2
    assert clickpesa.simulator.charge("ORD1")["captured"] == 1


def test_a_page_escapes_what_callers_wrote(clickpesa):
    name = "<script>alert(1)</script>"
    clickpesa.simulator.control(
        "charges/clickpesa/invent", reference=name, amount=5, kind="checkout", extra={"merchant": name}
    )
    charge = clickpesa.simulator.charge(name)

    page = clickpesa.simulator.http.get(f"/pay/clickpesa/{charge['id']}").text

    assert name not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2


def test_an_unknown_page_and_an_unknown_action_are_refused(clickpesa):
    url = checkout(clickpesa)

    assert clickpesa.simulator.http.get("/pay/clickpesa/NOPE").status_code == 404
    assert press(clickpesa, url, "steal").status_code == 400
    assert clickpesa.status("ORD1") == "PENDING"


# What a provider should not do


def test_a_customer_who_pays_twice_is_captured_twice(clickpesa, receiver):
    clickpesa.initiate(clickpesa.order())
    wait_for(lambda: clickpesa.status("ORD1") == "SUCCESS")

    again = clickpesa.simulator.steer("ORD1", "pay-again")

    first, second = clickpesa.query("ORD1").json()
    assert first["id"] != second["id"] == again["id"]
    assert {first["status"], second["status"]} == {"SUCCESS"}
    charges = clickpesa.simulator.http.get("/simulator/charges", params={"reference": "ORD1"}).json()["charges"]
    assert [charge["captured"] for charge in charges] == [1, 1]
    [shillings] = [
        each for each in clickpesa.simulator.http.get("/simulator/balances").json()["balances"] if each["captures"]
    ]
    assert (shillings["currency"], shillings["captures"], shillings["captured"]) == ("TZS", 2, 10_000)
    wait_for(lambda: len(receiver.about("ORD1")) == 2)


def test_an_invented_charge_is_in_the_list_and_told_only_when_asked(clickpesa, receiver):
    clickpesa.simulator.control("charges/clickpesa/invent", reference="GHOST1", amount=700)
    clickpesa.simulator.control("charges/clickpesa/invent", reference="GHOST2", amount=800, tells=True)

    wait_for(lambda: receiver.about("GHOST2"))

    assert receiver.about("GHOST1") == []
    listed = {row["orderReference"]: row["collectedAmount"] for row in clickpesa.query("all").json()["data"]}
    assert listed == {"GHOST1": 700, "GHOST2": 800}
    used = clickpesa.simulator.http.post(
        "/simulator/charges/clickpesa/invent", json={"reference": "GHOST1", "amount": 1}
    )
    assert used.status_code == 409


@pytest.mark.parametrize("wish", [{}, {"reference": "X"}, {"reference": "X", "amount": 1.5}, {"amount": 1}])
def test_an_invention_needs_a_reference_and_an_amount(simulator, wish):
    assert simulator.http.post("/simulator/charges/clickpesa/invent", json=wish).status_code == 400


@pytest.mark.parametrize(
    ("state", "status", "captured"),
    [("reversed", "REVERSED", 1), ("refunded", "REFUNDED", 1), ("declined", "FAILED", 0)],
)
def test_a_paid_charge_can_be_flipped(clickpesa, state, status, captured):
    clickpesa.simulator.control("charges/clickpesa/invent", reference="ORD1", amount=700)

    flipped = clickpesa.simulator.steer("ORD1", "flip", state=state)

    assert (flipped["status"], flipped["captured"]) == (status, captured)
    assert clickpesa.status("ORD1") == status


def test_a_declined_charge_can_be_paid_after_all_and_told(clickpesa, receiver):
    clickpesa.initiate(clickpesa.order(phone="255712345101"))
    wait_for(lambda: receiver.about("ORD1"))

    flipped = clickpesa.simulator.steer("ORD1", "flip", state="paid", tells=True)

    assert flipped["captured"] == 1
    _, callback = wait_for(lambda: len(found := receiver.about("ORD1")) == 2 and found)
    assert callback["data"]["status"] == "SUCCESS"
    assert clickpesa.simulator.http.post("/simulator/charges/clickpesa/ORD1/flip", json={}).status_code == 400


def test_a_dropped_charge_is_forgotten_by_the_provider_but_not_by_the_ledger(clickpesa):
    clickpesa.simulator.control("charges/clickpesa/invent", reference="ORD1", amount=700)

    clickpesa.simulator.steer("ORD1", "drop")

    assert clickpesa.query("ORD1").status_code == 404
    assert clickpesa.query("all").json()["totalCount"] == 0
    charge = clickpesa.simulator.charge("ORD1")
    assert (charge["is_dropped"], charge["captured"]) == (True, 1)


# The page for people


def test_the_root_leads_to_the_page(simulator):
    answer = simulator.http.get("/", follow_redirects=True)

    assert answer.url.path == "/simulator/"
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.text == PAGE.read_text("utf-8")


def test_the_page_needs_nothing_from_elsewhere_and_never_writes_markup():
    page = PAGE.read_text("utf-8")

    assert not re.search(r"""(src|href)=["']?(https?:)?//""", page)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|@import|url\(", page)
