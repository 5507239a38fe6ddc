"""Twilio's adapter beyond what every gateway promises: its signature, its lists, its senders."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from twilio.request_validator import HMAC_SHA1, HMAC_SHA256, RequestValidator

from core.exceptions import Malformed
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.simulators.twilio.signing import signature, url_with_hash
from services.sms.base import MessageStatus, SmsCallbackRejected, SmsId, SmsNews, SmsRefused, SmsReport
from services.sms.providers.twilio import ENDS, REFUSALS, STATUS, TwilioGateway
from services.sms.providers.twilio_signing import is_genuine
from tests.services import wire
from tests.services.sms.provider_case import SmsCase

SECRET = "12345678901234567890123456789012"
FORM = {"content-type": "application/x-www-form-urlencoded"}
SENT_AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def case() -> Iterator[SmsCase]:
    with ExitStack() as stack:
        yield SmsCase("twilio", stack)


def form(fields: Any, *, url: str, signed: str, **headers: str) -> Delivery:
    return Delivery(body=urlencode(fields).encode(), headers={**FORM, "x-twilio-signature": signed, **headers}, url=url)


def asking(case: SmsCase, recording: str, **changes: Any) -> dict[str, Any]:
    """The one exchange of a recording, with another answer."""
    [exchange] = wire.exchanges(case.code, recording)
    return {"request": exchange["request"], "answer": {"status": 200, **changes}}


# --- The signature ---

VECTORS = [
    (
        "https://api.example.org/hooks/sms/twilio/status",
        {
            "MessageSid": "SM0123456789abcdef0123456789abcdef",
            "SmsSid": "SM0123456789abcdef0123456789abcdef",
            "MessageStatus": "delivered",
            "SmsStatus": "delivered",
            "To": "+255712345678",
            "From": "KITAPI",
            "AccountSid": "AC00000000000000000000000000000001",
            "ApiVersion": "2010-04-01",
        },
        "9BpNpq+lYodw2M1isEgFqWuJbDU=",
    ),
    (
        "https://api.example.org/hooks/sms/twilio/status?t=abc",
        {"MessageSid": "SM1", "MessageStatus": "undelivered", "ErrorCode": "30003"},
        "W+8XHURBI4mwnbutR4Dqpm1qx7M=",
    ),
]


@pytest.mark.parametrize(("url", "fields", "signed"), VECTORS)
def test_the_vectors_of_the_vendor_notes_are_genuine(case, url, fields, signed):
    delivery = form(fields, url=url, signed=signed)

    [report] = case.gateway().read_callback(delivery).reports

    assert report.provider_reference == fields["MessageSid"]
    assert signature(SECRET, url, {name: [value] for name, value in fields.items()}) == signed
    altered = replace(delivery, body=delivery.body.replace(b"SM", b"SN", 1))
    for forgery in (altered, replace(delivery, url=url + "&"), replace(delivery, headers=FORM)):
        with pytest.raises(SmsCallbackRejected):
            case.gateway().read_callback(forgery)


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
fields_of_forms = st.lists(st.tuples(st.text("AbcZ_1", min_size=1, max_size=4), words), max_size=6)
hosts = st.sampled_from(["api.example.org", "localhost", "10.0.0.1"])
ports = st.sampled_from(["", ":443", ":80", ":8443"])
queries = st.sampled_from(["", "?t=abc", "?key=5f0c&x=%20", "?a=b&a=c"])
addresses = st.builds(
    lambda scheme, host, port, query: f"{scheme}://{host}{port}/hooks/sms{query}",
    st.sampled_from(["https", "http"]),
    hosts,
    ports,
    queries,
)


class Fields(dict[str, list[str]]):
    """The shape in which web frameworks hand a form's repeated fields to the library."""

    def getlist(self, name: str) -> list[str]:
        return self[name]


@settings(max_examples=60)
@given(addresses, addresses, fields_of_forms, st.sampled_from([HMAC_SHA1, HMAC_SHA256]), st.booleans())
def test_the_verifier_agrees_with_twilios_library(url, other, pairs, algorithm, is_altered):
    grouped = Fields()
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    library = RequestValidator(SECRET)
    signed = library.compute_signature(other if is_altered else url, grouped, algorithm)
    delivery = form(pairs, url=url, signed=signed)
    if algorithm == HMAC_SHA256:
        settings = {"x-twilio-webhooks-signature-settings": f"key=k1,algorithm={algorithm}"}
        delivery = replace(delivery, headers={**delivery.headers, **settings})

    ours = is_genuine(delivery, auth_token=SECRET, shared_key=SECRET)

    assert ours is library.validate(url, grouped, signed, algorithm)
    assert ours or is_altered


@settings(max_examples=60)
@given(addresses, fields_of_forms, fields_of_forms)
def test_other_fields_are_rejected_as_twilios_library_rejects_them(url, pairs, others):
    assume(set(pairs) != set(others))
    library = RequestValidator(SECRET)
    grouped = Fields()
    for name, value in others:
        grouped.setdefault(name, []).append(value)
    simulated = Fields()
    for name, value in pairs:
        simulated.setdefault(name, []).append(value)
    signed = signature(SECRET, url, simulated)

    assert library.compute_signature(url, simulated) == signed
    assert is_genuine(form(pairs, url=url, signed=signed), auth_token=SECRET)
    # Where names and values run into each other as one text, not even the library can tell.
    assert is_genuine(form(others, url=url, signed=signed), auth_token=SECRET) is library.validate(url, grouped, signed)


@settings(max_examples=40)
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30), st.text("ab ", max_size=3))
def test_a_json_body_is_bound_by_its_hash_as_in_twilios_library(body, more):
    url = url_with_hash("https://api.example.org/hooks", body.encode())
    signed = signature(SECRET, url, {})
    delivery = Delivery(
        body=body.encode(), headers={"content-type": "application/json", "x-twilio-signature": signed}, url=url
    )
    altered = replace(delivery, body=(body + more).encode())

    assert is_genuine(delivery, auth_token=SECRET)
    assert RequestValidator(SECRET).validate(url, body, signed)
    assert is_genuine(altered, auth_token=SECRET) is RequestValidator(SECRET).validate(url, body + more, signed)


@pytest.mark.parametrize(
    ("asked", "signed_for"),
    [
        ("https://api.example.org:443/x", "https://api.example.org/x"),
        ("https://api.example.org/x", "https://api.example.org:443/x"),
        ("http://api.example.org/x", "http://api.example.org:80/x"),
        ("https://asha:siri@api.example.org/x", "https://asha:siri@api.example.org:443/x"),
        ("https://asha:siri@api.example.org:443/x", "https://asha:siri@api.example.org/x"),
        ("https://[2001:db8::1]/x?", "https://[2001:db8::1]/x?"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]:443/x"),
        ("https://[2001:db8::1]:443/x", "https://[2001:db8::1]/x"),
    ],
)
def test_the_port_may_be_there_or_not_whatever_stands_before_it(asked, signed_for):
    delivery = form({"a": ""}, url=asked, signed=signature(SECRET, signed_for, {"a": [""]}))

    assert is_genuine(delivery, auth_token=SECRET)


@pytest.mark.parametrize(
    ("headers", "body", "query"),
    [
        ({"x-twilio-signature": ""}, b"a=1", ""),
        ({"x-twilio-signature": "\u00e9"}, b"a=1", ""),
        ({}, b"a=%ff", ""),
        ({}, b"a=1&" * 300, ""),
        ({"x-twilio-webhooks-signature-settings": "algorithm=HMAC_MD5"}, b"a=1", ""),
        ({"x-twilio-webhooks-signature-settings": "key=k,algorithm=HMAC_SHA256"}, b"a=1", ""),  # no shared key
        ({"content-type": "application/json"}, b"{}", ""),  # nothing binds the body
        ({"content-type": "application/json"}, b"{}", "?bodySHA256="),
        ({"content-type": "application/json"}, b"{}", "?bodySHA256=" + sha256(b"{ }").hexdigest()),
    ],
)
def test_what_cannot_be_shown_to_be_genuine_is_rejected(headers, body, query):
    url = "https://api.example.org/y" + query
    signed = signature(SECRET, url, {"a": ["1"]} if body == b"a=1" else {})
    delivery = Delivery(body=body, headers={**FORM, "x-twilio-signature": signed, **headers}, url=url)

    assert not is_genuine(delivery, auth_token=SECRET)


def test_an_address_that_cannot_be_read_is_taken_as_it_is():
    url = "https://api.example.org:x/y"

    assert is_genuine(form({"a": "1"}, url=url, signed=signature(SECRET, url, {"a": ["1"]})), auth_token=SECRET)
    assert not is_genuine(form({"a": "1"}, url=url, signed=signature(SECRET, url, {"a": ["2"]})), auth_token=SECRET)


def test_the_auth_token_does_not_sign_for_the_shared_key():
    url, fields = "https://api.example.org/y", {"a": ["1"]}
    settings = {"x-twilio-webhooks-signature-settings": "key=k,algorithm=HMAC_SHA256"}
    signed = signature(SECRET, url, fields, algorithm="sha256")

    delivery = form({"a": "1"}, url=url, signed=signed, **settings)

    assert not is_genuine(delivery, auth_token=SECRET, shared_key="another")
    assert is_genuine(delivery, auth_token="another", shared_key=SECRET)


# --- What is read ---


@pytest.mark.parametrize("word", sorted(STATUS))
def test_each_documented_status_has_a_meaning(case, word):
    body = urlencode({"MessageSid": "SM1", "MessageStatus": word, "To": "+255712345678"}).encode()

    [report] = case.gateway().parse(Delivery(body=body)).reports

    assert (report.status, report.raw_status) == (STATUS[word], word)


@pytest.mark.parametrize("code", sorted(ENDS))
def test_a_code_says_more_about_an_unhappy_end_and_nothing_about_a_happy_one(case, code):
    def read(word: str) -> MessageStatus | None:
        body = urlencode({"MessageSid": "SM1", "MessageStatus": word, "ErrorCode": code}).encode()
        report: SmsReport
        [report] = case.gateway().parse(Delivery(body=body)).reports
        return report.status

    assert {read("failed"), read("undelivered")} == {ENDS[code]}
    assert read("delivered") is MessageStatus.DELIVERED


@pytest.mark.parametrize("code", sorted(REFUSALS))
@pytest.mark.parametrize("status", [400, 429, 500])
def test_the_code_decides_and_not_the_http_status(case, code, status):
    exchange = asking(case, "send_accepted", status=status, json={"code": code, "message": "No.", "status": status})

    with wire.playing(exchange) as (url, _player), pytest.raises(SmsRefused) as caught:
        case.gateway_at(url).send(case.request)

    assert (caught.value.reason, caught.value.code, caught.value.detail) == (REFUSALS[code], str(code), "No.")


@pytest.mark.parametrize(
    ("status", "answer", "error"),
    [
        (429, {"text": "<html>"}, GatewayUnavailable),
        (400, {"json": {"code": 20429}}, GatewayUnavailable),
        (404, {"text": ""}, SmsRefused),
        (503, {"text": "<html>"}, OutcomeUnknown),
        (500, {"json": {"code": 29999}}, OutcomeUnknown),
        (302, {"text": ""}, OutcomeUnknown),
        (201, {"json": {"status": "queued"}}, OutcomeUnknown),
        (201, {"json": {"sid": "../x", "status": "queued"}}, OutcomeUnknown),
        (200, {"json": []}, OutcomeUnknown),
    ],
)
def test_only_what_twilio_says_it_did_not_take_was_not_taken(case, status, answer, error):
    exchange = asking(case, "send_accepted", status=status, **answer)

    with wire.playing(exchange) as (url, _player), pytest.raises(error):
        case.gateway_at(url).send(case.request)


def test_what_twilio_repeats_of_the_text_is_not_kept(case):
    result = case.gateway("send_accepted").send(case.request)

    assert case.request.text not in str(result.raw)
    assert result.parts == 1
    with pytest.raises(SmsRefused) as caught:
        case.gateway("send_refused_number").send(case.request)
    assert caught.value.detail == "The 'To' number [...] is not a valid phone number."


def test_a_messaging_service_is_named_as_one_and_an_api_key_makes_the_calls(case):
    service = "MG" + "0123456789abcdef" * 2
    handler, heard = wire.answering(wire.answer(201, b'{"sid": "SM1", "status": "accepted", "num_segments": "0"}'))
    with wire.listening(handler) as url:
        gateway = TwilioGateway(
            base_url=url, account_sid="AC1", auth_token="t", sender=service, api_key="SK1", api_secret="s"
        )
        result = gateway.send(replace(case.request, callback_url="", sender=""))

    assert (result.provider_reference, result.parts) == ("SM1", None)
    assert heard[0].form == {"To": case.request.phone, "MessagingServiceSid": service, "Body": "Habari"}
    assert heard[0].headers["authorization"] == "Basic U0sxOnM="


@pytest.mark.parametrize("url", ["https://x.example.org/c", "https://x.example.org/c?t=abc"])
def test_our_key_travels_in_the_address_of_the_callback(case, url):
    handler, heard = wire.answering(wire.answer(201, b'{"sid": "SM1", "status": "queued"}'))
    with wire.listening(handler) as server:
        case.gateway_at(server).send(replace(case.request, callback_url=url))

    called = heard[0].form["StatusCallback"]
    [report] = case.gateway().parse(Delivery(body=b"MessageSid=SM1&MessageStatus=sent", url=called)).reports
    assert called.startswith(url)
    assert report.key == case.request.key


@pytest.mark.parametrize("changed", [{"account_sid": ""}, {"auth_token": " "}, {"sender": ""}, {"api_key": "SK1"}])
def test_an_empty_option_is_named_at_start(case, changed):
    options = {"base_url": "http://127.0.0.1:1", "account_sid": "AC1", "auth_token": "siri", "sender": "X", **changed}

    with pytest.raises(ImproperlyConfigured, match="api_secret" if "api_key" in changed else next(iter(changed))):
        TwilioGateway(**options)


# --- A lost answer ---


def lost(case: SmsCase, **changes: Any) -> SmsId:
    known = {"key": case.request.key, "phone": case.request.phone, "sent_at": SENT_AT, "text": case.request.text}
    return SmsId(**{**known, **changes})


def test_a_text_whose_answer_was_lost_is_found_by_phone_time_and_wording(case):
    report = case.gateway("lost_answer_listed").query(lost(case))

    assert report is not None
    assert (report.status, report.provider_reference) == (MessageStatus.DELIVERED, case.provider_reference)


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "Something else"},
        {"text": ""},  # two were sent to this phone then
        {"sent_at": SENT_AT + timedelta(hours=1)},
        {"sent_at": SENT_AT - timedelta(hours=1)},
    ],
)
def test_a_text_that_cannot_be_told_from_others_or_is_not_there_is_unknown(case, changes):
    assert case.gateway("lost_answer_listed").query(lost(case, **changes)) is None


def test_without_a_time_or_an_id_there_is_nothing_to_ask_by(case):
    assert case.gateway().query(lost(case, sent_at=None)) is None


@pytest.mark.parametrize("item", [{"direction": "inbound"}, {"to": "+255700000000"}, {"sid": 5}, {"date_created": "x"}])
def test_what_is_listed_and_is_not_ours_is_passed_over(case, item):
    [exchange] = wire.exchanges(case.code, "lost_answer_listed")
    ours = exchange["answer"]["json"]["messages"][1]
    answer = asking(case, "lost_answer_listed", json={"messages": [{**ours, **item}]})

    with wire.playing(answer) as (url, _player):
        assert case.gateway_at(url).query(lost(case)) is None


@pytest.mark.parametrize(
    ("recording", "json"),
    [
        ("lost_answer_listed", {}),
        ("lost_answer_listed", {"messages": [5]}),
        ("lost_answer_listed", []),
        ("report_delivered", {"sid": "SM1", "status": "sent", "to": "+255712345678"}),
        ("report_delivered", {"sid": "SM0123456789abcdef0123456789abcdef", "to": "+255712345678"}),
    ],
)
def test_an_answer_about_something_else_is_no_answer(case, recording, json):
    text = lost(case) if recording == "lost_answer_listed" else case.text_id()

    with wire.playing(asking(case, recording, json=json)) as (url, _player), pytest.raises(GatewayUnavailable):
        case.gateway_at(url).query(text)


# --- What people say ---


def said(case: SmsCase, **fields: str) -> SmsNews:
    body = urlencode({"MessageSid": "SM1", "From": "+255712345678", "To": "INFO", "Body": "STOP", **fields}).encode()
    return case.gateway().parse(Delivery(body=body, headers=FORM))


def test_a_stop_that_twilio_handled_is_an_opt_out_too(case):
    news = said(case, OptOutType="STOP")

    assert (news.opted_out, news.inbound[0].text) == (("+255712345678",), "STOP")
    assert said(case, OptOutType="HELP").opted_out == ()


def test_a_text_from_no_phone_is_acknowledged_and_dropped(case):
    assert said(case, From="INFO", SmsStatus="received") == SmsNews()


@pytest.mark.parametrize("fields", [{"MessageSid": ""}, {"MessageSid": "\0"}, {"MessageSid": "SM\u0661"}])
def test_a_text_without_an_id_is_malformed(case, fields):
    with pytest.raises(Malformed):
        said(case, **fields)
