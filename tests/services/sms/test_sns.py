from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from core.exceptions import Malformed
from services.aws import notifications
from services.http import Delivery, GatewayUnavailable, HttpClient, OutcomeUnknown
from services.sms.base import MessageStatus, Refusal, SmsCallbackRejected, SmsNews, SmsRefused, SmsRequest
from services.sms.providers import sns
from services.sms.providers.sns import EVENTS, SnsGateway, SnsWithTopics
from tests.services import wire
from tests.services.aws import amazon as signing
from tests.services.sms.cases.sns import REGION, amazon

CASE = wire.load("sns", "case")
REQUEST = SmsRequest(**CASE["request"])
EVENT = wire.load("sns", "event_delivered")["json"]
LINE = wire.load("sns", "pushed_report_delivered")["json"]
INBOUND = wire.load("sns", "inbound")["json"]


def account(**changed: Any) -> dict[str, Any]:
    server = amazon()
    keys = {"access_key": server.access_key, "secret_key": server.secret_key}
    return {"region": REGION, **keys, "endpoint_url": server.url, **changed}


def at_moto(**changed: Any) -> SnsGateway:
    return SnsGateway(**account(**changed))


def with_topics(**changed: Any) -> SnsWithTopics:
    return SnsWithTopics(topics=[signing.TOPIC], load_certificate=signing.load_certificate, **account(**changed))


@contextmanager
def answering(*answers: bytes, **changed: Any) -> Iterator[tuple[SnsGateway, list[wire.Heard]]]:
    handler, heard = wire.answering(*answers)
    with wire.listening(handler) as url:
        yield SnsGateway(**{**CASE["options"], "endpoint_url": url, **changed}), heard


def refused(status: int, code: str, message: str = "No.") -> bytes:
    text = f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
    return wire.answer(status, text.encode(), "Content-Type: text/xml")


def sent(**fields: Any) -> dict[str, Any]:
    """The attributes with which a text arrived at moto."""
    options, wish = fields.pop("options", {}), replace(REQUEST, **fields)
    reference = at_moto(**options).send(wish).provider_reference
    taken, attributes = amazon().texts[reference]
    assert (taken.phone, taken.text) == (wish.phone.removeprefix("+"), wish.text)
    return {name: value["Value"] for name, value in attributes.items()}


def test_a_text_arrives_with_what_was_asked_for():
    assert sent() == {"AWS.SNS.SMS.SMSType": "Transactional"}
    assert sent(is_urgent=False)["AWS.SNS.SMS.SMSType"] == "Promotional"
    assert sent(options={"sender": "FARAJA"})["AWS.SNS.SMS.SenderID"] == "FARAJA"
    assert sent(options={"sender": "FARAJA"}, sender="INFO")["AWS.SNS.SMS.SenderID"] == "INFO"
    assert sent(options={"max_price": "0.05"})["AWS.SNS.SMS.MaxPrice"] == "0.05"


def test_a_number_as_sender_is_an_origination_number():
    attributes = sent(sender="+255700900100")

    assert attributes["AWS.MM.SMS.OriginationNumber"] == "+255700900100"
    assert "AWS.SNS.SMS.SenderID" not in attributes


def test_amazons_own_search_for_credentials_is_used_where_none_are_given(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", amazon().access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", amazon().secret_key)
    sns._session.cache_clear()

    assert at_moto(access_key="", secret_key="").send(REQUEST).provider_reference in amazon().texts
    sns._session.cache_clear()


def test_an_installation_without_credentials_is_the_operators_business(monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    sns._session.cache_clear()

    with pytest.raises(SmsRefused) as caught:
        at_moto(access_key="", secret_key="").send(REQUEST)

    assert (caught.value.reason, caught.value.code) == (Refusal.ACCOUNT, "NoCredentialsError")
    sns._session.cache_clear()


@pytest.mark.parametrize("changed", [
    {"region": ""},
    {"access_key": "", "secret_key": "x"},
    {"access_key": "x", "secret_key": ""},
    {"max_price": "cheap"},
    {"max_price": "0"},
    {"max_price": "-1"},
    {"max_price": "NaN"},
    {"max_price": "1e9"},
])  # fmt: skip
def test_a_wrong_option_is_named_at_start(changed):
    with pytest.raises(ImproperlyConfigured):
        SnsGateway(**{**CASE["options"], **changed})


def test_topics_cannot_be_none_at_all():
    with pytest.raises(ImproperlyConfigured):
        SnsWithTopics(topics=[], **CASE["options"])


@pytest.mark.parametrize(("status", "code", "reason"), [
    *[(400, code, Refusal.TEXT) for code in ("InvalidParameter", "ParameterValueInvalid", "ValidationException")],
    *[(403, code, Refusal.ACCOUNT) for code in (
        "AuthorizationError", "InvalidSecurity", "InvalidClientTokenId", "SignatureDoesNotMatch", "AccessDenied",
        "OptInRequired", "EndpointDisabled", "NotFound", "KMSDisabled", "KMSAccessDenied", "SomethingNew",
    )],
])  # fmt: skip
def test_each_of_amazons_refusals_says_what_would_help(status, code, reason):
    with answering(refused(status, code)) as (gateway, heard), pytest.raises(SmsRefused) as caught:
        gateway.send(REQUEST)

    assert (caught.value.reason, caught.value.code, caught.value.detail) == (reason, code, "No.")
    assert len(heard) == 1


@pytest.mark.parametrize(("answer", "error"), [
    *[(refused(400, code), GatewayUnavailable) for code in (
        "Throttling", "Throttled", "KMSThrottling", "RequestLimitExceeded",
    )],
    (refused(503, "ServiceUnavailable"), GatewayUnavailable),
    (refused(429, "SomethingNew"), GatewayUnavailable),
    (refused(500, "InternalError"), OutcomeUnknown),
    (refused(500, "InternalFailure"), OutcomeUnknown),
    (refused(503, "SomethingNew"), OutcomeUnknown),
    (wire.answer(502, b"<html>"), OutcomeUnknown),
    (wire.answer(302, b"", "Location: http://127.0.0.1:1/"), OutcomeUnknown),
    (wire.answer(200, b""), OutcomeUnknown),
    (wire.answer(200, b"<PublishResponse/>"), OutcomeUnknown),
    (wire.answer(200, b"<A><PublishResult><MessageId/></PublishResult></A>"), OutcomeUnknown),
])  # fmt: skip
def test_every_other_answer_is_heard_once_and_never_taken_for_a_refusal(answer, error):
    with answering(answer) as (gateway, heard), pytest.raises(error) as caught:
        gateway.send(REQUEST)

    assert len(heard) == 1
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_text_that_times_out_is_posted_once():
    heard: list[Any] = []

    def silent(connection: Any) -> None:
        heard.append(wire.hear(connection))
        connection.recv(1)

    with wire.listening(silent) as url, pytest.raises(OutcomeUnknown):
        SnsGateway(**{**CASE["options"], "endpoint_url": url}, read_timeout=0.2).send(REQUEST)

    assert len(heard) == 1


def test_a_question_after_which_nothing_is_known_is_only_unavailable():
    with answering(refused(500, "InternalFailure")) as (gateway, _heard), pytest.raises(GatewayUnavailable):
        gateway.probe()


# --- Delivery lines, events, inbound texts ---


def parsed(*items: Any, **options: Any) -> SmsNews:
    return SnsGateway(**CASE["options"], **options).parse(Delivery(body=json.dumps(list(items)).encode()))


def line(status: str, response: str) -> dict[str, Any]:
    return {**LINE, "status": status, "delivery": {**LINE["delivery"], "providerResponse": response}}


def test_several_lines_may_come_together():
    news = parsed(LINE, line("FAILURE", "Blocked as spam by phone carrier"), line("OTHER", "?"))

    statuses = [MessageStatus.DELIVERED, MessageStatus.UNDELIVERABLE, None]
    assert [report.status for report in news.reports] == statuses
    assert news.reports[1].detail == "Blocked as spam by phone carrier"


@pytest.mark.parametrize(("response", "status"), [
    ("Invalid phone number", MessageStatus.FAILED),
    ("Message body is invalid", MessageStatus.FAILED),
    ("This delivery would exceed max price", MessageStatus.FAILED),
    ("Destination is on a blocked list", MessageStatus.UNDELIVERABLE),
    ("Phone carrier is currently unreachable/unavailable", MessageStatus.UNDELIVERABLE),
    ("Unknown error attempting to reach phone", MessageStatus.UNDELIVERABLE),
])  # fmt: skip
def test_a_failure_is_told_apart_by_its_words(response, status):
    [report] = parsed(line("FAILURE", response)).reports

    assert (report.status, report.is_opt_out) == (status, False)


def test_an_operator_may_count_what_the_carrier_took_as_delivered():
    taken = line("SUCCESS", "Message has been accepted by phone carrier")

    assert parsed(taken).reports[0].status is MessageStatus.SENT
    assert parsed(taken, is_carrier_enough=True).reports[0].status is MessageStatus.DELIVERED


@pytest.mark.parametrize("word", [*EVENTS, "TEXT_SOMETHING"])
def test_every_event_has_a_status(word):
    [report] = parsed({**EVENT, "eventType": word}).reports

    assert (report.status, report.raw_status) == (EVENTS.get(word), word)
    assert (report.phone, report.provider_reference) == (REQUEST.phone, CASE["provider_reference"])


@pytest.mark.parametrize(("is_final", "status"), [(True, MessageStatus.EXPIRED), (False, None), (None, None)])
def test_nothing_known_means_something_only_at_the_end(is_final, status):
    [report] = parsed({**EVENT, "eventType": "TEXT_UNKNOWN", "isFinal": is_final}).reports

    assert report.status is status


def test_without_topics_an_envelope_of_sns_is_not_believed():
    with pytest.raises(Malformed):
        SnsGateway(**CASE["options"]).read_callback(Delivery(body=signing.signed(EVENT)))


@pytest.mark.parametrize("value", [EVENT, [EVENT], LINE])
def test_a_signed_notification_carries_the_same(value):
    news = with_topics().read_callback(Delivery(body=signing.signed(value)))

    assert [report.status for report in news.reports] == [MessageStatus.DELIVERED]


def test_what_somebody_texts_to_us_is_read():
    [text] = with_topics().read_callback(Delivery(body=signing.signed(INBOUND))).inbound

    assert (text.phone, text.to, text.text) == ("+255712345678", "+255700900100", "STOP")
    assert text.provider_reference == INBOUND["inboundMessageId"]


@pytest.mark.parametrize("body", [
    signing.signed(EVENT, TopicArn="arn:aws:sns:eu-west-1:1:theirs"),
    signing.signed(EVENT).replace(b"TEXT_DELIVERED", b"TEXT_SPAM"),
])  # fmt: skip
def test_with_topics_nothing_unsigned_is_believed(body):
    with pytest.raises(SmsCallbackRejected):
        with_topics().read_callback(Delivery(body=body))
    with pytest.raises(Malformed):
        with_topics().read_callback(Delivery(body=json.dumps(LINE).encode()))


@pytest.mark.parametrize(
    "message", ["", "hello", "[]", "{}", '{"eventType": "TEXT_SENT"}', '{"inboundMessageId": "1"}']
)
def test_a_signed_notification_about_something_else_is_malformed(message):
    with pytest.raises(Malformed):
        with_topics().read_callback(Delivery(body=signing.signed(message)))


def test_a_subscription_is_confirmed_and_tells_nothing(monkeypatch):
    handler, heard = wire.answering(wire.answer())
    with wire.listening(handler) as url:
        monkeypatch.setattr(notifications, "HttpClient", lambda base_url, **options: HttpClient(url, **options))
        news = with_topics().read_callback(Delivery(body=signing.subscription()))
        with pytest.raises(SmsCallbackRejected):
            with_topics().read_callback(Delivery(body=signing.subscription("evil.example")))

    assert news == SmsNews()
    assert len(heard) == 1
