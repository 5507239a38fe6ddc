from __future__ import annotations

import json
import socket
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
import time_machine
from azure.communication.sms import SmsClient
from azure.communication.sms._shared.policy import HMACCredentialsPolicy
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.core.pipeline import PipelineContext, PipelineRequest
from azure.core.pipeline.transport import HttpRequest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import given, settings
from hypothesis import strategies as st

from core.exceptions import Malformed
from services.azure.signing import AcsSigner
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.sms.base import Refusal, SmsCallbackRejected, SmsNews, SmsRefused, SmsRequest
from services.sms.providers.azure import FAILURES, AzureGateway
from tests.services import wire
from tests.services.simulators.conftest import running, wait_for
from tests.services.sms.stage import Stage, played

CASE = wire.load("azure", "case")
OPTIONS: dict[str, Any] = CASE["options"]
FIRST_SENT = datetime(2026, 11, 20, 11, 21, 42, tzinfo=UTC)
REQUEST = SmsRequest(**CASE["request"], first_sent=FIRST_SENT)
REPORT: dict[str, Any] = wire.load("azure", "pushed_report_delivered")["json"][0]
INBOUND: dict[str, Any] = wire.load("azure", "pushed_inbound")["json"][0]


@pytest.fixture
def client(stage: Stage) -> SmsClient:
    """Azure's own client. It is patient: unless told otherwise it tries again, with pauses."""
    return SmsClient(f"{stage.simulator.url}/azure", credential("ZGVtby1henVyZS1hY2Nlc3Mta2V5"), retry_total=0)


def credential(key: str) -> AzureKeyCredential:
    return AzureKeyCredential(key)


@contextmanager
def answering(status: int, value: Any) -> Iterator[tuple[AzureGateway, list[wire.Heard]]]:
    handler, heard = wire.answering(wire.answer(status, json.dumps(value).encode()))
    with wire.listening(handler) as url:
        yield AzureGateway(endpoint_url=url, **OPTIONS), heard


def parse(*events: dict[str, Any], **options: Any) -> SmsNews:
    gateway = AzureGateway(endpoint_url=wire.refused_url(), **{**OPTIONS, **options})
    return gateway.read_callback(Delivery(body=json.dumps(events).encode()))


def reporting(**data: Any) -> dict[str, Any]:
    return {**REPORT, "data": {**REPORT["data"], **data}}


# --- The same as Azure's own client ---


@settings(max_examples=40, deadline=None)
@given(
    target=st.from_regex(
        r"/[a-z:/]{0,12}(\?api-version=[0-9-]{1,10}(&[a-z]{1,4}=[A-Za-z0-9%.~]{0,6})?)?", fullmatch=True
    ),
    body=st.text(max_size=80),
    key=st.binary(min_size=1, max_size=70),
    port=st.sampled_from(["", ":8001"]),
    at=st.datetimes(timezones=st.just(UTC), min_value=datetime(2020, 1, 1), max_value=datetime(2040, 1, 1)),  # noqa: DTZ001
)
def test_the_signature_is_that_of_azures_own_client(target, body, key, port, at):
    endpoint, encoded = f"https://kit.communication.azure.com{port}", b64encode(key).decode()
    request = HttpRequest("POST", endpoint + target, data=body)
    with time_machine.travel(at, tick=False):
        HMACCredentialsPolicy(endpoint, encoded).on_request(PipelineRequest(request, PipelineContext(None)))

    headers = AcsSigner(endpoint, encoded).headers(method="POST", target=target, body=body.encode(), at=at)

    assert {name: request.headers[name] for name in headers} == headers


def test_azures_own_client_is_served_and_told_apart_from_a_stranger(client, stage):
    answers = client.send(
        from_="FARAJA", to=["+255713000001", "0712", "+255713000002"], message="Habari \u2713", tag="t-1",
        enable_delivery_report=True,
    )  # fmt: skip
    stranger = SmsClient(f"{stage.simulator.url}/azure", credential("b3RoZXI="), retry_total=0)

    assert [(each.to, each.http_status_code, each.successful) for each in answers] == [
        ("+255713000001", 202, True),
        ("0712", 400, False),
        ("+255713000002", 202, True),
    ]
    assert [each.text for each in played("azure", stage).taken("+255713000001")] == ["Habari \u2713"]
    with pytest.raises(ClientAuthenticationError):
        stranger.send(from_="FARAJA", to="+255713000001", message="Habari")
    with pytest.raises(HttpResponseError) as caught:
        client.send(from_="NOBODY", to="+255713000001", message="Habari")
    assert caught.value.status_code == 404


def test_azures_own_client_may_try_again_after_a_failure_and_sends_once(stage):
    case = played("azure", stage)
    patient = SmsClient(
        f"{stage.simulator.url}/azure",
        credential("ZGVtby1henVyZS1hY2Nlc3Mta2V5"),
        retry_backoff_factor=0,
    )
    case.fault("error_after", "send", "+255713000003")

    [answer] = patient.send(from_="FARAJA", to="+255713000003", message="Habari")

    assert answer.successful
    assert len(case.taken("+255713000003")) == 1


# --- Against the simulator, beyond what every gateway promises ---


def test_another_text_under_the_same_key_is_refused(stage):
    case = played("azure", stage)
    request = case.request()
    case.gateway().send(request)

    with pytest.raises(SmsRefused) as caught:
        case.gateway().send(replace(request, text="Another"))

    assert caught.value.code == "409"
    assert len(case.taken(request.phone)) == 1


def test_a_busy_provider_took_nothing_and_says_when_to_return(stage):
    case = played("azure", stage)

    with pytest.raises(GatewayUnavailable) as caught:
        case.gateway().send(replace(case.request(), phone="+255700000114"))

    assert caught.value.retry_after == 1
    assert case.taken("+255700000114") == []


def test_somebody_who_opted_out_is_reported_as_such(stage):
    case = played("azure", stage)
    gateway = case.gateway()
    reference = gateway.send(replace(case.request(), phone="+255700000112")).provider_reference

    [report] = wait_for(lambda: case.reports(gateway, "+255700000112", reference))

    assert report.is_opt_out


def test_a_batch_in_reverse_with_repetitions_says_the_same(stage):
    case = played("azure", stage)
    gateway, requests = case.gateway(), [case.request() for _ in range(2)]
    references = [gateway.send(request).provider_reference for request in requests]

    stage.simulator.control("azure/batch", ids=references, repeat=2, is_reversed=True)

    def batch() -> SmsNews | None:
        return next((news for news in case.news(gateway) if len(news.reports) == 4), None)

    reports = wait_for(batch).reports
    assert [report.provider_reference for report in reports] == [*reversed(references)] * 2
    assert {report.key for report in reports} == {request.key for request in requests}


def test_a_body_that_was_altered_or_signed_long_ago_is_not_let_in(stage):
    signer = AcsSigner(f"{stage.simulator.url}/azure", "ZGVtby1henVyZS1hY2Nlc3Mta2V5")
    body = b'{"from": "FARAJA", "smsRecipients": [], "message": "-"}'

    def status(sent: bytes, *, at: datetime, target: str = "/azure/sms?api-version=2021-03-07") -> int:
        headers = signer.headers(method="POST", target="/azure/sms?api-version=2021-03-07", body=body, at=at)
        return int(stage.simulator.http.post(target, content=sent, headers=headers).status_code)

    now = datetime.now(UTC)
    assert status(body, at=now) == 400
    assert status(body + b" ", at=now) == 401
    assert status(body, at=now, target="/azure/sms?api-version=2026-01-23") == 401
    assert status(body, at=now - timedelta(minutes=6)) == 401


def test_handshakes_and_cloud_events_are_understood_on_both_sides():
    gateway = AzureGateway(endpoint_url=wire.refused_url(), **{**OPTIONS, "resource": "demo-communication"})
    told: list[Any] = []

    def receive(connection: socket.socket) -> None:
        while (heard := wire.hear(connection)) is not None:
            if heard.method == "OPTIONS":
                headers = [f"{name}: {value}" for name, value in gateway.permit(heard.headers).items()]
                connection.sendall(wire.answer(200, b"{}", *headers))
                continue
            news = gateway.read_callback(Delivery(body=heard.body, headers=heard.headers))
            told.extend(news.reports)
            connection.sendall(wire.answer(200, json.dumps(dict(news.answer)).encode()))

    environ = {"SIMULATOR_AZURE_SCHEMA": "cloud", "SIMULATOR_DELIVER_AFTER": "0.05"}
    with wire.listening(receive) as url, running({**environ, "SIMULATOR_AZURE_CALLBACK_URL": url}) as simulator:
        shaken = [simulator.control("azure/handshake", schema=schema) for schema in ("grid", "cloud")]
        demo: dict[str, Any] = {"access_key": "ZGVtby1henVyZS1hY2Nlc3Mta2V5", "sender": "FARAJA"}
        reference = AzureGateway(endpoint_url=f"{simulator.url}/azure", **demo).send(REQUEST).provider_reference
        simulator.control("azure/batch", ids=[reference], repeat=2)
        wait_for(lambda: len(told) == 3)

    assert shaken == [{"is_valid": True, "status": 200}] * 2
    assert {(report.provider_reference, report.status) for report in told} == {(reference, "delivered")}


# --- The adapter alone ---


@pytest.mark.parametrize("option", ["endpoint_url", "access_key", "sender"])
def test_an_empty_option_is_named_at_start(option):
    with pytest.raises(ImproperlyConfigured):
        AzureGateway(**{"endpoint_url": "http://127.0.0.1:1", **OPTIONS, option: ""})


def test_the_first_time_stays_the_same_in_every_try():
    accepted = wire.exchanges("azure", "send_accepted")[0]["answer"]["json"]
    east = FIRST_SENT.astimezone(timezone(timedelta(hours=3)))
    with answering(202, accepted) as (gateway, heard):
        gateway.send(REQUEST)
        gateway.send(replace(REQUEST, first_sent=east))

    [recipient], [again] = [request.json["smsRecipients"] for request in heard]
    assert recipient == again == {
        "to": REQUEST.phone,
        "repeatabilityRequestId": "7f5a06f0-f5ee-4338-b725-1ec267c58335",
        "repeatabilityFirstSent": "Fri, 20 Nov 2026 11:21:42 GMT",
    }  # fmt: skip


@pytest.mark.parametrize(("answer", "error"), [
    ({"httpStatusCode": 429}, GatewayUnavailable),
    ({"httpStatusCode": 500}, OutcomeUnknown),
    ({"httpStatusCode": 408}, OutcomeUnknown),
    ({"httpStatusCode": "202"}, OutcomeUnknown),
    ({}, OutcomeUnknown),
    ({"httpStatusCode": 202, "successful": False, "messageId": "m"}, OutcomeUnknown),
    ({"httpStatusCode": 202, "successful": True}, OutcomeUnknown),
    ({"httpStatusCode": 202, "successful": True, "messageId": "m", "repeatabilityResult": "rejected"}, OutcomeUnknown),
])  # fmt: skip
def test_an_answer_about_the_recipient_that_is_no_yes_is_never_taken_for_one(answer, error):
    with answering(202, {"value": [answer]}) as (gateway, _heard), pytest.raises(error):
        gateway.send(REQUEST)


@pytest.mark.parametrize("body", [[], {}, {"value": []}, {"value": [1]}, {"value": [{}, {}]}, "x"])
def test_an_answer_without_the_recipient_is_an_unknown_outcome(body):
    with answering(202, body) as (gateway, _heard), pytest.raises(OutcomeUnknown):
        gateway.send(REQUEST)


@pytest.mark.parametrize(("status", "message", "reason"), [
    (400, "Invalid To phone number format.", Refusal.NUMBER),
    (400, "Invalid From phone number format.", Refusal.SENDER),
    (400, "Something else.", Refusal.TEXT),
    (401, "", Refusal.ACCOUNT),
    (403, "", Refusal.ACCOUNT),
    (404, "", Refusal.SENDER),
    (409, "", Refusal.TEXT),
])  # fmt: skip
def test_a_refusal_says_what_would_help_wherever_it_stands(status, message, reason):
    of_recipient = {"value": [{"httpStatusCode": status, "errorMessage": message, "successful": False}]}
    of_call = {"error": {"code": "Code", "message": message}}

    for outer, body, code in ((202, of_recipient, str(status)), (status, of_call, "Code"), (status, {}, str(status))):
        with answering(outer, body) as (gateway, _heard), pytest.raises(SmsRefused) as caught:
            gateway.send(REQUEST)
        assert caught.value.code == code
        if body:
            assert caught.value.reason is reason


@pytest.mark.parametrize("code", FAILURES)
def test_the_number_of_a_failure_refines_it(code):
    [report] = parse(reporting(deliveryStatus="Failed", deliveryStatusDetails=f"Failed ({code}).")).reports

    assert report.status is FAILURES[code]
    assert report.raw_status == f"Failed {code}"
    assert report.is_opt_out is (code == "4007")


def test_a_delivered_text_is_delivered_whatever_number_stands_there():
    [report] = parse(reporting(deliveryStatusDetails="5002")).reports

    assert (report.status, report.raw_status) == ("delivered", "Delivered")


def test_a_batch_is_read_event_by_event():
    news = parse(INBOUND, {**REPORT, "eventType": "Microsoft.Communication.Other"}, REPORT, REPORT)

    assert (len(news.reports), len(news.inbound)) == (2, 1)
    assert news.reports[0] == news.reports[1]


def test_events_about_another_resource_are_rejected():
    with pytest.raises(SmsCallbackRejected):
        parse(REPORT, resource="communicationServices/other")
    assert parse(REPORT, resource="").reports


def test_the_handshakes_are_answered():
    handshake = {
        **REPORT,
        "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": {"validationCode": "c"},
    }
    gateway = AzureGateway(endpoint_url="http://127.0.0.1:1", **OPTIONS)

    assert parse(handshake) == SmsNews(answer={"validationResponse": "c"})
    assert gateway.permit({"webhook-request-origin": "eventgrid.azure.net"})
    assert not gateway.permit({})


@pytest.mark.parametrize("event", [
    reporting(messageId=None), reporting(deliveryStatus=""),
    {**INBOUND, "data": {}}, {**INBOUND, "data": {**INBOUND["data"], "from": "x"}},
])  # fmt: skip
def test_an_event_without_what_makes_it_one_is_malformed(event):
    with pytest.raises(Malformed):
        parse(event)
