"""Africa's Talking's side of the wire, driven by its official client; callbacks are forms, sent again when refused."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from africastalking.Application import ApplicationService
from africastalking.Service import AfricasTalkingException
from africastalking.SMS import SMSService

from tests.services.simulators.conftest import Received, Receiver, Simulator, wait_for

KEY = "demo-africastalking-key"
PHONE = "+255712345678"


def client(simulator: Simulator, *, key: str = KEY, username: str = "sandbox") -> SMSService:
    found = SMSService(username, key)
    found._baseUrl = f"{simulator.url}/africastalking/version1"
    return found


def recipients(answer: Any) -> list[dict[str, Any]]:
    assert isinstance(answer, dict), "the client reads JSON only from exactly application/json"
    return list(answer["SMSMessageData"]["Recipients"])


def texts(simulator: Simulator) -> list[dict[str, Any]]:
    found = simulator.http.get("/simulator/texts", params={"provider": "africastalking"}).json()["texts"]
    return list(found)


def told(receiver: Receiver) -> list[Received]:
    return [each for each in list(receiver.callbacks) if each.path == "/africastalking"]


def test_the_official_client_sends_a_text_that_is_delivered_and_reported(simulator, receiver):
    answer = client(simulator).send("Habari & karibu", [PHONE], "FARAJA")

    [recipient] = recipients(answer)
    assert answer["SMSMessageData"]["Message"] == "Sent to 1/1 Total Cost: KES 0.8000"
    assert {**recipient, "messageId": ""} == {
        "statusCode": 101,
        "number": PHONE,
        "status": "Success",
        "cost": "KES 0.8000",
        "messageId": "",
    }
    [report] = wait_for(lambda: told(receiver))
    assert report.headers["content-type"] == "application/x-www-form-urlencoded"
    assert report.body == {
        "id": recipient["messageId"],
        "status": "Success",
        "phoneNumber": PHONE,
        "networkCode": "99999",
    }
    [text] = texts(simulator)
    assert (text["text"], text["sender"], text["phone"], text["parts"]) == ("Habari & karibu", "FARAJA", PHONE[1:], 1)


def test_each_recipient_of_a_call_has_an_answer_of_its_own(simulator):
    numbers = [PHONE, "+255712345679", "+1234", "+255700000111", "+255700000112", "+255700000113", "+255700000114"]

    found = recipients(client(simulator).send("Habari", numbers))

    assert [each["statusCode"] for each in found] == [101, 101, 403, 403, 406, 407, 500]
    assert [each["messageId"] for each in found[2:]] == ["None"] * 5
    assert len({each["messageId"] for each in found[:2]}) == 2
    assert sorted(each["phone"] for each in texts(simulator)) == [PHONE[1:], "255712345679"]


def test_a_text_that_is_only_queued_says_so(simulator):
    [queued] = recipients(client(simulator).send("Habari", [PHONE], enqueue=True))

    assert queued["statusCode"] == 102


@pytest.mark.parametrize(("key", "username"), [("wrong", "sandbox"), (KEY, "somebody"), ("", "sandbox")])
def test_a_wrong_account_is_refused_in_plain_text(simulator, key, username):
    with pytest.raises(AfricasTalkingException, match="The supplied authentication is invalid"):
        client(simulator, key=key, username=username).send("Habari", [PHONE])

    assert texts(simulator) == []


def test_a_sender_that_nobody_registered_leaves_no_recipients(simulator):
    answer = client(simulator).send("Habari", [PHONE], "NOBODY")

    assert answer == {"SMSMessageData": {"Message": "InvalidSenderId", "Recipients": []}}
    assert texts(simulator) == []


def test_the_balance_falls_until_there_is_not_enough(simulator):
    account = ApplicationService("sandbox", KEY)
    account._baseUrl = f"{simulator.url}/africastalking/version1"
    before = account.fetch_application_data()
    [refused] = recipients(client(simulator).send("a" * 153 * 10_001, [PHONE]))

    client(simulator).send("a" * 161, [PHONE])

    assert before == {"UserData": {"balance": "KES 8000.0000"}}
    assert (refused["statusCode"], refused["status"]) == (405, "InsufficientBalance")
    assert account.fetch_application_data() == {"UserData": {"balance": "KES 7998.4000"}}


@pytest.mark.parametrize("missing", ["to", "message"])
def test_a_missing_field_is_named(simulator, missing):
    form = {"username": "sandbox", "to": PHONE, "message": "Habari"} | {missing: " "}

    answer = simulator.http.post("/africastalking/version1/messaging", data=form, headers={"apiKey": KEY})

    assert (answer.status_code, answer.text) == (400, f"Request is missing required form field '{missing}'")


@pytest.mark.parametrize("body", [b"", b"{", b"\xff=1", b"a" * 2_000_001])
def test_a_body_that_is_no_form_names_nobody(simulator, body):
    answer = simulator.http.post("/africastalking/version1/messaging", content=body, headers={"apiKey": KEY})

    assert answer.status_code == 401


def test_a_report_is_sent_again_until_it_is_acknowledged(simulator, receiver):
    receiver.answers.extend([500, 503])

    client(simulator).send("Habari", [PHONE])

    first, second, third = wait_for(lambda: len(found := told(receiver)) == 3 and found)
    assert first.body == second.body == third.body
    assert third.at - second.at > second.at - first.at


def test_replies_and_opt_outs_are_told_as_forms(simulator, receiver):
    simulator.control("texts/inbound", provider="africastalking", phone=PHONE, text="STOP & asante", to="15001")
    simulator.control("texts/opt-out", provider="africastalking", phone=PHONE, to="FARAJA")

    found = wait_for(lambda: len(all_told := told(receiver)) == 2 and all_told)

    by_kind = {"text" in each.body: each.body for each in found}
    assert by_kind[False] == {"senderId": "FARAJA", "phoneNumber": PHONE}
    assert {name: by_kind[True][name] for name in ("from", "to", "text", "linkId")} == {
        "from": PHONE,
        "to": "15001",
        "text": "STOP & asante",
        "linkId": "",
    }
    [reply] = texts(simulator)
    assert (reply["is_inbound"], reply["state"], reply["status"]) == (True, "received", None)


@pytest.mark.parametrize(
    ("path", "wish", "status"),
    [
        ("inbound", {"provider": "nobody", "phone": PHONE}, 404),
        ("inbound", {"provider": "africastalking"}, 400),
        ("inbound", {"provider": "beem", "phone": PHONE, "text": "STOP"}, 409),
        ("opt-out", {"provider": "beem", "phone": PHONE}, 409),
        ("opt-out", {"provider": ["africastalking"], "phone": PHONE}, 404),
    ],
)
def test_what_nobody_can_say_is_refused(simulator, path, wish, status):
    answer: httpx.Response = simulator.http.post(f"/simulator/texts/{path}", json=wish)

    assert answer.status_code == status
    assert texts(simulator) == []


def test_a_fault_of_a_text_can_be_scripted_and_is_listed(simulator):
    simulator.control("faults", provider="africastalking", operation="send", fault="refuse", phone=PHONE)

    listed = simulator.http.get("/simulator/faults").json()
    refused, taken = (recipients(client(simulator).send("Habari", [PHONE])) for _ in range(2))

    assert {"provider": "africastalking", "name": "Africa's Talking", "operations": ["send", "account"]} in listed[
        "providers"
    ]
    assert [each["statusCode"] for each in refused + taken] == [407, 101]
