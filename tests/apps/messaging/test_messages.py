"""Messages: stored first, handed over once, believed by their reports. The Beem side is played by its simulator."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest
from django.core import mail
from django.test import override_settings

from apps.messaging.models import DeliveryReport, Message, MessageReference
from apps.messaging.progress import ORDER, MessageStatus, further
from apps.messaging.services import messages
from apps.messaging.services.messages import queue_message, resolve_uncertain, send_message
from apps.messaging.services.receipts import send_receipt
from apps.payments.services.payments import record_charge
from core.money import Money
from core.outbox.models import OutboxEvent
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.payments.base import ChargeResult, ChargeStatus
from services.sms.base import MessageStatus as ProviderStatus
from services.sms.base import SmsGateway, SmsRefused, SmsReport, SmsRequest, SmsResult
from services.sms.registry import get_sms_gateway
from tests.factories.accounts import Member
from tests.factories.payments import make_payment, only_attempt

TOKEN = "r" * 22
URL = f"/api/v1/messaging/reports/scripted/{TOKEN}/"


@dataclass
class ScriptedSms(SmsGateway):
    """Answers from a list; keeps what it was asked to send. Reports are JSON objects in our own words."""

    code: ClassVar[str] = "scripted"
    answers: list[Any] = field(default_factory=list)
    sent: list[SmsRequest] = field(default_factory=list)

    def send(self, request: SmsRequest) -> SmsResult:
        self.sent.append(request)
        answer = self.answers.pop(0) if self.answers else SmsResult(provider_reference=f"R{len(self.sent)}")
        if isinstance(answer, Exception):
            raise answer
        result: SmsResult = answer
        return result

    def query_report(self, phone: str, provider_reference: str) -> SmsReport | None:
        return None

    def parse_report(self, delivery: Delivery) -> SmsReport:
        told = json.loads(delivery.body)
        status = ProviderStatus(told["status"]) if told["status"] in set(ProviderStatus) else None
        return SmsReport(
            key=told["key"],
            provider_reference=told["ref"],
            phone="+255712345678",
            status=status,
            raw_status=told["status"],
        )

    def report_receipt(self, report: SmsReport) -> dict[str, Any]:
        return {"ok": True}


@pytest.fixture
def sms(in_tenant: Member) -> Iterator[ScriptedSms]:
    config = {"BACKEND": f"{__name__}.ScriptedSms", "OPTIONS": {}, "CALLBACK_TOKEN": TOKEN}
    with override_settings(SMS_GATEWAYS={"scripted": config}):
        gateway = get_sms_gateway("scripted")
        assert isinstance(gateway, ScriptedSms)
        yield gateway


def a_text(key: str = "receipt:1") -> Message:
    return queue_message(channel="sms", to="+255712345678", text="Habari", key=key)


def status_of(message: Message) -> str:
    message.refresh_from_db()
    return message.status


def report(client, message: Message, status: str, ref: str = "R1"):
    return client.post(URL, {"key": message.pk.hex, "ref": ref, "status": status}, format="json")


def test_a_text_is_stored_and_sent_once(sms):
    message = a_text()
    assert a_text().pk == message.pk
    assert OutboxEvent.objects.filter(name="message.queued").count() == 1

    send_message(message_id=message.pk)
    send_message(message_id=message.pk)

    assert [request.text for request in sms.sent] == ["Habari"]
    assert status_of(message) == "sent"
    assert message.provider_reference == "R1"
    assert message.sent_at is not None


def test_when_nothing_was_sent_it_is_tried_again(sms):
    message = a_text()
    sms.answers = [GatewayUnavailable()]

    with pytest.raises(GatewayUnavailable):
        send_message(message_id=message.pk)
    assert status_of(message) == "queued"

    send_message(message_id=message.pk)
    assert status_of(message) == "sent"
    assert message.tries == 1


def test_a_refused_text_fails_and_is_not_repeated(sms):
    message = a_text()
    sms.answers = [SmsRefused("111", "sender not registered", is_config=True)]

    send_message(message_id=message.pk)
    send_message(message_id=message.pk)

    assert status_of(message) == "failed"
    assert len(sms.sent) == 1


def test_an_uncertain_text_waits_for_its_report(client, sms):
    message = a_text()
    sms.answers = [OutcomeUnknown()]
    send_message(message_id=message.pk)
    assert status_of(message) == "uncertain"
    assert OutboxEvent.objects.filter(name="message.uncertain").count() == 1

    assert report(client, message, "delivered").status_code == 200
    resolve_uncertain(message_id=message.pk)

    assert status_of(message) == "delivered"
    assert len(sms.sent) == 1


def test_an_uncertain_text_without_a_report_is_sent_once_more_and_only_once(sms):
    message = a_text()
    sms.answers = [OutcomeUnknown(), OutcomeUnknown()]
    send_message(message_id=message.pk)

    for _ in range(3):
        resolve_uncertain(message_id=message.pk)
        send_message(message_id=message.pk)

    assert len(sms.sent) == 2
    assert status_of(message) == "uncertain"


def test_a_worker_that_died_while_handing_over_leaves_an_uncertain_text(sms):
    message = a_text()
    messages._claim(message_id=message.pk)  # and then the power went

    send_message(message_id=message.pk)

    assert not sms.sent
    assert status_of(message) == "uncertain"


def test_a_report_that_overtakes_the_answer_is_not_lost(client, sms):
    message = a_text()
    messages._claim(message_id=message.pk)
    report(client, message, "delivered")

    messages._finish(message_id=message.pk, status=MessageStatus.SENT, provider_reference="R1")

    assert status_of(message) == "delivered"


def test_reports_converge_in_every_order_and_number(client, sms):
    words = ["sent", "delivered", "undeliverable", "sent"]
    ends = set()
    for number, order in enumerate(set(itertools.permutations(words))):
        message = a_text(key=f"order {number}")
        send_message(message_id=message.pk)
        for word in order:
            report(client, message, word, ref=message.provider_reference or f"R{number + 1}")
        ends.add(status_of(message))

    assert ends == {"delivered"}


def test_the_same_report_twice_is_one_row(client, sms):
    message = a_text()
    send_message(message_id=message.pk)

    for _ in range(3):
        report(client, message, "delivered")

    assert DeliveryReport.objects.count() == 1


def test_a_word_nobody_knows_is_kept_and_means_only_that_it_was_taken(client, sms):
    message = a_text()
    send_message(message_id=message.pk)

    report(client, message, "GONE-FISHING")

    assert status_of(message) == "sent"
    assert message.raw_status == "GONE-FISHING"


def test_a_report_about_another_text_of_the_provider_changes_nothing(client, sms):
    message = a_text()
    send_message(message_id=message.pk)

    assert report(client, message, "delivered", ref="someone-elses").status_code == 200

    assert status_of(message) == "sent"


def test_a_report_about_nobodys_message_is_acknowledged_and_dropped(client, sms):
    response = client.post(URL, {"key": "f" * 32, "ref": "R1", "status": "delivered"}, format="json")

    assert response.status_code == 200
    assert not DeliveryReport.objects.exists()


@pytest.mark.django_db
def test_a_report_at_a_wrong_address_is_not_found(client):
    assert (
        client.post("/api/v1/messaging/reports/beem/wrong-token/", b"{}", content_type="text/plain").status_code == 404
    )


@pytest.mark.django_db
@pytest.mark.parametrize("body", [b"", b"junk", b"[]", b"null", b"\xff\xfe", b'{"request_id": {}}', b"a=b&c"])
def test_junk_from_the_sms_provider_is_a_400(client, body):
    response = client.post(
        "/api/v1/messaging/reports/beem/demo-beem-callback-token/", body, content_type="application/json"
    )

    assert response.status_code == 400
    assert response.json()["status"] == "error"


def test_the_status_never_moves_back():
    for now, news in itertools.product(MessageStatus, MessageStatus):
        assert ORDER[MessageStatus(further(now, news))] == max(ORDER[now], ORDER[news])


def test_a_receipt_is_one_text_to_the_payer_and_one_mail_to_the_starter(sms, in_tenant):
    payment = make_payment(in_tenant, client_reference="order-1024")
    paid = ChargeResult(status=ChargeStatus.PAID, money=Money(500_000, "TZS"))
    record_charge(attempt_id=only_attempt(payment).pk, source="poll", result=paid)

    send_receipt(payment_id=payment.pk)
    send_receipt(payment_id=payment.pk)
    for message in Message.objects.all():
        send_message(message_id=message.pk)

    assert [(each.phone, each.text) for each in sms.sent] == [
        ("+255712345678", "Received TZS 5,000. Reference order-1024. Thank you.")
    ]
    assert [each.to for each in mail.outbox] == [[in_tenant.user.email]]
    assert "TZS 5,000" in mail.outbox[0].subject
    assert Message.objects.count() == 2


def test_a_mail_that_is_repeated_after_a_crash_has_the_same_message_id(sms, in_tenant):
    message = queue_message(channel="email", to="asha@example.com", subject="Hi", text="Habari", key="k")
    claimed = messages._claim(message_id=message.pk)
    assert claimed is not None
    messages._send_email(claimed)
    Message.objects.update(status="submitting")  # as if the answer had never been written down

    send_message(message_id=message.pk)

    assert len({each.extra_headers["Message-ID"] for each in mail.outbox}) == 1
    assert status_of(message) == "sent"


def test_the_providers_key_leads_to_the_tenant_without_naming_it(sms, in_tenant):
    message = a_text()
    send_message(message_id=message.pk)

    assert sms.sent[0].key == message.pk.hex
    assert MessageReference.objects.get().tenant_id == in_tenant.tenant_id
    assert str(in_tenant.tenant_id) not in sms.sent[0].key
