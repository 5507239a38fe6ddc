from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

import pytest
from africastalking.SMS import SMSService
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given, settings
from hypothesis import strategies as st

from core.exceptions import Malformed
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.sms.base import MessageStatus, Refusal, SmsNews, SmsRefused, SmsReport, SmsRequest
from services.sms.providers.africastalking import CODES, STATUS, AfricasTalkingGateway
from tests.services import wire

CASE = wire.load("africastalking", "case")
OPTIONS = CASE["options"]
REQUEST = SmsRequest(**CASE["request"])
REFERENCE = CASE["provider_reference"]
[EXCHANGE] = wire.exchanges("africastalking", "send_accepted")
RECIPIENT = EXCHANGE["answer"]["json"]["SMSMessageData"]["Recipients"][0]


@contextmanager
def answering(status: int, answer: Any) -> Iterator[AfricasTalkingGateway]:
    body = {"text": answer} if isinstance(answer, str) else {"json": answer}
    with wire.playing({"request": EXCHANGE["request"], "answer": {"status": status, **body}}) as (url, _player):
        yield AfricasTalkingGateway(base_url=url, **OPTIONS)


def about(*recipients: Any, message: Any = "Sent") -> dict[str, Any]:
    return {"SMSMessageData": {"Message": message, "Recipients": list(recipients)}}


@pytest.fixture(scope="module")
def offline() -> AfricasTalkingGateway:
    return AfricasTalkingGateway(base_url=wire.refused_url(), **OPTIONS)


def read(gateway: AfricasTalkingGateway, **fields: str) -> SmsNews:
    return gateway.read_callback(Delivery(body=urlencode(fields).encode()))


def report(gateway: AfricasTalkingGateway, **fields: str) -> SmsReport:
    [found] = read(gateway, **{"id": REFERENCE, "status": "Success", "phoneNumber": REQUEST.phone, **fields}).reports
    return found


@pytest.mark.parametrize("option", ["username", "api_key", "base_url"])
def test_an_empty_option_is_named_at_start(option):
    options = {"base_url": "http://127.0.0.1:1", **OPTIONS, option: ""}

    with pytest.raises(ImproperlyConfigured, match="base URL" if option == "base_url" else option) as caught:
        AfricasTalkingGateway(**options)

    assert OPTIONS["api_key"] not in str(caught.value)


def test_without_a_sender_the_field_is_left_out():
    handler, heard = wire.answering(wire.recorded_answer(EXCHANGE["answer"]))

    with wire.listening(handler) as url:
        AfricasTalkingGateway(base_url=url, **{**OPTIONS, "sender": ""}).send(REQUEST)

    assert "from" not in heard[0].form


@pytest.mark.parametrize("code", [100, 101, 102])
def test_processed_sent_and_queued_are_all_accepted(code):
    with answering(201, about({**RECIPIENT, "statusCode": code})) as gateway:
        assert gateway.send(REQUEST).provider_reference == REFERENCE


@pytest.mark.parametrize("name", ["None", "", None, 5])
def test_a_text_accepted_without_an_id_is_still_accepted(name):
    with answering(201, about({**RECIPIENT, "messageId": name})) as gateway:
        assert gateway.send(REQUEST).provider_reference == ""


@pytest.mark.parametrize("code", [500, 501])
def test_an_error_of_theirs_after_the_text_has_an_id_leaves_its_outcome_unknown(code):
    with answering(201, about({**RECIPIENT, "statusCode": code})) as gateway, pytest.raises(OutcomeUnknown):
        gateway.send(REQUEST)


@pytest.mark.parametrize("code", sorted(code for code, meaning in CODES.items() if isinstance(meaning, Refusal)))
def test_each_documented_code_without_an_id_is_a_refusal(code):
    recipient = {**RECIPIENT, "statusCode": code, "status": "Because", "messageId": "None"}

    with answering(201, about(recipient)) as gateway, pytest.raises(SmsRefused) as caught:
        gateway.send(REQUEST)

    assert (caught.value.reason, caught.value.code, caught.value.detail) == (CODES[code], str(code), "Because")


@pytest.mark.parametrize(
    "answer",
    [
        {},
        [],
        "plain",
        {"SMSMessageData": None},
        {"SMSMessageData": {"Message": "Sent"}},
        about(RECIPIENT, RECIPIENT),
        about("recipient"),
        about({**RECIPIENT, "statusCode": 999}),
        about({**RECIPIENT, "statusCode": "101"}),
        about({**RECIPIENT, "statusCode": None}),
        about({**RECIPIENT, "statusCode": [101]}),
        {"SMSMessageData": {"Message": "Sent", "Recipients": {}}},
    ],
)
def test_an_answer_that_does_not_say_what_became_of_the_text_leaves_it_unknown(answer):
    with answering(201, answer) as gateway, pytest.raises(OutcomeUnknown):
        gateway.send(REQUEST)


@pytest.mark.parametrize("status", [302, 408, 500, 502, 504])
def test_an_error_of_theirs_without_words_leaves_the_outcome_unknown(status):
    with answering(status, "<html>") as gateway, pytest.raises(OutcomeUnknown):
        gateway.send(REQUEST)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_front_took_nothing(status):
    with answering(status, "busy") as gateway, pytest.raises(GatewayUnavailable):
        gateway.send(REQUEST)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_plain_text_is_a_refusal_for_the_operator(status):
    with answering(status, "The supplied authentication is invalid\0") as gateway, pytest.raises(SmsRefused) as caught:
        gateway.send(REQUEST)

    assert (caught.value.reason, caught.value.code) == (Refusal.ACCOUNT, str(status))
    assert caught.value.detail == "The supplied authentication is invalid\ufffd"


def test_no_recipients_and_no_sentence_is_still_a_refusal():
    with answering(201, about(message=None)) as gateway, pytest.raises(SmsRefused) as caught:
        gateway.send(REQUEST)

    assert caught.value.is_config


@pytest.mark.parametrize("word", sorted(STATUS))
def test_each_documented_status_has_a_meaning(offline, word):
    assert report(offline, status=word.title()).status is STATUS[word]
    assert report(offline, status=word.title()).raw_status == word.title()


@pytest.mark.parametrize("reason", ["InsufficientCredit", "InvalidLinkId", "UserNotSubscribedToProduct"])
def test_a_text_that_failed_before_it_set_out_has_failed(offline, reason):
    found = report(offline, status="Failed", failureReason=reason)

    assert (found.status, found.detail) == (MessageStatus.FAILED, reason)
    assert report(offline, status="Failed", failureReason="DeliveryFailure").status is MessageStatus.UNDELIVERABLE


def test_a_plus_that_nobody_escaped_is_still_a_phone(offline):
    [found] = offline.parse(Delivery(body=b"id=A1&status=Success&phoneNumber=+255712345678")).reports

    assert found.phone == "+255712345678"


@pytest.mark.parametrize("phone", ["", "INFO", "+25571234567\u0668", "12345", "2" * 16])
def test_what_is_no_phone_is_dropped_and_the_report_kept(offline, phone):
    assert report(offline, phoneNumber=phone).phone == ""


def test_a_reply_from_a_name_cannot_be_answered_and_tells_nothing(offline):
    fields = {"id": "1", "from": "VODACOM", "to": "15001", "text": "Habari"}

    assert read(offline, **fields) == SmsNews()


def test_an_empty_reply_is_a_reply(offline):
    [text] = read(offline, id="1", to="15001", text="", **{"from": "+255712345678"}).inbound

    assert (text.text, text.to) == ("", "15001")


def test_a_subscription_tells_nothing(offline):
    fields = {"phoneNumber": "+255712345678", "shortCode": "15001", "keyword": "HABARI", "updateType": "deletion"}

    assert read(offline, **fields) == SmsNews()


@pytest.mark.parametrize(
    "fields",
    [
        {"status": "Success"},
        {"id": REFERENCE},
        {"id": "None", "status": "Success"},
        {"id": " ", "status": "Success"},
        {"senderId": "KITAPI"},
        {"senderId": "KITAPI", "phoneNumber": "nobody"},
        {"from": "+255712345678", "text": "STOP", "to": "15001"},
        {f"field{number}": "1" for number in range(60)},
    ],
)
def test_what_lacks_its_facts_is_malformed(offline, fields):
    with pytest.raises(Malformed):
        read(offline, **fields)


NAMES = st.sampled_from(
    ["id", "status", "phoneNumber", "from", "text", "to", "senderId", "failureReason", "updateType"]
)
FORMS = st.dictionaries(NAMES, st.text()).map(lambda fields: urlencode(fields, errors="replace").encode())


@given(st.binary(max_size=120) | FORMS)
@settings(max_examples=60)
def test_any_bytes_are_read_or_malformed(offline, body):
    try:
        news = offline.parse(Delivery(body=body))
    except Malformed:
        return

    assert all(each.provider_reference and each.raw_status for each in news.reports)


TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


@settings(max_examples=25, deadline=None)
@given(
    text=TEXT,
    digits=st.from_regex(r"[1-9][0-9]{7,13}", fullmatch=True),
    sender=st.none() | st.from_regex(r"[A-Za-z0-9 &+.-]{1,11}", fullmatch=True),
    username=st.from_regex(r"[a-z][a-z0-9._+-]{0,20}", fullmatch=True).filter(lambda name: name != "sandbox"),
)
def test_a_request_is_the_one_that_the_official_client_makes(served, text, digits, sender, username):
    url, heard = served
    heard.clear()
    theirs = SMSService(username, OPTIONS["api_key"])
    theirs._baseUrl = f"{url}/version1"
    ours = AfricasTalkingGateway(base_url=url, username=username, api_key=OPTIONS["api_key"], sender=sender or "")

    answer = theirs.send(text, [f"+{digits}"], sender)
    result = ours.send(replace(REQUEST, phone=f"+{digits}", text=text))

    first, second = heard
    assert second.body == first.body
    assert (second.method, second.target) == (first.method, first.target) == ("POST", "/version1/messaging")
    for name in ("apikey", "accept", "content-type"):
        assert second.headers[name] == first.headers[name]
    assert answer["SMSMessageData"]["Recipients"][0]["messageId"] == result.provider_reference


@pytest.fixture(scope="module")
def served() -> Iterator[tuple[str, list[wire.Heard]]]:
    handler, heard = wire.answering(wire.recorded_answer(EXCHANGE["answer"]))
    with wire.listening(handler) as url:
        yield url, heard
