"""Selcom's side of the wire, tried with the vendor's own client and by hand."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from selcom_apigw_client import apigwClient

from services.simulators.config import read_config
from services.simulators.selcom import signing
from services.simulators.selcom.wire import check_address
from services.simulators.world import Refusal
from tests.services.simulators.conftest import Receiver, Simulator, running, wait_for

KEY, SECRET, TILL, PIN = "demo-selcom-key", "demo-selcom-secret", "demo-till", "demo-pin"
LOCAL = timezone(timedelta(hours=3))
OPENING = 10_000_000
BILLING = {
    "billing.firstname": "Asha",
    "billing.lastname": "Juma",
    "billing.address_1": "Samora Avenue 1",
    "billing.city": "Dar es Salaam",
    "billing.state_or_region": "Dar es Salaam",
    "billing.postcode_or_pobox": "11101",
    "billing.country": "TZ",
    "billing.phone": "255712345678",
}


def encoded(url: str) -> str:
    return base64.b64encode(url.encode()).decode()


def moment(offset: float = 0.0) -> str:
    return datetime.fromtimestamp(time.time() + offset, LOCAL).isoformat(timespec="seconds")


@dataclass(kw_only=True)
class Selcom:
    """A caller that signs by hand, so that it can also sign wrongly."""

    simulator: Simulator
    webhook: str = ""
    changed: dict[str, str] = field(default_factory=dict)

    def call(self, method: str, path: str, **fields: Any) -> httpx.Response:
        headers = signing.headers(KEY, SECRET, moment(), fields, fields) | self.changed
        told: dict[str, Any] = {"json": fields} if method == "POST" else {"params": fields}
        return self.simulator.http.request(method, f"/selcom/v1/{path}", headers=headers, **told)

    def order(self, order_id: str = "ORD-1", *, path: str = "create-order-minimal", **changes: Any) -> httpx.Response:
        return self.call("POST", f"checkout/{path}", **self.wish(order_id, **changes))

    def wish(self, order_id: str = "ORD-1", **changes: Any) -> dict[str, Any]:
        wish = {
            "vendor": TILL,
            "order_id": order_id,
            "buyer_email": "asha@example.com",
            "buyer_name": "Asha Juma",
            "buyer_phone": "255712345678",
            "amount": 15000,
            "currency": "TZS",
            "webhook": encoded(self.webhook),
            "no_of_items": 1,
            **changes,
        }
        return {name: value for name, value in wish.items() if value is not None}

    def push(self, phone: str = "255712345678", *, order_id: str = "ORD-1", transid: str = "TXN-1") -> dict[str, Any]:
        answer = self.call("POST", "checkout/wallet-payment", transid=transid, order_id=order_id, msisdn=phone)
        assert answer.status_code == 200
        return dict(answer.json())

    def status(self, order_id: str = "ORD-1") -> dict[str, Any]:
        [row] = self.call("GET", "checkout/order-status", order_id=order_id).json()["data"]
        return dict(row)

    def becomes(self, status: str) -> dict[str, Any]:
        wait_for(lambda: self.status()["payment_status"] == status)
        return self.status()

    def pay_out(self, rail: str = "walletcashin/process", **changes: Any) -> dict[str, Any]:
        wish = {
            "transid": "PAY-1",
            "utilitycode": "VMCASHIN",
            "utilityref": "255754321987",
            "amount": 20_000,
            "vendor": TILL,
            "pin": PIN,
            **changes,
        }
        sent = {name: value for name, value in wish.items() if value is not None}
        return dict(self.call("POST", rail, **sent).json())

    def payout(self, rail: str = "walletcashin", transid: str = "PAY-1") -> dict[str, Any]:
        return dict(self.call("GET", f"{rail}/query", transid=transid).json())

    def balance(self) -> int:
        answer = self.call("POST", "vendor/balance", vendor=TILL, pin=PIN, transid="B-1").json()
        return int(answer["data"][0]["balance"])

    def truth(self, order_id: str = "ORD-1") -> dict[str, Any]:
        asked = {"provider": "selcom", "reference": order_id}
        [charge] = self.simulator.http.get("/simulator/charges", params=asked).json()["charges"]
        return dict(charge)

    def fault(self, name: str, operation: str = "", **wish: Any) -> None:
        self.simulator.control("faults", provider="selcom", fault=name, operation=operation, **wish)


@pytest.fixture
def selcom(simulator: Simulator, receiver: Receiver) -> Selcom:
    return Selcom(simulator=simulator, webhook=f"{receiver.url}/selcom")


def outcome(answer: dict[str, Any]) -> tuple[str, str]:
    return answer["resultcode"], answer["result"]


def completed(answer: dict[str, Any]) -> dict[str, Any] | None:
    [row] = answer["data"]
    return row if row["payment_status"] == "COMPLETED" else None


def succeeded(answer: dict[str, Any]) -> dict[str, Any] | None:
    return answer if answer["resultcode"] == "000" else None


# The vendor's own client


def test_the_vendors_client_completes_its_journeys(simulator, receiver):
    client = apigwClient.Client(f"{simulator.url}/selcom", KEY, SECRET)
    order = Selcom(simulator=simulator, webhook=f"{receiver.url}/selcom").wish("ORD-1", buyer_name="Zo\u00eb & Co = 1")
    full = {**order, "order_id": "ORD-2", "payment_methods": "ALL", **BILLING}
    today = datetime.now(LOCAL).date().isoformat()

    created = client.postFunc("/v1/checkout/create-order-minimal", order)
    created_full = client.postFunc("/v1/checkout/create-order", full)
    pushed = client.postFunc(
        "/v1/checkout/wallet-payment", {"transid": "TXN-1", "order_id": "ORD-1", "msisdn": "255712345678"}
    )
    row = wait_for(lambda: completed(client.getFunc("/v1/checkout/order-status", {"order_id": "ORD-1"})))
    cancelled = client.deleteFunc("/v1/checkout/cancel-order", {"order_id": "ORD-2"})
    listed = client.getFunc("/v1/checkout/list-orders", {"fromdate": today, "todate": today})
    named = client.getFunc(
        "/v1/walletcashin/namelookup", {"utilitycode": "CASHIN", "utilityref": "255712345678", "transid": "PAY-1"}
    )
    paid_out = client.postFunc(
        "/v1/walletcashin/process",
        {
            "transid": "PAY-1",
            "utilitycode": "CASHIN",
            "utilityref": "255712345678",
            "amount": 5000,
            "vendor": TILL,
            "pin": PIN,
        },
    )
    sent = wait_for(lambda: succeeded(client.getFunc("/v1/walletcashin/query", {"transid": "PAY-1"})))
    held = client.postFunc("/v1/vendor/balance", {"vendor": TILL, "pin": PIN, "transid": "B-1"})

    assert outcome(created) == outcome(created_full) == outcome(cancelled) == outcome(sent) == ("000", "SUCCESS")
    assert base64.b64decode(created["data"][0]["payment_gateway_url"]).startswith(simulator.url.encode())
    assert outcome(pushed) == ("111", "PENDING")
    assert row["amount"] == "15000"
    assert [(each["order_id"], each["payment_status"]) for each in listed["data"]] == [
        ("ORD-1", "COMPLETED"),
        ("ORD-2", "CANCEL"),
    ]
    assert named["data"] == [{"name": "ASHA JUMA"}]
    assert outcome(paid_out) == ("111", "INPROGRESS")
    assert sent["data"][0]["receipt"]
    assert held["data"] == [{"balance": str(OPENING + 15_000 - 5_000)}]


# Signatures


@pytest.mark.parametrize(
    "changed",
    [
        {"Authorization": "SELCOM"},
        {"Authorization": signing.authorization("another-key")},
        {"Authorization": signing.authorization(KEY).replace("SELCOM ", "SELCOM  ")},
        {"Digest": "AAAA"},
        {"Digest": ""},
        {"Digest-Method": "RS256"},
        {"Signed-Fields": ""},
        {"Signed-Fields": "vendor,order_id"},
        {"Timestamp": "yesterday"},
    ],
)
def test_a_wrong_signature_is_refused_and_leaves_nothing(selcom, changed):
    selcom.changed = changed

    answer = selcom.order()

    assert (answer.status_code, answer.json()["resultcode"], answer.json()["result"]) == (401, "401", "FAIL")
    assert selcom.simulator.http.get("/simulator/charges").json()["charges"] == []


@pytest.mark.parametrize(("offset", "status"), [(-310, 401), (-280, 200), (280, 200), (310, 401)])
def test_a_clock_may_differ_by_five_minutes(selcom, offset, status):
    fields = selcom.wish()

    answer = selcom.simulator.http.post(
        "/selcom/v1/checkout/create-order-minimal",
        json=fields,
        headers=signing.headers(KEY, SECRET, moment(offset), fields, fields),
    )

    assert answer.status_code == status


def test_the_signature_covers_the_values_in_the_order_of_the_names(selcom):
    fields = selcom.wish()
    headers = signing.headers(KEY, SECRET, moment(), fields, sorted(fields, reverse=True))

    right = selcom.simulator.http.post("/selcom/v1/checkout/create-order-minimal", json=fields, headers=headers)
    changed = selcom.simulator.http.post(
        "/selcom/v1/checkout/create-order-minimal", json={**fields, "amount": 1}, headers=headers
    )
    added = selcom.simulator.http.post(
        "/selcom/v1/checkout/create-order-minimal", json={**fields, "expiry": 1}, headers=headers
    )

    assert [right.status_code, changed.status_code, added.status_code] == [200, 401, 401]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"amount": 15000.0}', b'{"amount": null}', b'{"a": {"b": 1}}'])
def test_a_body_that_cannot_be_signed_is_refused_in_the_envelope(selcom, body):
    headers = signing.headers(KEY, SECRET, moment(), {}, ()) | {"Signed-Fields": "amount"}

    answer = selcom.simulator.http.post("/selcom/v1/checkout/create-order-minimal", content=body, headers=headers)

    assert answer.status_code in (400, 401)
    assert answer.json()["result"] == "FAIL"


def test_settings_switch_off_products_and_spell_what_is_not_documented(receiver):
    settings = {
        "SIMULATOR_SELCOM_PRODUCTS": "checkout,walletcashin",
        "SIMULATOR_SELCOM_PAYOUT_AT_ONCE": "true",
        "SIMULATOR_SELCOM_REFUSAL_CODE": "407",
        "SIMULATOR_SELCOM_REFUSAL_STATUS": "404",
        "SIMULATOR_SELCOM_DECLINED_STATUS": "USERCANCELED",
        "SIMULATOR_SELCOM_EXPIRED_STATUS": "EXPIRED",
        "SIMULATOR_SELCOM_PLAIN_URL": "true",
        "SIMULATOR_SELCOM_AMBIGUOUS": "true",
        "SIMULATOR_SELCOM_WEBHOOK_SIGNED": "false",
        "SIMULATOR_SELCOM_CLOCK_WINDOW": "0",
    }
    with running(settings) as simulator:
        selcom = Selcom(simulator=simulator, webhook=f"{receiver.url}/plain")

        off = selcom.payout("selcompesa")
        for ending in ("101", "102"):
            selcom.order(ending, webhook=None)
            selcom.push(f"255712345{ending}", order_id=ending, transid=f"TXN-{ending}")
        created = selcom.order()
        unknown = selcom.call("GET", "checkout/order-status", order_id="NOPE")
        selcom.fault("error_after", "push")
        lost = selcom.push()
        selcom.becomes("COMPLETED")
        [callback] = wait_for(lambda: receiver.callbacks)
        wait_for(lambda: selcom.status("101")["payment_status"] == "USERCANCELED")
        wait_for(lambda: selcom.status("102")["payment_status"] == "EXPIRED")
        paid_out, failed = selcom.pay_out(), selcom.pay_out(utilityref="255754321101", transid="PAY-2")

        assert (outcome(off), off["message"]) == (
            ("403", "FAIL"),
            "API endpoint not enabled for the vendor (4035)",
        )
        assert created.json()["data"][0]["payment_gateway_url"].startswith("http://")
        assert (unknown.status_code, unknown.json()["resultcode"]) == (404, "407")
        assert outcome(lost) == ("999", "AMBIGUOUS")
        assert "digest" not in callback.headers
        assert (outcome(paid_out), outcome(failed)) == (("000", "SUCCESS"), ("400", "FAIL"))


def test_only_listed_addresses_are_admitted_when_there_is_a_list():
    config = read_config({"SIMULATOR_SELCOM_ADDRESSES": "192.0.2.1,192.0.2.2"}).selcom

    check_address(config, "192.0.2.2")
    with pytest.raises(Refusal) as refused:
        check_address(config, "192.0.2.3")

    assert (refused.value.status, refused.value.body["resultcode"]) == (403, "403")
    assert refused.value.body["message"] == "Source IP not whitelisted (4032)"


# Orders


@pytest.mark.parametrize(
    ("path", "changes", "wrong"),
    [
        ("create-order-minimal", {"no_of_items": None}, "no_of_items"),
        ("create-order-minimal", {"vendor": "another"}, "vendor"),
        ("create-order-minimal", {"order_id": ""}, "order_id"),
        ("create-order-minimal", {"buyer_email": "asha"}, "buyer_email"),
        ("create-order-minimal", {"buyer_name": None}, "buyer_name"),
        ("create-order-minimal", {"buyer_phone": "+255712345678"}, "buyer_phone"),
        ("create-order-minimal", {"buyer_phone": "0712345678"}, "buyer_phone"),
        ("create-order-minimal", {"amount": 0}, "amount"),
        ("create-order-minimal", {"amount": "150.00"}, "amount"),
        ("create-order-minimal", {"amount": -5}, "amount"),
        ("create-order-minimal", {"currency": "USD"}, "currency"),
        ("create-order-minimal", {"webhook": "https://shop.example.com/hook"}, "webhook"),
        ("create-order-minimal", {"redirect_url": encoded("shop.example.com")}, "redirect_url"),
        ("create-order-minimal", {"expiry": "soon"}, "expiry"),
        ("create-order-minimal", {"button_colour": "red"}, "button_colour"),
        ("create-order", {}, "payment_methods"),
        ("create-order", {"payment_methods": "CASH", **BILLING}, "payment_methods"),
        ("create-order", {"payment_methods": "CARD"}, "billing.firstname"),
        ("create-order", {"payment_methods": "ALL", **BILLING, "billing.country": "Tanzania"}, "billing.country"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_name(selcom, path, changes, wrong):
    answer = selcom.order(path=path, **changes)

    assert answer.status_code == 412
    assert (answer.json()["resultcode"], answer.json()["message"]) == (
        "412",
        f"Parameter {wrong} is invalid or missing",
    )
    assert [charge["pushes"] for charge in selcom.simulator.http.get("/simulator/charges").json()["charges"]] in (
        [],
        [0],
    )


def test_an_order_id_makes_one_order(selcom):
    first, second = selcom.order(), selcom.order(amount=1)

    assert (outcome(first.json()), second.status_code, outcome(second.json())) == (
        ("000", "SUCCESS"),
        200,
        ("400", "FAIL"),
    )
    assert (selcom.truth()["amount"], selcom.truth()["submitted"]) == (15_000, 2)


def test_an_order_lives_for_its_minutes(selcom):
    selcom.order(expiry=90)
    selcom.order("ORD-2")

    lives = selcom.truth()

    assert datetime.fromisoformat(lives["ends_at"]) - datetime.fromisoformat(lives["created_at"]) == timedelta(
        hours=1.5
    )
    assert selcom.truth("ORD-2")["ends_at"] is None


def test_an_unknown_order_is_no_order(selcom):
    answer = selcom.call("GET", "checkout/order-status", order_id="NOPE").json()

    assert (outcome(answer), answer["data"]) == (("400", "FAIL"), [])


def test_what_is_not_known_of_an_order_is_null_until_it_is_paid(selcom):
    selcom.order()
    before = selcom.status()
    selcom.push()
    meanwhile = selcom.status()

    after = selcom.becomes("COMPLETED")

    unknown = {"transid": None, "channel": None, "reference": None, "phone": None}
    assert before == before | unknown | {"order_id": "ORD-1", "amount": "15000", "payment_status": "PENDING"}
    assert meanwhile == before | {"payment_status": "INPROGRESS"}
    assert (after["transid"], after["channel"], after["phone"]) == ("TXN-1", "TIGOPESATZ", "255712345678")
    assert after["reference"] == selcom.truth()["id"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", after["creation_date"])


def test_an_order_is_cancelled_once_and_never_after_it_was_paid(selcom):
    selcom.order()
    selcom.order("ORD-2")
    selcom.push(order_id="ORD-2", transid="TXN-2")
    wait_for(lambda: selcom.status("ORD-2")["payment_status"] == "COMPLETED")

    answers = [
        selcom.call("DELETE", "checkout/cancel-order", order_id=order_id).json()
        for order_id in ("ORD-1", "ORD-1", "ORD-2", "NOPE")
    ]

    assert [answer["resultcode"] for answer in answers] == ["000", "400", "400", "400"]
    assert answers[0]["message"] == "Order cancellation successful"
    assert selcom.status()["payment_status"] == "CANCELLED"
    assert selcom.status("ORD-2")["payment_status"] == "COMPLETED"
    assert outcome(selcom.push(transid="TXN-3")) == ("400", "FAIL")


def test_a_list_has_whole_days_only(selcom):
    selcom.order()
    today = datetime.now(LOCAL).date()
    yesterday, tomorrow = (str(today + timedelta(days=days)) for days in (-1, 1))

    found = selcom.call("GET", "checkout/list-orders", fromdate=yesterday, todate=tomorrow).json()["data"]
    before = selcom.call("GET", "checkout/list-orders", fromdate=yesterday, todate=yesterday).json()["data"]
    unreadable = selcom.call("GET", "checkout/list-orders", fromDate=yesterday, toDate=yesterday)

    assert [row.keys() for row in found] == [{"order_id", "creation_date", "amount", "payment_status"}]
    assert before == []
    assert unreadable.status_code == 412


# The page


def page_of(answer: httpx.Response) -> str:
    return base64.b64decode(answer.json()["data"][0]["payment_gateway_url"]).decode()


def test_a_page_that_is_paid_tells_and_sends_the_customer_back_without_the_order(selcom, receiver):
    returns = {
        "redirect_url": encoded("https://shop.example.com/back?mine=7"),
        "cancel_url": encoded("https://shop.example.com/no"),
    }
    page = page_of(selcom.order(path="create-order", payment_methods="CARD", **BILLING, **returns))

    left = httpx.post(page, data={"action": "abandon"}, trust_env=False)
    paid = httpx.post(page, data={"action": "pay"}, trust_env=False)

    row = selcom.status()
    [callback] = wait_for(lambda: receiver.callbacks)
    assert left.headers["Location"] == "https://shop.example.com/no"
    assert paid.headers["Location"] == (
        f"https://shop.example.com/back?mine=7&payment_status=COMPLETED&transid={row['transid']}"
    )
    assert (row["payment_status"], row["channel"]) == ("COMPLETED", "CARD")
    assert callback.body["transid"] == row["transid"]


def test_who_says_no_at_the_page_has_cancelled_and_nothing_is_told(selcom, receiver):
    page = page_of(selcom.order(cancel_url=encoded("https://shop.example.com/no")))

    answer = httpx.post(page, data={"action": "decline"}, trust_env=False)

    assert answer.headers["Location"] == "https://shop.example.com/no"
    assert selcom.status()["payment_status"] == "USERCANCELLED"
    assert selcom.truth()["callbacks_sent"] == 0
    assert receiver.callbacks == []


# Pushes


def test_a_push_is_told_once_in_the_documented_words_and_signed(selcom, receiver):
    selcom.order()
    pushed = selcom.push()
    [callback] = wait_for(lambda: receiver.callbacks)

    names = ["transid", "order_id", "reference", "result", "resultcode", "payment_status"]
    assert pushed["message"] == "Request in progress. You will receive a callback shortly."
    assert callback.body == {
        "result": "SUCCESS",
        "resultcode": "000",
        "order_id": "ORD-1",
        "transid": "TXN-1",
        "reference": pushed["reference"],
        "channel": "TIGOPESATZ",
        "amount": "15000",
        "phone": "255712345678",
        "payment_status": "COMPLETED",
    }
    given = callback.headers
    assert (given["authorization"], given["digest-method"]) == (signing.authorization(KEY), "HS256")
    assert given["signed-fields"] == ",".join(names)
    assert given["timestamp"].startswith(datetime.now(LOCAL).strftime("%Y-%d-%m "))
    assert given["digest"] == signing.digest(SECRET, given["timestamp"], callback.body, names)
    assert callback.raw == json.dumps(callback.body, separators=(",", ":")).encode()


def test_a_webhook_that_is_not_acknowledged_is_not_sent_again(selcom, receiver):
    receiver.answers[:] = [500]
    selcom.order()
    selcom.push()
    wait_for(lambda: receiver.callbacks)

    time.sleep(0.25)  # the second try would be after 0.1 s

    assert (selcom.truth()["callbacks_sent"], selcom.truth()["callbacks_acknowledged"]) == (1, 0)


def test_an_order_without_a_webhook_tells_nobody(selcom, receiver):
    selcom.order(webhook=None)
    selcom.push()

    selcom.becomes("COMPLETED")

    assert selcom.truth()["callbacks_sent"] == 0


ENDINGS = {
    "101": ("REJECTED", "15000", 0, []),
    "102": ("PENDING", "15000", 0, []),
    "103": ("COMPLETED", "15000", 1, ["right", "right"]),
    "106": ("COMPLETED", "15000", 1, []),
    "109": ("REJECTED", "15000", 0, ["none", "wrong"]),
    "110": ("COMPLETED", "13500", 1, ["right"]),
    "111": ("COMPLETED", "15000", 1, ["right"]),
}


def test_the_payers_number_chooses_what_happens(selcom, receiver):
    for ending in ENDINGS:
        selcom.order(ending, webhook=encoded(f"{receiver.url}/selcom/{ending}"))
        selcom.push(f"255712345{ending}", order_id=ending, transid=f"TXN-{ending}")
    wait_for(lambda: all(selcom.truth(ending)["state"] != "open" for ending in ENDINGS))
    wait_for(lambda: len(receiver.callbacks) == 6)

    seen = {}
    for ending in ENDINGS:
        row, path = selcom.status(ending), f"/selcom/{ending}"
        told = [trust_of(callback) for callback in receiver.callbacks if callback.path == path]
        seen[ending] = (row["payment_status"], row["amount"], selcom.truth(ending)["captured"], told)

    assert seen == ENDINGS


def trust_of(callback: Any) -> str:
    given = callback.headers
    if "digest" not in given:
        return "none"
    expected = signing.digest(SECRET, given["timestamp"], callback.body, given["signed-fields"].split(","))
    return "right" if given["digest"] == expected else "wrong"


@pytest.mark.parametrize(("ending", "captured"), [("107", 0), ("108", 1)])
def test_an_error_may_or_may_not_have_asked_the_customer(selcom, ending, captured):
    selcom.order()

    answer = selcom.call(
        "POST", "checkout/wallet-payment", transid="TXN-1", order_id="ORD-1", msisdn=f"255712345{ending}"
    )

    assert (answer.status_code, answer.json()["resultcode"]) == (500, "500")
    if captured:
        selcom.becomes("COMPLETED")
    assert selcom.truth()["captured"] == captured


def test_a_wrong_number_is_refused_and_asks_nobody(selcom):
    selcom.order()

    wrong = selcom.push("255112345678")
    selcom.fault("refuse", "push")
    scripted = selcom.push(transid="TXN-2")

    refusal = ("010", "FAIL", "Invalid mobile number or operator not supported")
    assert (wrong["resultcode"], wrong["result"], wrong["message"]) == refusal
    assert (scripted["resultcode"], scripted["result"], scripted["message"]) == refusal
    assert selcom.status()["payment_status"] == "PENDING"


def test_a_transid_pushes_once_and_an_order_is_asked_for_once_at_a_time(selcom):
    selcom.order()
    first, same, other = selcom.push(), selcom.push(), selcom.push(transid="TXN-2")
    selcom.becomes("COMPLETED")
    paid = selcom.push(transid="TXN-3")

    assert [answer["resultcode"] for answer in (first, same, other, paid)] == ["111", "400", "400", "400"]
    assert (selcom.truth()["captured"], selcom.truth()["submitted"]) == (1, 4)


def test_an_order_and_its_push_are_one_submission(selcom):
    selcom.order()
    selcom.push()

    assert selcom.truth()["submitted"] == 1


def test_an_unanswered_push_leaves_an_order_that_can_be_pushed_again_and_cancelled(selcom):
    for number in (1, 2):
        selcom.order(f"ORD-{number}")
        selcom.push("255712345102", order_id=f"ORD-{number}", transid=f"TXN-{number}")
    wait_for(lambda: all(selcom.truth(f"ORD-{number}")["state"] == "expired" for number in (1, 2)))

    again = selcom.push(transid="TXN-3")
    cancelled = selcom.call("DELETE", "checkout/cancel-order", order_id="ORD-2").json()

    assert (outcome(again), outcome(cancelled)) == (("111", "PENDING"), ("000", "SUCCESS"))
    assert selcom.becomes("COMPLETED")["transid"] == "TXN-3"
    assert selcom.status("ORD-2")["payment_status"] == "CANCELLED"


def test_selcom_pesa_is_pushed_like_a_wallet(selcom):
    selcom.order()

    pushed = selcom.call(
        "POST", "checkout/selcompesa-payment", transid="TXN-1", order_id="ORD-1", msisdn="255712345678"
    )

    assert outcome(pushed.json()) == ("111", "PENDING")
    assert selcom.becomes("COMPLETED")["channel"] == "SELCOMPESA"


def test_a_product_that_is_refused_by_script_answers_403(selcom):
    selcom.fault("refuse", "order")

    answer = selcom.order()

    assert (answer.status_code, answer.json()["message"]) == (403, "API endpoint not enabled for the vendor (4035)")
    assert selcom.truth()["pushes"] == 0


# Payouts


def test_a_payout_is_known_only_by_asking_on_its_own_rail(selcom):
    started = selcom.pay_out()
    held = selcom.balance()
    wait_for(lambda: selcom.payout()["resultcode"] == "000")

    assert outcome(started) == ("111", "INPROGRESS")
    assert held == selcom.balance() == OPENING - 20_000
    assert outcome(selcom.payout("selcompesa")) == ("999", "AMBIGUOUS")
    assert outcome(selcom.payout(transid="NEVER")) == ("999", "AMBIGUOUS")


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"amount": 999}, "013"),
        ({"amount": OPENING + 1}, "990"),
        ({"utilityref": "0712345678"}, "010"),
        ({"utilitycode": "XXCASHIN"}, "412"),
        ({"pin": "0000"}, "412"),
        ({"vendor": "another"}, "412"),
        ({"transid": ""}, "412"),
    ],
)
def test_a_wrong_payout_is_refused_and_leaves_the_float_alone(selcom, changes, code):
    assert outcome(selcom.pay_out(**changes)) == (code, "FAIL")
    assert selcom.balance() == OPENING


def test_the_smallest_payout_is_a_thousand_shillings(selcom):
    refused = selcom.pay_out(amount=999)

    assert refused["message"] == "Payment amount must be greater than or equal to TZS 1,000."
    assert outcome(selcom.pay_out(amount=1000)) == ("111", "INPROGRESS")


def test_a_transid_pays_out_once(selcom):
    selcom.pay_out()

    assert outcome(selcom.pay_out(amount=1000)) == ("400", "FAIL")
    assert selcom.balance() == OPENING - 20_000


def test_a_payout_to_101_fails_and_its_money_comes_back(selcom):
    selcom.pay_out(utilityref="255754321101")
    wait_for(lambda: selcom.payout()["result"] == "FAIL")

    assert selcom.balance() == OPENING


def test_every_rail_pays_out(selcom):
    pesa = selcom.pay_out("selcompesa/cashin", transid="PAY-1", utilitycode=None)
    bank = selcom.pay_out(
        "qwiksend/process",
        transid="PAY-2",
        utilitycode=None,
        utilityref=None,
        recipientFiCode="CRDBBANK",
        recipientAccount="0150123456789",
        recipientName="John Doe",
        senderAccount="1",
        senderName="Faraja",
        msisdn="255712345678",
        purpose="Salary",
    )
    name = selcom.call("GET", "qwiksend/lookup", bank="NMB", account="1", transid="X").json()["data"]

    assert outcome(pesa) == outcome(bank) == ("111", "INPROGRESS")
    wait_for(lambda: selcom.payout("selcompesa")["resultcode"] == "000")
    wait_for(lambda: selcom.payout("qwiksend", "PAY-2")["resultcode"] == "000")
    assert name == [{"name": "ASHA JUMA"}]


def test_the_pin_is_not_in_the_log_of_calls(selcom):
    selcom.balance()

    assert PIN not in selcom.simulator.http.get("/simulator/calls").text
