"""Beem's side of the wire: sending, the balance, delivery reports and the numbers that are special."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from services.simulators.beem import count_segments
from tests.services.simulators.conftest import Receiver, Simulator, running, wait_for

# Computed by an independent client for demo-key and demo-secret (vendor notes, section 1).
AUTHORIZATION = {"Authorization": "Basic ZGVtby1rZXk6ZGVtby1zZWNyZXQ="}
PHONE = "255712345678"


def text(*phones: str, **changes: Any) -> dict[str, Any]:
    """A body for the send call, in the shape an independent client sends it."""
    recipients = [{"recipient_id": number, "dest_addr": phone} for number, phone in enumerate(phones or [PHONE], 1)]
    body = {
        "source_addr": "FARAJA",
        "schedule_time": "",
        "encoding": 0,
        "message": "Habari",
        "recipients": recipients,
        **changes,
    }
    return {key: value for key, value in body.items() if value is not ...}


def send(simulator: Simulator, body: Any, headers: dict[str, str] | None = None) -> httpx.Response:
    given = AUTHORIZATION if headers is None else headers
    if isinstance(body, bytes):
        return simulator.http.post("/beem/sms/v1/send", content=body, headers=given)
    return simulator.http.post("/beem/sms/v1/send", json=body, headers=given)


def report(simulator: Simulator, request_id: object, phone: str = PHONE) -> httpx.Response:
    return simulator.http.get(
        "/beem/dlr/public/v1/delivery-reports",
        params={"dest_addr": phone, "request_id": str(request_id)},
        headers=AUTHORIZATION,
    )


def balance(simulator: Simulator) -> float:
    answer = simulator.http.get("/beem/public/v1/vendors/balance", headers=AUTHORIZATION)
    return float(answer.json()["data"]["credit_balance"])


def texts(simulator: Simulator) -> list[dict[str, Any]]:
    return list(simulator.http.get("/simulator/beem/messages").json()["messages"])


def test_a_text_is_accepted_delivered_and_reported(simulator, receiver: Receiver):
    answer = send(simulator, text())

    body = answer.json()
    request_id = body.pop("request_id")
    assert answer.status_code == 200
    assert isinstance(request_id, int)
    assert body == {
        "successful": True,
        "code": 100,
        "message": "Message Submitted Successfully",
        "valid": 1,
        "invalid": 0,
        "duplicates": 0,
    }
    assert report(simulator, request_id).status_code == 404
    [told] = wait_for(lambda: receiver.reports(request_id))
    assert told == {
        "request_id": str(request_id),
        "recipient_id": "1",
        "dest_addr": PHONE,
        "Status": "DELIVERED",
    }
    assert report(simulator, request_id).json() == [
        {"dest_addr": PHONE, "status": "DELIVERED", "request_id": str(request_id)}
    ]
    [seen] = texts(simulator)
    assert (seen["text"], seen["phone"], seen["sender"], seen["recipient_id"]) == ("Habari", PHONE, "FARAJA", "1")
    assert seen["request_id"] == str(request_id)


def test_the_same_call_twice_is_two_texts(simulator):
    first, second = (send(simulator, text()).json()["request_id"] for _ in range(2))

    assert first != second
    assert [seen["request_id"] for seen in texts(simulator)] == [str(second), str(first)]


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, 107),
        ({"Authorization": "Bearer x"}, 108),
        ({"Authorization": "Basic ***"}, 108),
        ({"Authorization": "Basic ZGVtby1rZXk6d3Jvbmc="}, 120),
    ],
)
def test_wrong_credentials_are_401_everywhere(simulator, headers, code):
    answers = [
        send(simulator, text(), headers=headers),
        simulator.http.get("/beem/public/v1/vendors/balance", headers=headers),
        simulator.http.get("/beem/dlr/public/v1/delivery-reports", headers=headers),
    ]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(401, code)] * 3
    assert texts(simulator) == []


REFUSALS = [
    (b"{", 113),
    (b"[]", 113),
    (text(source_addr=...), 104),
    (text(message=...), 104),
    (text(message=""), 109),
    (text(message="  "), 109),
    (text(message=5), 109),
    (text(message="Karibu \u4f60\u597d"), 110),
    (text(source_addr="NOBODY"), 111),
    (text(source_addr=["FARAJA"]), 111),
    (text(schedule_time="2020-01-01 10:00"), 112),
    (text(schedule_time="tomorrow"), 117),
    (text(schedule_time=5), 117),
    (text(encoding=...), 118),
    (text(encoding=3), 118),
    (text(encoding=True), 118),
    (text(recipients=...), 119),
    (text(recipients=[]), 119),
    (text(recipients={}), 119),
    (text(*[f"2557{number:08d}" for number in range(1001)]), 114),
    (text(recipients=[{"recipient_id": 1}]), 115),
    (text(recipients=[{"recipient_id": 1, "dest_addr": " "}]), 115),
    (text(recipients=["255712345678"]), 115),
    (text(recipients=[{"dest_addr": PHONE}]), 116),
    (text(recipients=[{"recipient_id": 1, "dest_addr": p} for p in (PHONE, "255712345679")]), 116),
    (text("+255712345678"), 101),
    (text("0712345678"), 101),
]


@pytest.mark.parametrize(("body", "code"), REFUSALS, ids=lambda value: str(value)[:40])
def test_a_wrong_call_is_refused_with_its_code(simulator, body, code):
    answer = send(simulator, body)

    assert (answer.status_code, answer.json()["code"], answer.json()["successful"]) == (400, code, False)
    assert texts(simulator) == []


def test_a_text_beyond_gsm_passes_as_unicode(simulator):
    assert send(simulator, text(message="Karibu \u4f60\u597d", encoding=8)).json()["code"] == 100
    assert send(simulator, text(encoding="0")).json()["code"] == 100
    assert texts(simulator)[1]["text"] == "Karibu \u4f60\u597d"


def test_partly_good_lists_are_counted(simulator):
    body = send(simulator, text(PHONE, PHONE, "+2557", "255712345679")).json()

    assert (body["valid"], body["invalid"], body["duplicates"]) == (2, 1, 1)
    assert sorted(seen["phone"] for seen in texts(simulator)) == [PHONE, "255712345679"]


def test_a_thousand_recipients_share_one_request(simulator):
    body = send(simulator, text(*[f"25571{number:07d}" for number in range(1000)])).json()

    assert body["valid"] == 1000
    assert {seen["request_id"] for seen in texts(simulator)} == {str(body["request_id"])}


@pytest.mark.parametrize(
    ("message", "encoding", "segments"),
    [
        ("a" * 160, 0, 1),
        ("a" * 161, 0, 2),
        ("a" * 306, 0, 2),
        ("a" * 307, 0, 3),
        ("\u20ac" * 80, 0, 1),
        ("\u20ac" * 81, 0, 2),
        ("a" * 70, 8, 1),
        ("a" * 71, 8, 2),
        ("\U0001f600" * 36, 8, 2),
    ],
)
def test_a_long_text_has_more_parts(message, encoding, segments):
    assert count_segments(message, encoding) == segments


def test_the_balance_falls_until_there_is_not_enough(receiver):
    with running({"SIMULATOR_BEEM_BALANCE": "3", "SIMULATOR_BEEM_CALLBACK_URL": ""}) as simulator:
        assert balance(simulator) == 3
        assert send(simulator, text(message="a" * 161)).json()["code"] == 100
        assert balance(simulator) == 1
        refused = send(simulator, text(PHONE, "255712345679"))
        assert (refused.status_code, refused.json()["code"]) == (402, 102)
        assert balance(simulator) == 1
        assert len(texts(simulator)) == 1
        assert send(simulator, text()).json()["code"] == 100
        assert balance(simulator) == 0


def test_every_failure_can_be_sent_with_200(receiver):
    with running({"SIMULATOR_BEEM_FAIL_WITH_200": "true", "SIMULATOR_BEEM_BALANCE": "0"}) as simulator:
        answers = [send(simulator, text(), headers={}), send(simulator, text()), send(simulator, b"{")]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(200, 107), (200, 102), (200, 113)]


def test_an_answer_can_be_delayed_beyond_a_clients_patience(receiver):
    with running({"SIMULATOR_BEEM_DELAY": "1.0"}) as simulator:
        with pytest.raises(httpx.ReadTimeout):
            simulator.http.post("/beem/sms/v1/send", json=text(), headers=AUTHORIZATION, timeout=0.3)

        assert len(texts(simulator)) == 1


def test_a_scheduled_text_is_held(simulator, receiver):
    later = time.strftime("%Y-%m-%d %H:%M", time.gmtime(time.time() + 3600))

    request_id = send(simulator, text(schedule_time=later)).json()["request_id"]

    time.sleep(0.8)
    assert report(simulator, request_id).status_code == 404
    assert receiver.reports(request_id) == []


def test_a_report_needs_both_of_its_parameters(simulator):
    answer = simulator.http.get(
        "/beem/dlr/public/v1/delivery-reports", params={"dest_addr": PHONE}, headers=AUTHORIZATION
    )

    assert (answer.status_code, answer.json()["code"]) == (400, 104)


@pytest.mark.parametrize(("phone", "status"), [("255700000101", "UNDELIVERED"), ("255700000102", "PENDING")])
def test_a_special_number_gets_its_status(simulator, receiver, phone, status):
    request_id = send(simulator, text(phone)).json()["request_id"]

    [told] = wait_for(lambda: receiver.reports(request_id))
    time.sleep(0.6)

    assert told["Status"] == status
    assert len(receiver.reports(request_id)) == 1
    assert report(simulator, request_id, phone).json()[0]["status"] == status


def test_103_reports_twice(simulator, receiver):
    request_id = send(simulator, text("255700000103")).json()["request_id"]

    told = wait_for(lambda: len(found := receiver.reports(request_id)) > 1 and found)
    time.sleep(0.6)

    assert told[0] == told[1]
    assert len(receiver.reports(request_id)) == 2


def test_104_reports_before_it_answers(simulator, receiver):
    request_id = send(simulator, text(PHONE, "255700000104")).json()["request_id"]

    assert [told["dest_addr"] for told in receiver.reports(request_id)] == ["255700000104"]
    wait_for(lambda: len(receiver.reports(request_id)) == 2)
    time.sleep(0.6)
    assert len(receiver.reports(request_id)) == 2


def test_a_report_is_sent_again_until_it_is_answered_200(simulator, receiver):
    receiver.answers.extend([204, 503])

    request_id = send(simulator, text()).json()["request_id"]

    wait_for(lambda: len(receiver.reports(request_id)) == 3)
    time.sleep(0.8)
    assert len(receiver.reports(request_id)) == 3
