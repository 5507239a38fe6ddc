"""Azure's e-mail: our backend and Azure's own client, both against the simulator, and the events that it sends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.communication.email import EmailClient
from azure.core.credentials import AzureKeyCredential
from azure.core.exceptions import ClientAuthenticationError
from azure.core.pipeline.policies import RetryPolicy
from django.core.mail import EmailMessage

from core.exceptions import Malformed
from services.email.base import (
    EmailCallbackRejected,
    EmailRefused,
    EmailReport,
    EmailRequest,
    EmailStatus,
    Refusal,
    Suppression,
)
from services.email.providers.azure import AzureEmail, operation_id
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.simulators.mail import list_mail
from tests.services import wire
from tests.services.simulators.conftest import Receiver, Simulator, receiving, running, wait_for

__all__ = ["receiving"]
KEY = "ZGVtby1henVyZS1hY2Nlc3Mta2V5"


@pytest.fixture(scope="module")
def azure(receiving: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Simulator, Path]]:
    folder = tmp_path_factory.mktemp("mail")
    told = {"SIMULATOR_AZURE_EMAIL_CALLBACK_URL": f"{receiving.url}/azure", "SIMULATOR_MAIL_DIR": str(folder)}
    with running(told | {"SIMULATOR_DELIVER_AFTER": "0.05", "SIMULATOR_HANG": "0.1"}) as simulator:
        yield simulator, folder


@pytest.fixture
def gateway(azure) -> AzureEmail:
    return AzureEmail(endpoint_url=f"{azure[0].url}/azure", access_key=KEY)


def a_mail(to: str = "asha@example.com", **more: Any) -> EmailRequest:
    return EmailRequest(key=uuid4().hex, to=to, subject="Risiti \u2713", text="Asante <3", **more)


def ended(gateway: AzureEmail, key: str) -> EmailReport:
    def ask() -> EmailReport | None:
        report = gateway.query(key)
        return None if report is None or report.is_pending else report

    found: EmailReport = wait_for(ask)
    return found


def test_a_mail_goes_out_under_an_operation_of_ours(gateway, azure):
    request = a_mail(to="subira@example.com")

    result = gateway.send(request)

    assert result.provider_reference == operation_id(request.key) == gateway.known_reference(request.key)
    [mail] = list_mail(azure[1], request.to)
    assert (mail.subject, mail.text.strip()) == ("Risiti \u2713", "Asante <3")
    assert ended(gateway, request.key).status is EmailStatus.SENT


def test_azures_own_client_sends_what_we_send(gateway, azure):
    ours = a_mail(to="oracle@example.com")
    client = EmailClient(f"{azure[0].url}/azure", AzureKeyCredential(KEY))
    gateway.send(ours)

    poller = client.begin_send(
        {
            "senderAddress": "no-reply@faraja.test",
            "content": {"subject": ours.subject, "plainText": ours.text, "html": "<p>Asante</p>"},
            "recipients": {"to": [{"address": ours.to, "displayName": ""}]},
        },
        operation_id=str(uuid4()),
        polling_interval=0.05,
    )

    assert poller.result()["status"] == "Succeeded"
    calls = azure[0].http.get("/simulator/calls").json()["calls"]
    bodies = [json.loads(each["body"]) for each in calls if each["target"].startswith("/azure/emails:send")]
    sent = [body for body in bodies if body["recipients"]["to"][0]["address"] == ours.to]
    sent.sort(key=len)  # ours also says that nobody is to be tracked
    assert {*sent[1]} - {*sent[0]} == {"userEngagementTrackingDisabled"}
    for part in ("senderAddress", "recipients"):
        assert sent[0][part] == sent[1][part]
    assert {*sent[0]["content"]} == {*sent[1]["content"]}


def test_a_wrong_key_is_refused_for_both_of_us(azure):
    wrong = "d3Jvbmc="
    client = EmailClient(f"{azure[0].url}/azure", AzureKeyCredential(wrong), retry_policy=RetryPolicy.no_retries())

    with pytest.raises(ClientAuthenticationError):
        client.begin_send({"senderAddress": "a@b.test", "content": {"subject": "s"}, "recipients": {"to": []}})
    with pytest.raises(EmailRefused) as caught:
        AzureEmail(endpoint_url=f"{azure[0].url}/azure", access_key=wrong).send(a_mail())

    assert caught.value.reason is Refusal.ACCOUNT
    assert wrong not in str(caught.value)


def test_a_mail_whose_answer_was_lost_is_found_and_not_sent_again(gateway, azure):
    request = a_mail(to="silent@example.com")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("services.email.providers.azure.TIMEOUT", (1, 0.3))
        with pytest.raises(OutcomeUnknown):
            gateway.send(request)

    again = EmailRequest(key=request.key, to=request.to, subject="s", text="t", is_repeated=True)
    assert gateway.send(again).provider_reference == operation_id(request.key)

    assert len(list_mail(azure[1], request.to)) == 1


def test_a_repetition_of_a_mail_that_never_came_is_sent(gateway, azure):
    request = a_mail(to="zawadi@example.com", is_repeated=True)

    gateway.send(request)

    assert len(list_mail(azure[1], request.to)) == 1


def test_a_dropped_mail_has_failed_and_a_repetition_says_so(gateway):
    request = a_mail(to="drop@example.com")
    gateway.send(request)

    report = ended(gateway, request.key)

    assert (report.status, report.raw_status) == (EmailStatus.FAILED, "Failed:EmailDropped")
    again = EmailRequest(key=request.key, to=request.to, subject="s", text="t", is_repeated=True)
    assert gateway.send(again).status is EmailStatus.FAILED


@pytest.mark.parametrize(("name", "error"), [
    ("throttled", GatewayUnavailable), ("error", OutcomeUnknown), ("refused", EmailRefused),
])  # fmt: skip
def test_each_answer_has_its_meaning(gateway, name, error):
    with pytest.raises(error):
        gateway.send(a_mail(to=f"{name}@example.com"))


def test_an_endpoint_that_is_away_is_tried_again():
    with pytest.raises(GatewayUnavailable):
        AzureEmail(endpoint_url=wire.refused_url(), access_key=KEY).send(a_mail())


def test_accounts_mails_with_attachments_and_replies_go_the_same_way(gateway, azure):
    mail = EmailMessage("S", "T", to=["baraka@example.com"], cc=["c@example.com"], reply_to=["r@example.com"])
    mail.attach("a.txt", "hi", "text/plain")

    assert gateway.connect().send_messages([mail]) == 1

    calls = azure[0].http.get("/simulator/calls").json()["calls"]
    body = next(json.loads(each["body"]) for each in calls if "baraka@example.com" in each["body"])
    assert body["attachments"] == [{"name": "a.txt", "contentType": "text/plain", "contentInBase64": "aGk="}]
    assert [each["address"] for each in body["recipients"]["cc"] + body["replyTo"]] == [
        "c@example.com",
        "r@example.com",
    ]


@pytest.mark.parametrize(("name", "status", "suppression"), [
    ("asha", EmailStatus.DELIVERED, None),
    ("bounce", EmailStatus.UNDELIVERABLE, Suppression.BOUNCE),
    ("spam", EmailStatus.UNDELIVERABLE, None),
    ("suppressed", EmailStatus.UNDELIVERABLE, None),
])  # fmt: skip
def test_the_simulators_events_are_read(gateway, receiving, name, status, suppression):
    request = a_mail(to=f"{name}-{uuid4().hex[:6]}@example.com")
    gateway.send(request)

    heard = wait_for(lambda: [each for each in receiving.callbacks if request.to.encode() in each.raw])
    [report] = gateway.read_callback(Delivery(body=heard[0].raw, headers=heard[0].headers)).reports

    assert (report.provider_reference, report.recipient) == (operation_id(request.key), request.to)
    assert (report.status, report.suppression) == (status, suppression)


def test_a_handshake_is_answered_with_its_code(gateway):
    event = {"id": "1", "topic": "t", "subject": "", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
             "eventTime": "", "data": {"validationCode": "512d38b6", "validationUrl": "https://x.test"}}  # fmt: skip

    news = gateway.read_callback(Delivery(body=json.dumps([event]).encode()))

    assert news.answer == {"validationResponse": "512d38b6"}
    assert news.reports == ()


def test_events_about_another_resource_are_refused():
    ours = AzureEmail(endpoint_url="https://kit.communication.azure.com", access_key=KEY, resource="kit")
    event = {"id": "1", "topic": "/communicationServices/other", "eventType": "x", "eventTime": "", "data": {}}

    with pytest.raises(EmailCallbackRejected):
        ours.read_callback(Delivery(body=json.dumps([event]).encode()))


@pytest.mark.parametrize("body", [b"", b"junk", b"[]", b"[1]", b'[{"id": "1"}]', b"null"])
def test_junk_is_malformed(gateway, body):
    with pytest.raises(Malformed):
        gateway.read_callback(Delivery(body=body))
