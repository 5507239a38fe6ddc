"""Twilio's side of the wire, driven by Twilio's own Python library, and its callbacks judged by it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.http_client import TwilioHttpClient
from twilio.request_validator import RequestValidator, get_signature_algorithm
from twilio.rest import Client

from config.settings.sms_gateways import sms_gateways
from services.http import OutcomeUnknown
from services.simulators.config import read_config
from services.simulators.ledger.callbacks import DueCallback, Trust
from services.simulators.twilio.provider import TWILIO
from services.sms.base import SmsId, SmsRequest
from services.sms.providers.twilio import TwilioGateway
from tests.services import wire
from tests.services.simulators.conftest import Simulator, wait_for

ACCOUNT, TOKEN = "AC00000000000000000000000000000001", "demo-twilio-token"
PHONE = "+255712345678"


class ToTheSimulator(TwilioHttpClient):  # type: ignore[misc]
    """The library's own client, with Twilio's host replaced."""

    def __init__(self, url: str) -> None:
        super().__init__(timeout=10)
        self._url = url

    def request(self, method: str, url: str, *args: Any, **named: Any) -> Any:
        return super().request(method, url.replace("https://api.twilio.com", f"{self._url}/twilio"), *args, **named)


def client(simulator: Simulator, account: str = ACCOUNT, token: str = TOKEN) -> Client:
    return Client(account, token, account_sid=ACCOUNT, http_client=ToTheSimulator(simulator.url))


def refused(simulator: Simulator, **changes: Any) -> tuple[int, int]:
    """Status and code of a text that is not taken."""
    wish = {"to": PHONE, "from_": "FARAJA", "body": "Habari", **changes}
    with pytest.raises(TwilioRestException) as caught:
        client(simulator).messages.create(**wish)
    assert caught.value.code is not None
    return caught.value.status, caught.value.code


@contextmanager
def called() -> Iterator[tuple[str, list[wire.Heard]]]:
    """An address for callbacks, and what came there."""
    handler, heard = wire.answering(wire.answer())
    with wire.listening(handler) as url:
        yield url, heard


def test_the_library_sends_a_text_and_sees_it_arrive(simulator):
    twilio = client(simulator)

    sent = twilio.messages.create(to=PHONE, from_="FARAJA", body="Habari\n\u2713 & zaidi")
    ended = wait_for(lambda: (now := twilio.messages(str(sent.sid)).fetch()).status == "delivered" and now)

    assert (sent.status, sent.num_segments, sent.error_code) == ("queued", "1", None)
    assert (ended.body, ended.to, ended.from_) == ("Habari\n\u2713 & zaidi", PHONE, "FARAJA")
    assert abs(ended.date_created - datetime.now(UTC)) < timedelta(minutes=1)


def test_an_api_key_is_let_in_and_anybody_else_is_not(simulator):
    client(simulator, "SK00000000000000000000000000000001", "demo-twilio-secret").messages.list(limit=1)

    with pytest.raises(TwilioRestException) as caught:
        client(simulator, ACCOUNT, "not-the-token").messages("SM1").fetch()

    assert (caught.value.status, caught.value.code) == (401, 20003)


def test_the_library_lists_texts_in_pages_by_phone_and_by_day(simulator):
    twilio, other = client(simulator), "+255712345679"
    sids = [twilio.messages.create(to=PHONE, from_="FARAJA", body=str(number)).sid for number in range(5)]
    twilio.messages.create(to=other, from_="INFO", body="x")
    simulator.control("texts/inbound", provider="twilio", phone=PHONE, text="Asante", to="FARAJA")
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).date()

    assert [each.sid for each in twilio.messages.list(to=PHONE, page_size=2)] == sids[::-1]
    assert [each.to for each in twilio.messages.list(from_="INFO")] == [other]
    assert [each.body for each in twilio.messages.list(to="FARAJA")] == ["Asante"]
    assert len(twilio.messages.list(date_sent_before=tomorrow, to=PHONE)) == 5
    assert twilio.messages.list(date_sent_after=tomorrow) == []


def test_a_text_that_is_not_there_is_not_found(simulator):
    with pytest.raises(TwilioRestException) as caught:
        client(simulator).messages("SM" + "0" * 32).fetch()

    assert (caught.value.status, caught.value.code) == (404, 20404)


@pytest.mark.parametrize(
    ("changes", "answer"),
    [
        ({"to": "+15005550001"}, (400, 21211)),
        ({"to": "+15005550002"}, (400, 21612)),
        ({"to": "+15005550003"}, (403, 21408)),
        ({"to": "+15005550004"}, (400, 21610)),
        ({"to": "+15005550009"}, (400, 21614)),
        ({"to": "255712345678"}, (400, 21211)),
        ({"to": ""}, (400, 21604)),
        ({"from_": "+15005550001"}, (400, 21212)),
        ({"from_": "+15005550007"}, (400, 21606)),
        ({"from_": "+15005550008"}, (429, 21611)),
        ({"from_": "NOBODY"}, (400, 21606)),
        ({"from_": ""}, (400, 21603)),
        ({"body": ""}, (400, 21602)),
        ({"body": "x" * 1601}, (400, 21617)),
        ({"status_callback": "ftp://example.org"}, (400, 21609)),
        ({"to": "+255700000111"}, (400, 21211)),
        ({"to": "+255700000112"}, (400, 21610)),
        ({"to": "+255700000113"}, (400, 21612)),
        ({"to": "+255700000114"}, (429, 21611)),
    ],
)
def test_what_twilio_does_not_take_it_says_in_its_codes(simulator, changes, answer):
    assert refused(simulator, **changes) == answer
    assert client(simulator).messages.list() == []


def test_a_messaging_service_accepts_before_it_has_chosen_a_sender(simulator):
    sent = client(simulator).messages.create(
        to="+15005550006", messaging_service_sid="MG00000000000000000000000000000001", body="Habari"
    )

    assert (sent.status, sent.num_segments, sent.from_) == ("accepted", "0", None)


@pytest.mark.parametrize(
    ("phone", "words", "error"),
    [(PHONE, ["sent", "delivered"], None), ("+255700000101", ["sent", "undelivered"], "30003")],
)
def test_callbacks_tell_how_it_goes_and_the_library_finds_them_genuine(simulator, phone, words, error):
    with called() as (url, heard):
        address = f"{url}/reports?key=5f0c"
        sent = client(simulator).messages.create(to=phone, from_="FARAJA", body="x", status_callback=address)
        wait_for(lambda: len(heard) == len(words))

    assert [each.form["MessageStatus"] for each in heard] == words
    assert heard[-1].form.get("ErrorCode") == error
    for each in heard:
        assert (each.form["MessageSid"], each.form["To"], each.target) == (sent.sid, phone, "/reports?key=5f0c")
        assert RequestValidator(TOKEN).validate(url + each.target, each.form, each.headers["x-twilio-signature"])


@pytest.mark.parametrize(
    ("fault", "words"),
    [("reordered", ["delivered", "sent"]), ("lost", [])],
)
def test_a_script_reorders_or_loses_callbacks(simulator, fault, words):
    simulator.control("faults", provider="twilio", fault=fault, phone=PHONE)
    with called() as (url, heard):
        twilio = client(simulator)
        sent = twilio.messages.create(to=PHONE, from_="FARAJA", body="x", status_callback=url)
        wait_for(lambda: twilio.messages(str(sent.sid)).fetch().status == "delivered")
        wait_for(lambda: len(heard) == len(words))

    assert [each.form["MessageStatus"] for each in heard] == words


def test_without_an_address_nothing_is_told(simulator):
    client(simulator).messages.create(to=PHONE, from_="FARAJA", body="x")

    assert [
        each for each in simulator.http.get("/simulator/calls").json()["calls"] if each["direction"] == "sent"
    ] == []


def test_a_text_whose_answer_was_lost_is_found_by_the_adapter(simulator):
    options = sms_gateways(simulator.url)["twilio"]["OPTIONS"]
    gateway, requests = TwilioGateway(**options), {fault: wish() for fault in ("reset", "error_after", "error_before")}
    gateway.send(wish(text="An earlier text"))
    for fault, request in requests.items():
        simulator.control("faults", provider="twilio", fault=fault, operation="send", phone=PHONE)
        with pytest.raises(OutcomeUnknown):
            gateway.send(request)

    found = {
        fault: gateway.query(SmsId(key=each.key, phone=PHONE, sent_at=datetime.now(UTC), text=each.text))
        for fault, each in requests.items()
    }

    sids = {each.body: each.sid for each in client(simulator).messages.list()}
    assert {fault: report and report.provider_reference for fault, report in found.items()} == {
        "reset": sids[requests["reset"].text],
        "error_after": sids[requests["error_after"].text],
        "error_before": None,
    }


def wish(text: str = "") -> SmsRequest:
    key = uuid4().hex
    return SmsRequest(key=key, phone=PHONE, text=text or f"Habari {key}")


def test_a_webhook_under_a_shared_key_is_signed_with_sha256():
    config = read_config({"SIMULATOR_TWILIO_SIGNATURE": "sha256", "SIMULATOR_TWILIO_SIGNING_SECRET": "siri"})
    url = "https://api.example.org/hooks?t=abc"

    def verdict(trust: Trust) -> bool:
        signed = TWILIO.sign(config, due(url, trust), 0.0)
        fields = dict(pair.split("=") for pair in signed.body.decode().split("&"))
        algorithm = get_signature_algorithm(signed.headers.get("X-Twilio-Webhooks-Signature-Settings"))
        given = signed.headers.get("X-Twilio-Signature", "")
        return bool(RequestValidator("siri").validate(url, fields, given, algorithm))

    assert [verdict(trust) for trust in (Trust.GENUINE, Trust.WRONGLY_SIGNED, Trust.UNSIGNED)] == [True, False, False]


def due(url: str, trust: Trust) -> DueCallback:
    return DueCallback(
        id=1,
        provider="twilio",
        subject="SM1",
        kind="sent",
        url=url,
        body=b'{"MessageSid": "SM1", "MessageStatus": "sent"}',
        headers={},
        trust=trust,
        extra={},
        queue="",
        due_at=0.0,
        tries_left=1,
        tries=0,
    )
