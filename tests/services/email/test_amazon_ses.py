"""Amazon SES: sent to moto's server, errors as botocore words them, and events in signed SNS notifications."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

import boto3
import pytest
from anymail.exceptions import AnymailAPIError
from botocore.exceptions import ClientError, ConnectTimeoutError, NoCredentialsError, ReadTimeoutError
from moto.backends import get_backend
from moto.server import ThreadedMotoServer

from core.exceptions import Malformed
from services.aws.notifications import NotificationReader
from services.email.base import (
    EmailCallbackRejected,
    EmailNews,
    EmailRefused,
    EmailRequest,
    EmailStatus,
    Refusal,
    Suppression,
)
from services.email.providers.amazon_ses import SesEmail
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from tests.services import wire
from tests.services.aws.amazon import TOPIC, load_certificate, signed

KEY = "7f" * 16
REQUEST = EmailRequest(key=KEY, to="asha@example.com", subject="Habari \u2713", text="Karibu")
ACCOUNT: dict[str, Any] = {"region": "eu-west-1", "access_key_id": "AKID", "secret_access_key": "secret"}


@cache
def at_moto(url: str) -> SesEmail:
    return SesEmail(endpoint_url=url, **ACCOUNT)


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "sesv2", region_name="eu-west-1", endpoint_url=url, aws_access_key_id="AKID", aws_secret_access_key="secret"
    )
    client.create_email_identity(EmailIdentity="no-reply@faraja.test")
    yield url
    server.stop()


def test_a_mail_reaches_ses_and_is_known_by_its_id(moto):
    result = at_moto(moto).send(REQUEST)

    [sent] = get_backend("ses")["123456789012"]["eu-west-1"].sent_messages
    assert sent.id == result.provider_reference
    assert set(sent.destinations) == {"asha@example.com"}
    assert f'X-Metadata: {{"faraja": "{KEY}"}}' in sent.raw_data
    assert f"Message-ID: <{KEY}@faraja>" in sent.raw_data


def test_an_unverified_sender_is_an_operators_matter(moto, settings):
    settings.DEFAULT_FROM_EMAIL = "eve@example.org"

    with pytest.raises(EmailRefused) as caught:
        at_moto(moto).send(REQUEST)

    assert caught.value.code == "MessageRejected"  # in moto's words; Amazon's stand below


def test_a_failing_server_is_asked_once_and_a_vanished_one_is_tried_again():
    handler, heard = wire.answering(wire.answer(500, b"{}"))

    with wire.listening(handler) as url:
        account = SesEmail(endpoint_url=url, configuration_set="events", **ACCOUNT)
        with pytest.raises(OutcomeUnknown):
            account.send(REQUEST)
    assert len(heard) == 1
    with pytest.raises((GatewayUnavailable, OutcomeUnknown)):
        account.send(REQUEST)

    assert heard[0].headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKID/")
    body = json.loads(heard[0].body)
    assert body["Destination"] == {"ToAddresses": ["asha@example.com"]}
    assert body["ConfigurationSetName"] == "events"


def client_error(code: str, status: int = 400, message: str = "no") -> ClientError:
    told: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(told, "SendEmail")


@pytest.mark.parametrize(("cause", "meaning"), [
    (client_error("TooManyRequestsException", 429), GatewayUnavailable),
    (client_error("LimitExceededException"), GatewayUnavailable),
    (client_error("MessageRejected"), Refusal.TEXT),
    (client_error("MessageRejected", message="Email address is not verified."), Refusal.SENDER),
    (client_error("BadRequestException"), Refusal.TEXT),
    (client_error("MailFromDomainNotVerifiedException"), Refusal.SENDER),
    (client_error("AccountSuspendedException"), Refusal.ACCOUNT),
    (client_error("SendingPausedException"), Refusal.ACCOUNT),
    (client_error("NotFoundException", 404), Refusal.ACCOUNT),
    (client_error("AccessDeniedException", 403), Refusal.ACCOUNT),
    (client_error("InvalidClientTokenId", 403), Refusal.ACCOUNT),
    (client_error("InternalFailure", 500), OutcomeUnknown),
    (NoCredentialsError(), Refusal.ACCOUNT),
    (ConnectTimeoutError(endpoint_url="x"), GatewayUnavailable),
    (ReadTimeoutError(endpoint_url="x"), OutcomeUnknown),
], ids=lambda each: type(each).__name__ if isinstance(each, Exception) else str(each))  # fmt: skip
def test_each_error_has_its_meaning(cause, meaning):
    error = AnymailAPIError("x")
    error.__cause__ = cause

    judged = SesEmail(**ACCOUNT).judge(error)

    assert (judged.reason if isinstance(judged, EmailRefused) else type(judged)) == meaning


# --- Events ----------------------------------------------------------------------------------------------------------

HEADERS = [{"name": "X-Metadata", "value": json.dumps({"faraja": KEY})}]
MAIL = {"timestamp": "2026-11-20T11:20:00.000Z", "messageId": "0100-mid", "source": "no-reply@faraja.test",
        "destination": ["asha@example.com"], "headers": HEADERS}  # fmt: skip


def gateway() -> SesEmail:
    return SesEmail(**ACCOUNT, reader=NotificationReader([TOPIC], load_certificate=load_certificate))


def read(body: bytes) -> EmailNews:
    return gateway().read_callback(Delivery(body=body, headers={"content-type": "text/plain; charset=UTF-8"}))


def event(kind: str, **section: Any) -> dict[str, Any]:
    name = "failure" if kind == "Rendering Failure" else kind[0].lower() + kind[1:]
    return {"eventType": kind, "mail": MAIL, name: section}


def bounced(kind: str, sub: str = "General") -> dict[str, Any]:
    who = [{"emailAddress": "asha@example.com", "diagnosticCode": "smtp; 550 5.1.1 user unknown"}]
    return event("Bounce", bounceType=kind, bounceSubType=sub, bouncedRecipients=who)


@pytest.mark.parametrize(("told", "status", "raw", "suppression"), [
    (event("Send"), EmailStatus.SENT, "Send", None),
    (event("Delivery", recipients=["asha@example.com"]), EmailStatus.DELIVERED, "Delivery", None),
    (bounced("Permanent"), EmailStatus.UNDELIVERABLE, "Bounce:Permanent:General", Suppression.BOUNCE),
    (bounced("Permanent", "OnAccountSuppressionList"), EmailStatus.UNDELIVERABLE,
     "Bounce:Permanent:OnAccountSuppressionList", Suppression.BOUNCE),
    (bounced("Transient", "MailboxFull"), EmailStatus.UNDELIVERABLE, "Bounce:Transient:MailboxFull", None),
    (bounced("Undetermined"), EmailStatus.UNDELIVERABLE, "Bounce:Undetermined:General", None),
    (event("DeliveryDelay", delayType="MailboxFull", delayedRecipients=[{"emailAddress": "asha@example.com"}]),
     EmailStatus.SENT, "DeliveryDelay:MailboxFull", None),
    (event("Reject", reason="Bad content"), EmailStatus.FAILED, "Reject", None),
    (event("Rendering Failure", errorMessage="no"), EmailStatus.FAILED, "Rendering Failure", None),
    (event("Complaint", complainedRecipients=[{"emailAddress": "asha@example.com"}], complaintFeedbackType="abuse"),
     None, "Complaint:abuse", Suppression.COMPLAINT),
], ids=lambda each: each["eventType"] if isinstance(each, dict) else "")  # fmt: skip
def test_each_event_has_its_meaning(told, status, raw, suppression):
    [report] = read(signed(told)).reports

    assert (report.key, report.provider_reference, report.recipient) == (KEY, "0100-mid", "asha@example.com")
    assert (report.status, report.raw_status, report.suppression) == (status, raw, suppression)


def test_older_identity_feedback_is_read_too():
    told = bounced("Permanent")
    told["notificationType"] = told.pop("eventType")

    assert read(signed(told)).reports[0].suppression is Suppression.BOUNCE


def test_a_mail_to_several_is_told_about_for_each():
    two = [{"emailAddress": "a@example.com"}, {"emailAddress": "b@example.com"}]
    told = event("Bounce", bounceType="Permanent", bouncedRecipients=two)

    assert [each.recipient for each in read(signed(told)).reports] == ["a@example.com", "b@example.com"]


@pytest.mark.parametrize("told", ["Successfully validated SNS topic for Amazon SES event publishing.",
                                  event("Open"), event("Click"), event("Subscription")], ids=str)  # fmt: skip
def test_what_is_no_news_about_a_mail_is_taken_and_dropped(told):
    assert read(signed(told)).reports == ()


def test_a_forged_notification_is_refused():
    genuine = json.loads(signed(bounced("Permanent")))

    for change in ({"Message": json.dumps(bounced("Transient"))}, {"TopicArn": TOPIC + "2"}, {"Signature": "AAAA"}):
        with pytest.raises(EmailCallbackRejected):
            read(json.dumps(genuine | change).encode())


@pytest.mark.parametrize("body", [b"", b"junk", b"{}", signed([1]), signed({"eventType": "Bounce"}), signed({})])
def test_junk_is_malformed(body):
    with pytest.raises(Malformed):
        read(body)
