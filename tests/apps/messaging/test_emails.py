"""Mails: three outcomes, reports in any order and number, forged ones refused, and addresses that are spared."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.locmem import EmailBackend

from apps.messaging.models.messages import DeliveryReport, Message, MessageReference
from apps.messaging.models.suppression import EmailSuppression
from apps.messaging.services import claims
from apps.messaging.services.claims import NotYet
from apps.messaging.services.emails import ask_about_email
from apps.messaging.services.messages import queue_message
from apps.messaging.services.polling import resolve_uncertain
from apps.messaging.services.sending import send_message
from apps.messaging.services.suppression import erase_suppressions, lift_suppression
from core.audit.models import AuditEntry
from core.outbox.models import OutboxEvent
from core.outbox.relay import RetryLater
from core.personal_data import Subject
from services.email.base import (
    EmailGateway,
    EmailNews,
    EmailRefused,
    EmailReport,
    EmailRequest,
    EmailStatus,
    Refusal,
    Suppression,
)
from services.email.registry import get_email_gateway
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from tests.factories.accounts import Member

TOKEN = "m" * 22
URL = f"/api/v1/messaging/reports/email/scripted/{TOKEN}/"
TO = "asha@example.com"


class ScriptedEmail(EmailGateway):
    """Does what the test says; a report is JSON with our names."""

    code, name = "scripted", "Scripted"
    can_be_asked = True

    def __init__(self) -> None:
        self.errors: list[Exception] = []
        self.sent: list[EmailMultiAlternatives] = []
        self.known: dict[str, EmailReport] = {}

    def connect(self) -> BaseEmailBackend:
        if self.errors:
            raise self.errors.pop(0)
        return EmailBackend()

    def prepare(self, mail: EmailMultiAlternatives, request: EmailRequest) -> None:
        self.sent.append(mail)

    def reference_of(self, mail: EmailMultiAlternatives) -> str:
        return f"<R{len(self.sent)}@{'long.' * 20}test>"

    def judge(self, error: Exception) -> Exception:
        return error

    def query(self, key: str) -> EmailReport | None:
        return self.known.get(key)

    def parse(self, delivery: Delivery) -> EmailNews:
        return EmailNews(reports=tuple(map(read_report, json.loads(delivery.body))), answer={"heard": True})


def read_report(told: dict[str, Any]) -> EmailReport:
    status, why = told.get("status"), told.get("suppression")
    return EmailReport(
        key=told.get("key", ""),
        provider_reference=told.get("ref", ""),
        recipient=told.get("to", TO),
        status=EmailStatus(status) if status else None,
        raw_status=told["raw"],
        suppression=Suppression(why) if why else None,
    )


@pytest.fixture
def gateway(in_tenant: Member, settings) -> ScriptedEmail:
    backend = {"BACKEND": f"{__name__}.ScriptedEmail", "OPTIONS": {}, "CALLBACK_TOKEN": TOKEN}
    silent = backend | {"CALLBACK_TOKEN": ""}
    settings.EMAIL_PROVIDERS = {"scripted": backend, "silent": silent}
    settings.EMAIL_PROVIDER = "scripted"
    found = get_email_gateway("scripted")
    assert isinstance(found, ScriptedEmail)
    return found


def a_mail(key: str = "receipt:1", to: str = TO) -> Message:
    return queue_message(channel="email", to=to, subject="Risiti", text="Asante", key=key)


def sent_mail(key: str = "receipt:1") -> Message:
    message = a_mail(key)
    send_message(message_id=message.pk)
    message.refresh_from_db()
    return message


def status_of(message: Message) -> str:
    message.refresh_from_db()
    return message.status


def report(client, *told: dict[str, Any], url: str = URL):
    return client.post(url, list(told), format="json")


def test_a_mail_is_sent_once_and_its_providers_name_is_kept(gateway):
    message = sent_mail()
    send_message(message_id=message.pk)

    assert len(gateway.sent) == 1
    assert (message.status, message.provider) == ("sent", "email:scripted")
    assert message.provider_reference == gateway.reference_of(gateway.sent[0])[:100]


def test_when_nothing_was_sent_it_is_tried_again(gateway):
    message = a_mail()
    gateway.errors = [GatewayUnavailable()]

    with pytest.raises(NotYet):
        send_message(message_id=message.pk)
    assert status_of(message) == "queued"
    send_message(message_id=message.pk)

    assert status_of(message) == "sent"
    assert message.tries == 1


def test_a_refused_mail_fails_with_the_reason_for_operators(gateway, caplog):
    message = a_mail()
    gateway.errors = [EmailRefused(Refusal.SENDER, "MessageRejected", "not verified: no-reply@faraja.test")]

    send_message(message_id=message.pk)
    send_message(message_id=message.pk)

    assert status_of(message) == "failed"
    assert message.error == "MessageRejected: not verified: no-reply@faraja.test"
    assert "no-reply@faraja.test" not in caplog.text


def test_a_mail_whose_fate_is_unknown_is_repeated_once_with_the_same_message_id(gateway):
    gateway.takes_message_id = True
    message = a_mail()
    gateway.errors = [OutcomeUnknown(), OutcomeUnknown()]

    for _ in range(4):
        send_message(message_id=message.pk)
        resolve_uncertain(message_id=message.pk)

    assert status_of(message) == "uncertain"
    assert [each.extra_headers["Message-ID"] for each in gateway.sent] == [f"<{message.pk.hex}@faraja>"] * 2


def test_a_report_settles_what_nobody_knew(gateway, client):
    message = a_mail()
    gateway.errors = [OutcomeUnknown()]
    send_message(message_id=message.pk)

    assert report(client, {"key": message.pk.hex, "ref": "R9", "raw": "d", "status": "delivered"}).status_code == 200
    resolve_uncertain(message_id=message.pk)

    assert status_of(message) == "delivered"
    assert len(gateway.sent) == 1


def test_a_repetition_that_the_provider_knows_is_not_sent_again(gateway):
    message = a_mail()
    claims.claim_message(message_id=message.pk)  # and then the power went
    gateway.known[message.pk.hex] = EmailReport(provider_reference="R1", raw_status="Running", is_pending=True)

    send_message(message_id=message.pk)

    assert gateway.sent == []
    assert status_of(message) == "sent"


# --- Reports ----------------------------------------------------------------------------------------------------------


def test_reports_converge_in_every_order_and_number(gateway, client):
    words = [("s", "sent"), ("b", "undeliverable"), ("d", "delivered"), ("s", "sent")]
    ends = set()
    for number, order in enumerate(sorted(set(itertools.permutations(words)))):
        message = sent_mail(f"order {number}")
        reference = gateway.reference_of(gateway.sent[-1])
        for raw, status in order:
            report(client, {"ref": reference, "raw": raw, "status": status})
        ends.add((status_of(message), message.reports.count()))

    assert ends == {("delivered", 3)}


def test_a_report_finds_its_mail_by_our_key_or_by_the_providers_name(gateway, client):
    one, two = sent_mail("1"), sent_mail("2")
    reference = gateway.reference_of(gateway.sent[1]).strip("<>")

    answer = report(
        client,
        {"key": one.pk.hex, "raw": "d", "status": "delivered"},
        {"ref": reference, "raw": "f", "status": "failed"},
    )

    assert answer.json()["heard"] is True
    assert (status_of(one), status_of(two)) == ("delivered", "failed")
    assert set(MessageReference.objects.values_list("tenant_id", flat=True)) == {one.tenant_id}


def test_a_report_about_somebody_elses_address_or_nobodys_mail_changes_nothing(gateway, client):
    message = sent_mail()
    hard = {"raw": "b", "status": "undeliverable", "suppression": "bounce"}

    for told in ({"key": message.pk.hex, "to": "forwarded@example.com"}, {"key": "f" * 32}, {"ref": "x"}, {}):
        assert report(client, told | hard).status_code == 200

    assert status_of(message) == "sent"
    assert not EmailSuppression.objects.exists()
    assert not DeliveryReport.objects.exists()


@pytest.mark.parametrize("to", ["Asha@Example.COM", " asha@example.com "])
def test_an_address_is_the_same_in_another_spelling(gateway, client, to):
    message = sent_mail()

    report(client, {"key": message.pk.hex, "to": to, "raw": "d", "status": "delivered"})

    assert status_of(message) == "delivered"


def test_only_the_address_that_was_given_out_is_heard(gateway, client):
    message = sent_mail()
    told = {"key": message.pk.hex, "raw": "d", "status": "delivered"}

    for place in ("scripted/wrong", "nobody/" + TOKEN, "silent/x", f"scripted/{TOKEN}x"):
        url = f"/api/v1/messaging/reports/email/{place}/"
        assert report(client, told, url=url).status_code == 404
        assert client.options(url).status_code == 404

    assert status_of(message) == "sent"


def test_an_option_request_that_is_no_handshake_is_answered_as_ever(gateway, client):
    assert client.options(URL).status_code == 200


# --- Addresses that are spared ----------------------------------------------------------------------------------------


def bounced(client, message: Message, raw: str = "b", why: str = "bounce") -> None:
    status = {"status": "undeliverable"} if why == "bounce" else {}
    assert report(client, {"key": message.pk.hex, "raw": raw, "suppression": why} | status).status_code == 200


@pytest.mark.parametrize(("why", "status"), [("bounce", "undeliverable"), ("complaint", "sent")])
def test_an_address_that_bounced_or_complained_gets_no_more_mail(gateway, client, why, status):
    first = sent_mail("1")
    bounced(client, first, why=why)
    assert status_of(first) == status

    second = a_mail("2", to="ASHA@example.com")
    send_message(message_id=second.pk)

    assert status_of(second) == "suppressed"
    assert len(gateway.sent) == 1
    row = EmailSuppression.objects.get()
    assert (row.address, row.reason, row.provider) == (TO, why, "email:scripted")


def test_a_late_bounce_spares_the_address_and_delivered_stays(gateway, client):
    message = sent_mail()
    report(client, {"key": message.pk.hex, "raw": "d", "status": "delivered"})

    bounced(client, message)

    assert status_of(message) == "delivered"
    assert EmailSuppression.objects.filter(address=TO).exists()


def test_a_complaint_outweighs_a_bounce_in_either_order(gateway, client):
    message = sent_mail()

    for raw, why in (("1", "bounce"), ("2", "complaint"), ("3", "bounce")):
        bounced(client, message, raw, why)

    assert EmailSuppression.objects.get().reason == "complaint"


def test_staff_may_lift_it_and_an_old_report_again_changes_nothing(gateway, client, in_tenant):
    message = sent_mail("1")
    bounced(client, message)
    row = EmailSuppression.objects.get()

    lifted: Callable[[], bool] = lambda: lift_suppression(  # noqa: E731
        operator_id=in_tenant.user.pk, suppression_id=row.pk, reason="They wrote to us."
    )
    assert (lifted(), lifted()) == (True, False)
    bounced(client, message)  # the provider repeats itself

    assert sent_mail("2").status == "sent"
    assert AuditEntry.objects.filter(action="suppression.lifted").count() == 1
    bounced(client, message, raw="news")
    assert EmailSuppression.objects.filter(lifted_at=None).exists()


def test_a_person_who_is_erased_takes_the_proven_address_along(gateway, client, in_tenant):
    bounced(client, sent_mail())

    erase_suppressions(subject=Subject(id=in_tenant.user.pk, addresses=(TO,), proven=()))
    assert EmailSuppression.objects.exists()
    erase_suppressions(subject=Subject(id=in_tenant.user.pk, addresses=(TO,), proven=("Asha@example.com",)))

    assert not EmailSuppression.objects.exists()


# --- Asking -----------------------------------------------------------------------------------------------------------


def test_where_no_report_comes_the_provider_is_asked(gateway):
    message = sent_mail()
    assert OutboxEvent.objects.filter(name="email.poll_due").count() == 1

    gateway.known[message.pk.hex] = EmailReport(raw_status="Running", is_pending=True)
    with pytest.raises(RetryLater):
        ask_about_email(message_id=message.pk)
    gateway.known[message.pk.hex] = EmailReport(raw_status="Failed:EmailDropped", status=EmailStatus.FAILED)
    ask_about_email(message_id=message.pk)
    ask_about_email(message_id=message.pk)

    assert status_of(message) == "failed"
    assert DeliveryReport.objects.count() == 1
