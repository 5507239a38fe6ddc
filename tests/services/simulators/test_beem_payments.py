"""Beem's payments: what the vendor's Node sample does, restated, and everything it leaves out."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from services.simulators.faults import CallbackFault, FaultBook, Rates
from tests.services.simulators.conftest import Receiver, Simulator, running, wait_for

KEY, SECRET = "demo-beem-key", "demo-beem-secret"
OPENING = 10_000_000


@dataclass(kw_only=True)
class Beem:
    """A caller as the vendor's Node sample is one: a GET with parameters and HTTP Basic."""

    simulator: Simulator
    auth: tuple[str, str] = (KEY, SECRET)

    def checkout(self, reference: str = "DEMO-ORD1", *, token: str = "", **changes: Any) -> httpx.Response:
        params = {
            "amount": "15000",
            "transaction_id": str(uuid.uuid4()),
            "reference_number": reference,
            "mobile": "255712345678",
            "sendSource": "true",
            **changes,
        }
        return self.simulator.http.get(
            "/beem/pay/v1/checkout",
            params={name: value for name, value in params.items() if value is not None},
            headers={"Content-Type": "application/json", **({"beem-secure-token": token} if token else {})},
            auth=self.auth,
        )

    def act(self, answer: httpx.Response, action: str) -> httpx.Response:
        """What the customer does at the page."""
        return self.simulator.http.post(answer.json()["src"], data={"action": action})

    def pay_out(self, **changes: Any) -> httpx.Response:
        """`mobile` changes the destination, anything else the body."""
        mobile = {"wallet_number": "255754321987", "wallet_code": "ABC12345", "currency": "TZS"}
        mobile |= changes.pop("mobile", {})
        body = {
            "amount": "10000",
            "client_reference_id": "PAY1",
            "source": {"account_no": "demo-account", "currency": "TZS"},
            "destination": {"mobile": mobile},
            **changes,
        }
        return self.simulator.http.post("/beem/pay/v1/transfer", json=body, auth=self.auth)

    def balance(self, app: str = "BPAY") -> dict[str, Any]:
        answer = self.simulator.http.get("/beem/pay/v1/credit-balance", params={"app_name": app}, auth=self.auth)
        return dict(answer.json())

    def charges(self) -> list[dict[str, Any]]:
        return list(self.simulator.http.get("/simulator/charges", params={"provider": "beem_pay"}).json()["charges"])

    def fault(self, name: str, **wish: Any) -> None:
        self.simulator.control("faults", provider="beem_pay", fault=name, **wish)


@pytest.fixture
def beem(simulator: Simulator) -> Beem:
    return Beem(simulator=simulator)


def told(receiver: Receiver) -> list[Any]:
    return [each for each in list(receiver.callbacks) if each.path == "/beem_pay"]


def test_the_vendors_sample_gets_a_page_and_its_payment_is_told(beem, receiver):
    transaction_id = str(uuid.uuid4())
    answer = beem.checkout(transaction_id=transaction_id, token="tok-1")
    shown = beem.simulator.http.get(answer.json()["src"])

    beem.act(answer, "pay")
    [callback] = wait_for(lambda: told(receiver))

    source = urlsplit(answer.json()["src"])
    assert answer.status_code == 200
    assert source.path == "/beem/pay/v1/checkout/page"
    assert uuid.UUID(parse_qs(source.query)["token"][0])
    assert "TZS 15,000" in shown.text
    assert callback.headers["beem-secure-token"] == "tok-1"
    timestamp = callback.body.pop("timestamp")
    assert timestamp.endswith("Z")
    assert callback.body == {
        "amount": "15000",
        "referenceNumber": "DEMO-ORD1",
        "status": "success",
        "transactionID": transaction_id,
        "msisdn": "255712345678",
    }
    [charge] = beem.charges()
    assert (charge["reference"], charge["id"], charge["captured"]) == ("ORD1", transaction_id, 1)


def test_a_decline_is_told_as_failed_and_leaving_is_not_told(beem, receiver):
    first, second = beem.checkout(), beem.checkout("DEMO-ORD2")

    beem.act(first, "decline")
    beem.act(second, "abandon")

    [callback] = wait_for(lambda: told(receiver))
    assert (callback.body["status"], callback.body["referenceNumber"]) == ("failed", "DEMO-ORD1")
    assert "beem-secure-token" not in callback.headers
    assert [charge["state"] for charge in beem.charges()] == ["declined", "open"]
    assert {charge["captured"] for charge in beem.charges()} == {0}


def test_only_200_receives_a_callback(beem, receiver):
    receiver.answers[:] = [201, 503]
    beem.act(beem.checkout(), "pay")

    wait_for(lambda: beem.charges()[0]["callbacks_acknowledged"])

    assert beem.charges()[0]["callbacks_sent"] == len(told(receiver)) == 3


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (None, 401),
        ("Basic !", 401),
        ("Bearer ZGVtbw==", 401),
        ("Basic ZGVtb2tleTpkZW1vc2VjcmV0", 401),
    ],
)
def test_a_checkout_needs_key_and_secret(beem, header, status):
    answer = beem.simulator.http.get(
        "/beem/pay/v1/checkout", params={"amount": "1"}, headers={} if header is None else {"Authorization": header}
    )

    assert answer.status_code == status
    assert answer.json() == {"code": 120, "message": "Invalid Authentication Parameters"}
    assert beem.charges() == []


UUID1 = "b5b1a5a0-0000-11ee-8c99-0242ac120002"


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"mobile": "0712345678"}, 100, "Invalid Mobile Number"),
        ({"mobile": "+255712345678"}, 100, "Invalid Mobile Number"),
        ({"amount": "0"}, 101, "Invalid Amount"),
        ({"amount": "150.50"}, 101, "Invalid Amount"),
        ({"amount": None}, 101, "Invalid Amount"),
        ({"transaction_id": "ORD1"}, 102, "Invalid Transaction ID"),
        ({"transaction_id": UUID1}, 102, "Invalid Transaction ID"),
        ({"transaction_id": None}, 102, "Invalid Transaction ID"),
        ({"reference_number": "ORD1"}, 105, "Invalid parameters"),
        ({"reference_number": "DEMO-"}, 105, "Invalid parameters"),
        ({"reference_number": None}, 105, "Invalid parameters"),
        ({"sendSource": "yes"}, 105, "Invalid parameters"),
    ],
)
def test_a_wrong_parameter_is_refused_with_its_code(beem, changes, code, message):
    answer = beem.checkout(**changes)

    assert (answer.status_code, answer.json()) == (400, {"code": code, "message": message})
    assert {charge["state"] for charge in beem.charges()} <= {None}


def test_a_transaction_id_makes_one_page_and_a_reference_may_have_several(beem):
    transaction_id = str(uuid.uuid4())
    first = beem.checkout(transaction_id=transaction_id)
    same = beem.checkout(transaction_id=transaction_id.upper(), amount="1")
    other = beem.checkout()

    assert [first.status_code, same.status_code, other.status_code] == [200, 400, 200]
    assert same.json() == {"code": 102, "message": "Invalid Transaction ID"}
    assert [charge["amount"] for charge in beem.charges()] == [15_000, 15_000]
    assert beem.charges()[0]["submitted"] == 3


@pytest.mark.parametrize("send_source", ["false", None])
def test_without_send_source_the_browser_is_sent_to_the_page(beem, send_source):
    answer = beem.checkout(sendSource=send_source)

    assert answer.status_code == 302
    assert "TZS 15,000" in beem.simulator.http.get(answer.headers["Location"]).text


def test_a_source_can_be_an_error(beem):
    beem.fault("refuse", operation="checkout")

    answer = beem.checkout()

    assert answer.status_code == 404
    assert answer.json()["src"].endswith("/v1/checkout/error?message=No%20payment%20method%20set%20by%20client")
    assert beem.simulator.http.get(answer.json()["src"]).json() == {"message": "No payment method set by client"}
    assert beem.charges()[0]["pushes"] == 0


def test_a_page_takes_one_payment(beem):
    answer = beem.checkout()
    first, second = beem.act(answer, "pay"), beem.act(answer, "pay")
    again = beem.simulator.http.post("/simulator/charges/beem_pay/ORD1/pay-again")

    assert [first.status_code, second.status_code, again.status_code] == [200, 409, 409]
    assert beem.charges()[0]["captured"] == 1
    assert beem.simulator.http.get("/beem/pay/v1/checkout/page?token=nope").status_code == 404


def test_forgeries_come_without_the_token_or_with_a_wrong_one(beem, receiver):
    beem.fault("forged")
    answer = beem.checkout(token="tok-1")
    wait_for(lambda: len(told(receiver)) == 2)
    beem.act(answer, "decline")

    callbacks = wait_for(lambda: told(receiver) if len(told(receiver)) == 3 else None)

    tokens = [callback.headers.get("beem-secure-token") for callback in callbacks]
    assert [callback.body["status"] for callback in callbacks] == ["success", "success", "failed"]
    assert tokens[0] is None
    assert tokens[1] not in (None, "tok-1")
    assert tokens[2] == "tok-1"
    assert "tok-1" not in beem.simulator.http.get("/simulator/charges").text


def test_a_script_loses_a_callback_and_chance_never_does(beem, receiver):
    beem.simulator.control("faults/rates", callback_rate=1, callback_faults=["lost"])
    for number in range(12):
        beem.act(beem.checkout(f"DEMO-ORD{number}"), "pay")
    beem.simulator.control("faults/rates", callback_rate=0, callback_faults=[*CallbackFault])
    beem.fault("lost")
    beem.act(beem.checkout("DEMO-LOST"), "pay")

    wait_for(lambda: all(charge["callbacks_sent"] for charge in beem.charges()[:12]))

    assert [charge["callbacks_sent"] for charge in beem.charges()[12:]] == [0]


def test_chance_loses_callbacks_only_where_somebody_can_ask():
    rates = Rates(callback_rate=1.0, seed="1", callback_faults=(CallbackFault.LOST, CallbackFault.LATE))
    book = FaultBook(rates=rates, never_lost=frozenset({"beem_pay"}))

    drawn = {
        provider: {book.draw_callback(provider, f"ORD{number}") for number in range(50)}
        for provider in ("beem_pay", "selcom")
    }

    assert drawn == {
        "beem_pay": {CallbackFault.LATE},
        "selcom": {CallbackFault.LOST, CallbackFault.LATE},
    }


# Disbursements and balance


def test_a_disbursement_leaves_the_account(beem):
    answer = beem.pay_out()

    assert answer.status_code == 200
    assert answer.json() == {
        "code": 100,
        "message": "Disbursement successful",
        "transaction_id": answer.json()["transaction_id"],
        "reference_id": "PAY1",
    }
    assert beem.balance() == {"data": {"credit_bal": f"{OPENING - 10_000}.0000"}}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"mobile": {"wallet_number": "255754321101"}}, 400, 101),
        ({"mobile": {"wallet_number": "0754321987"}}, 400, 102),
        ({"mobile": {"wallet_number": "255754321102"}}, 504, 104),
        ({"mobile": {"wallet_number": None}}, 400, 111),
        ({"mobile": {"wallet_code": ""}}, 400, 105),
        ({"mobile": {"currency": "USD"}}, 400, 105),
        ({"destination": {"wallet_number": "255754321987"}}, 400, 105),
        ({"destination": []}, 400, 105),
        ({"source": {"account_no": "another", "currency": "TZS"}}, 400, 107),
        ({"amount": None}, 400, 112),
        ({"amount": 10000}, 400, 113),
        ({"amount": "1e4"}, 400, 113),
        ({"amount": "5000001"}, 400, 106),
        ({"client_reference_id": ""}, 400, 105),
        ({"scheduled_time_utc": "tomorrow"}, 400, 105),
    ],
)
def test_a_wrong_disbursement_is_refused_with_its_code_and_leaves_nothing(beem, changes, status, code):
    answer = beem.pay_out(**changes)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert beem.balance()["data"]["credit_bal"] == f"{OPENING}.0000"


@pytest.mark.parametrize(
    ("auth", "header", "code"),
    [(None, {}, 109), (None, {"Authorization": "Basic !"}, 110), (("demo-beem-key", "x"), {}, 120)],
)
def test_a_disbursement_names_what_is_wrong_with_the_caller(beem, auth, header, code):
    answer = beem.simulator.http.post("/beem/pay/v1/transfer", json={}, headers=header, auth=auth)

    assert (answer.status_code, answer.json()["code"]) == (401, code)


def test_more_than_the_account_holds_is_not_paid_out(beem):
    for number in range(2):
        beem.pay_out(amount="5000000", client_reference_id=f"PAY{number}")

    answer = beem.pay_out(amount="1", client_reference_id="PAY9", scheduled_time_utc="2026-03-05 10:10:10")

    assert (answer.status_code, answer.json()) == (400, {"code": 103, "message": "Insufficient balance"})


@pytest.mark.parametrize(("fault", "left"), [("error_before", 0), ("error_after", 10_000)])
def test_after_a_network_timeout_nobody_knows(beem, fault, left):
    beem.fault(fault, operation="payout")

    answer = beem.pay_out()

    assert (answer.status_code, answer.json()["code"]) == (504, 104)
    assert beem.balance()["data"]["credit_bal"] == f"{OPENING - left}.0000"


def test_a_disbursement_sent_twice_is_paid_twice(beem):
    codes = [beem.pay_out().json()["code"] for _ in range(2)]

    assert codes == [100, 100]
    assert beem.balance()["data"]["credit_bal"] == f"{OPENING - 20_000}.0000"


def test_a_balance_is_one_apps(beem):
    assert beem.balance("AIRTIME") == {"data": {"credit_bal": "0.0000"}}
    assert beem.balance("XXX")["code"] == 105


def test_settings_change_what_nobody_has_seen(receiver):
    settings = {
        "SIMULATOR_BEEM_PAY_CALLBACK_URL": f"{receiver.url}/beem_pay",
        "SIMULATOR_BEEM_PAY_PREFIX": "",
        "SIMULATOR_BEEM_PAY_TOKEN_MODE": "global",
        "SIMULATOR_BEEM_PAY_TOKEN": "of-the-portal",
        "SIMULATOR_BEEM_PAY_ERROR_STATUS": "200",
        "SIMULATOR_BEEM_PAY_WITHOUT_SOURCE": "page",
        "SIMULATOR_BEEM_PAY_BALANCE_SHAPE": "code",
        "SIMULATOR_BEEM_PAY_WALLET_CODES": "ABC12345",
        "SIMULATOR_BEEM_PAY_REPEATS_PAYOUTS": "false",
    }
    with running(settings) as simulator:
        beem = Beem(simulator=simulator)

        page = beem.checkout("ORD1", sendSource=None)
        beem.act(beem.checkout("ORD2", token="tok-1"), "pay")
        [callback] = wait_for(lambda: told(receiver))
        payouts = [beem.pay_out(), beem.pay_out(), beem.pay_out(mobile={"wallet_code": "X"})]

        assert (page.status_code, "TZS 15,000" in page.text) == (200, True)
        assert callback.headers["beem-secure-token"] == "of-the-portal"
        assert callback.body["referenceNumber"] == "ORD2"
        assert [(answer.status_code, answer.json()["code"]) for answer in payouts] == [
            (200, 100),
            (200, 105),
            (200, 108),
        ]
        assert beem.balance() == {"code": {"credit_bal": f"{OPENING + 15_000 - 10_000}.0000"}}
