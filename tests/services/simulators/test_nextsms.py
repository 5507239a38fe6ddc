"""NextSMS's side of the wire: two versions, several recipients, and reports that are served once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from config.settings.sms_gateways import sms_gateways
from services.http import GatewayUnavailable, OutcomeUnknown
from services.sms.base import MessageStatus, SmsId, SmsRequest
from services.sms.providers.nextsms import NextSmsGateway
from tests.services.simulators.conftest import Simulator, wait_for

SECOND = {"Authorization": "Bearer demo-nextsms-token"}
FIRST = {"Authorization": "Basic ZGVtbzpkZW1vLW5leHRzbXMtcGFzc3dvcmQ="}
PHONE, OTHER = "255712345678", "255754000002"


def post(simulator: Simulator, path: str, body: Any, headers: dict[str, str] | None = None) -> Any:
    answer = simulator.http.post(f"/nextsms/api/sms/{path}", json=body, headers=SECOND if headers is None else headers)
    return answer.json() if answer.is_success else answer.status_code


def get(simulator: Simulator, path: str, **asked: Any) -> Any:
    answer = simulator.http.get(f"/nextsms/api/sms/v2/{path}", params=asked, headers=SECOND)
    return answer.raise_for_status().json()


def single(**changes: Any) -> dict[str, Any]:
    """The body that the client library pynextsms 1.0.0 sends."""
    return {"from": "INFO", "to": PHONE, "text": "Habari", "flash": 0, "reference": "ref1", **changes}


def words(answer: Any) -> list[str]:
    return [each["status"]["name"] for each in answer["messages"]]


def results(simulator: Simulator, path: str = "reports", **asked: Any) -> list[dict[str, Any]]:
    return list(get(simulator, path, **asked)["results"])


def test_a_text_is_answered_as_the_documented_example_shows(simulator):
    assert post(simulator, "v2/text/single", single()) == {
        "messages": [
            {
                "to": PHONE,
                "status": {
                    "groupId": 1,
                    "groupName": "PENDING",
                    "id": 7,
                    "name": "PENDING_ENROUTE",
                    "description": "Message sent to next instance",
                },
                "smsCount": 1,
            }
        ]
    }


def test_each_recipients_report_is_served_once_and_the_log_again_and_again(simulator):
    # The body that the client library nextsms 0.4 sends, with a reference.
    body = {"from": "INFO", "to": [PHONE, OTHER], "text": "Habari", "reference": "r"}
    post(simulator, "v1/text/single", body, FIRST)
    post(simulator, "v2/text/single", single())

    assert results(simulator, reference="r") == []
    first = wait_for(lambda: results(simulator, reference="r", size=1))
    rest = wait_for(lambda: results(simulator, reference="r"))

    assert {each["to"] for each in first + rest} == {PHONE, OTHER}
    assert first[0]["status"]["groupName"] == "DELIVERED"
    assert results(simulator, reference="r") == []
    for _ in range(2):
        assert [each["to"] for each in results(simulator, "logs")] == [PHONE, OTHER, PHONE]
    assert [each["to"] for each in results(simulator, "logs", limit=1, offset=1)] == [OTHER]
    [by_id] = results(simulator, messageId=results(simulator, "logs", limit=1)[0]["messageId"])
    assert by_id["to"] == PHONE


def test_several_texts_go_out_in_one_call_and_the_balance_sinks_by_their_parts(simulator):
    before = get(simulator, "balance")["sms_balance"]
    messages = [single(), single(to=OTHER, text="x" * 200), single(to="255700000112")]

    answer = post(simulator, "v2/text/multi", {"messages": messages, "reference": "m"})

    assert words(answer) == ["PENDING_ENROUTE", "PENDING_ENROUTE", "REJECTED_DND"]
    assert before - get(simulator, "balance")["sms_balance"] == 3


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"to": ""}, "MISSING_TO"),
        ({"to": "0712345678"}, "REJECTED_INVALID_DESTINATION"),
        ({"to": "255700000113"}, "REJECTED_ROUTE_NOT_AVAILABLE"),
        ({"from": "NOBODY"}, "REJECTED_SENDER"),
        ({"text": "x" * 4001}, "REJECTED_MESSAGE_TOO_LONG"),
    ],
)
def test_what_nextsms_does_not_take_it_says_in_its_words(simulator, changes, word):
    assert words(post(simulator, "v2/text/single", single(**changes))) == [word]
    assert results(simulator, "logs") == []


def test_the_mode_for_tests_sends_nothing(simulator):
    assert words(post(simulator, "v2/test/text/single", single())) == ["PENDING_ENROUTE"]
    assert words(post(simulator, "v1/test/text/multi", {"messages": [single()]}, FIRST)) == ["PENDING_ENROUTE"]

    assert results(simulator, "logs") == []


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("v1/text/single", SECOND),
        ("v2/text/single", FIRST),
        ("v2/text/single", {}),
        ("v2/text/single", {"Authorization": "Bearer x"}),
    ],
)
def test_each_version_has_its_own_way_to_be_let_in(simulator, path, headers):
    assert post(simulator, path, single(), headers) == 401


@pytest.mark.parametrize("body", [[], {"messages": []}, {"messages": [1]}, {}])
def test_what_is_no_list_of_texts_is_refused(simulator, body):
    assert post(simulator, "v2/text/multi", body) == 400


def test_the_adapter_finds_a_report_that_was_served_and_lost(simulator):
    gateway = NextSmsGateway(**sms_gateways(simulator.url)["nextsms"]["OPTIONS"])
    request = SmsRequest(key="5f0c6a1de2b34f7c9a8b7c6d5e4f3a21", phone=f"+{PHONE}", text="Habari")
    simulator.control("faults", provider="nextsms", fault="reset", operation="send")
    with pytest.raises(OutcomeUnknown):
        gateway.send(request)
    text = SmsId(key=request.key, phone=request.phone, sent_at=datetime.now(UTC), text=request.text)
    wait_for(lambda: results(simulator, "logs")[0]["status"]["groupName"] == "DELIVERED")
    simulator.control("faults", provider="nextsms", fault="reset", operation="query")
    with pytest.raises(GatewayUnavailable):
        gateway.query(text)

    report = gateway.query(text)

    assert results(simulator, reference=request.key) == []
    assert report is not None
    assert report.status is MessageStatus.DELIVERED


def test_a_text_that_never_arrived_at_nextsms_is_not_found_there(simulator):
    gateway = NextSmsGateway(**sms_gateways(simulator.url)["nextsms"]["OPTIONS"])
    request = SmsRequest(key="5f0c6a1de2b34f7c9a8b7c6d5e4f3a21", phone=f"+{PHONE}", text="Habari")
    gateway.send(SmsRequest(key="a" * 32, phone=request.phone, text="Another one"))
    simulator.control("faults", provider="nextsms", fault="error_before", operation="send")
    with pytest.raises(OutcomeUnknown):
        gateway.send(request)

    text = SmsId(key=request.key, phone=request.phone, sent_at=datetime.now(UTC), text=request.text)
    assert gateway.query(text) is None
