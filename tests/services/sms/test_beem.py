from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given
from hypothesis import strategies as st

from core.exceptions import Malformed
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.sms.base import MessageStatus, Refusal, SmsId, SmsRefused, SmsReport, SmsRequest
from services.sms.providers.beem import CODES, STATUS, BeemGateway, Meaning
from tests.services import wire

OPTIONS = wire.load("beem", "case")["options"]
REQUEST = SmsRequest(**wire.load("beem", "case")["request"])
REFERENCE = "35918915"
TEXT = SmsId(key=REQUEST.key, phone=REQUEST.phone, provider_reference=REFERENCE)


@contextmanager
def beem(*exchanges: dict[str, Any]) -> Iterator[BeemGateway]:
    with wire.playing(*exchanges) as (url, _player):
        yield BeemGateway(send_url=url + "/v1", reports_url=url + "/public/v1", **OPTIONS)


def sending(status: int, answer: Any, *, encoding: int = 0, text: str = REQUEST.text) -> dict[str, Any]:
    """The exchange of one send call, answered with JSON, or with text as it stands."""
    [exchange] = wire.exchanges("beem", "send_accepted")
    json = {**exchange["request"]["json"], "encoding": encoding, "message": text}
    body = {"text": answer} if isinstance(answer, str) else {"json": answer}
    return {"request": {**exchange["request"], "json": json}, "answer": {"status": status, **body}}


def asking(status: int, answer: Any) -> dict[str, Any]:
    """The exchange of one question for a report."""
    [exchange] = wire.exchanges("beem", "report_delivered")
    return {"request": exchange["request"], "answer": {"status": status, "json": answer}}


def only_report(gateway: BeemGateway, delivery: Delivery) -> SmsReport:
    [read] = gateway.read_callback(delivery).reports
    return read


def report(**fields: Any) -> dict[str, Any]:
    return {"dest_addr": "255712345678", "request_id": REFERENCE, "status": "DELIVERED", **fields}


@pytest.fixture(scope="module")
def offline() -> BeemGateway:
    url = wire.refused_url()
    return BeemGateway(send_url=url, reports_url=url, **OPTIONS)


@pytest.mark.parametrize("option", ["api_key", "secret_key", "sender", "send_url", "reports_url"])
def test_an_empty_option_is_named_at_start(option):
    options = {**OPTIONS, "send_url": "http://127.0.0.1:1", "reports_url": "http://127.0.0.1:1", option: ""}

    with pytest.raises(ImproperlyConfigured, match="base URL" if option.endswith("url") else option) as caught:
        BeemGateway(**options)

    assert OPTIONS["secret_key"] not in str(caught.value)


@pytest.mark.parametrize("request_id", [35918915, "35918915"])
def test_an_accepted_text_keeps_the_id_as_text(request_id):
    with beem(sending(200, {"successful": True, "code": 100, "request_id": request_id})) as gateway:
        assert gateway.send(REQUEST).provider_reference == REFERENCE


def test_a_text_accepted_without_an_id_is_still_accepted(offline):
    with beem(sending(200, {"code": "100"})) as gateway:
        assert gateway.send(REQUEST).provider_reference == ""

    assert offline.query(replace(TEXT, provider_reference="")) is None


@pytest.mark.parametrize(("text", "encoding"), [("Habari {1}", 0), ("Karibu Mkámbala", 8), ("Asante 😀", 8)])
def test_the_encoding_follows_the_text(text, encoding):
    with beem(sending(200, {"code": 100, "request_id": 1}, encoding=encoding, text=text)) as gateway:
        gateway.send(replace(REQUEST, text=text))


def test_a_text_unfit_for_gsm_is_offered_once_more_as_unicode():
    with beem(*wire.exchanges("beem", "send_corrected")) as gateway:
        assert gateway.send(REQUEST).provider_reference == REFERENCE


def test_a_text_refused_in_both_encodings_is_refused():
    refusal = {"successful": False, "code": 110, "message": "Unsupported special characters"}

    with (
        beem(sending(400, refusal), sending(400, refusal, encoding=8)) as gateway,
        pytest.raises(SmsRefused, match="110"),
    ):
        gateway.send(REQUEST)
    with (
        beem(sending(400, refusal, encoding=8, text="\u00e9\u2014")) as gateway,
        pytest.raises(SmsRefused, match="110"),
    ):
        gateway.send(replace(REQUEST, text="\u00e9\u2014"))


@pytest.mark.parametrize("status", [200, 400, 401, 402, 500])
@pytest.mark.parametrize("code", sorted(set(CODES) - {100, 110}))
def test_the_code_decides_and_not_the_http_status(code, status):
    with beem(sending(status, {"successful": False, "code": code, "message": "Because"})) as gateway:
        if CODES[code] is Meaning.UNCERTAIN:
            with pytest.raises(OutcomeUnknown):
                gateway.send(REQUEST)
        else:
            with pytest.raises(SmsRefused) as caught:
                gateway.send(REQUEST)
            assert (caught.value.code, caught.value.detail) == (str(code), "Because")
            assert caught.value.is_config is (CODES[code] in (Refusal.ACCOUNT, Refusal.SENDER))


def test_the_codes_an_operator_must_hear_about_are_these():
    config = {code for code, meaning in CODES.items() if meaning in (Refusal.ACCOUNT, Refusal.SENDER)}

    assert config == {102, 105, 106, 107, 108, 111, 120, 121}
    assert [code for code, meaning in CODES.items() if meaning is Meaning.UNCERTAIN] == [103]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_busy_front_without_json_took_nothing(status):
    with beem(sending(status, "<html>busy</html>")) as gateway, pytest.raises(GatewayUnavailable):
        gateway.send(REQUEST)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (200, "<html>"),
        (200, {"code": 999}),
        (200, {"successful": True}),
        (200, [1]),
        (302, "{}"),
        (500, "<html>"),
        (502, {"a": 1}),
        (200, {"code": True}),
        (200, {"code": 100.0}),
    ],
)
def test_an_answer_without_a_known_code_leaves_the_outcome_unknown(status, answer):
    with beem(sending(status, answer)) as gateway, pytest.raises(OutcomeUnknown):
        gateway.send(REQUEST)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_plain_client_error_is_a_refusal_for_the_operator(status):
    with beem(sending(status, "<html>")) as gateway, pytest.raises(SmsRefused) as caught:
        gateway.send(REQUEST)

    assert (caught.value.code, caught.value.is_config) == (str(status), True)


def test_a_report_may_come_as_an_object():
    with beem(*wire.exchanges("beem", "report_delivered_object")) as gateway:
        found = gateway.query(TEXT)

    assert found is not None
    assert found.status is MessageStatus.DELIVERED
    assert found.key == ""


def test_refused_credentials_are_the_operators_business():
    with beem(*wire.exchanges("beem", "question_refused")) as gateway, pytest.raises(SmsRefused) as caught:
        gateway.query(TEXT)

    assert caught.value.is_config


def test_of_several_reports_ours_counts_and_of_ours_the_last():
    found = [
        report(status="PENDING"),
        report(status="UNDELIVERED"),
        report(dest_addr="255700000000", status="DELIVERED"),
        report(request_id="1", status="DELIVERED"),
    ]

    with beem(asking(200, found)) as gateway:
        ours = gateway.query(TEXT)

    assert ours is not None
    assert ours.status is MessageStatus.UNDELIVERABLE


def test_no_reports_yet_is_none():
    with beem(asking(200, [])) as gateway:
        assert gateway.query(TEXT) is None


@pytest.mark.parametrize("answer", [{}, [1], "text", [report(request_id="1")], {"data": []}, [report(status=None)]])
def test_an_answer_about_something_else_is_no_answer(answer):
    with beem(asking(200, answer)) as gateway, pytest.raises(GatewayUnavailable):
        gateway.query(TEXT)


@pytest.mark.parametrize("status", sorted(STATUS))
@pytest.mark.parametrize("body", ['{{"request_id": 1, "Status": "{}"}}', "request_id=1&status={}"])
def test_each_documented_status_has_a_meaning_in_json_and_in_a_form(offline, status, body):
    for written in (status, status.lower()):
        read = only_report(offline, Delivery(body=body.format(written).encode()))

        assert read.status is STATUS[status]
        assert (read.provider_reference, read.raw_status) == ("1", written)


def test_the_recorded_form_is_read(offline):
    recorded = wire.load("beem", "pushed_report_form")

    read = only_report(offline, Delivery(body=wire.delivery_body(recorded), headers=recorded["headers"]))

    assert read.status is MessageStatus.UNDELIVERABLE
    assert (read.key, read.phone, read.provider_reference) == (REQUEST.key, REQUEST.phone, REFERENCE)


def test_a_status_nobody_documented_is_kept_but_means_nothing(offline):
    read = only_report(offline, Delivery(body=b'{"request_id": "1", "status": "TELEPORTED"}'))

    assert (read.status, read.raw_status) == (None, "TELEPORTED")


def test_ids_may_be_numbers_and_a_strange_number_is_dropped(offline):
    read = only_report(
        offline, Delivery(body=b'{"request_id": 7, "recipient_id": 8, "dest_addr": "+255712345678", "status": "SENT"}')
    )
    strange = only_report(offline, Delivery(body=b'{"request_id": 7, "dest_addr": "INFO", "status": "SENT"}'))

    assert (read.provider_reference, read.key, read.phone) == ("7", "8", "+255712345678")
    assert strange.phone == ""


@pytest.mark.parametrize(
    "body",
    [
        b'{"request_id": "", "status": "SENT"}',
        b'{"request_id": true, "status": "SENT"}',
        b'{"request_id": {"$gt": ""}, "status": "SENT"}',
        b'{"request_id": "1"}',
        b'{"request_id": "1", "status": 5.5}',
        b'[{"request_id": "1", "status": "SENT"}]',
        b"request_id=1",
        b"&".join([b"a=1"] * 60) + b"&request_id=1&status=SENT",
    ],
)
def test_a_report_without_its_two_facts_is_malformed(offline, body):
    with pytest.raises(Malformed):
        only_report(offline, Delivery(body=body))


@given(st.binary(max_size=120) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_read_or_malformed(offline, body):
    try:
        read = only_report(offline, Delivery(body=body))
    except Malformed:
        return

    assert read.provider_reference
    assert read.raw_status


@given(st.fixed_dictionaries({"request_id": st.text(), "recipient_id": st.text(), "Status": st.text()}))
def test_what_is_read_from_a_report_can_be_stored(offline, fields):
    try:
        read = only_report(offline, Delivery(body=json.dumps(fields).encode()))
    except Malformed:
        return

    for text in (read.key, read.provider_reference, read.raw_status):
        assert "\0" not in text
        assert len(text.encode("utf-8")) <= 400
