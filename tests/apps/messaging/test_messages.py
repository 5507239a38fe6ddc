"""Messages: stored first, handed over once, believed by their reports. The Beem side is played by its simulator."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator

import pytest
from django.core import mail

from apps.messaging.models.messages import DeliveryReport, Message, MessageReference
from apps.messaging.progress import ORDER, MessageStatus, further
from apps.messaging.services import claims, outcomes, sending
from apps.messaging.services.claims import NotYet
from apps.messaging.services.messages import queue_message
from apps.messaging.services.polling import resolve_uncertain
from apps.messaging.services.receipts import send_receipt
from apps.messaging.services.sending import send_message
from apps.payments.services.attempts import record_charge
from core.money import Money
from core.outbox.models import OutboxEvent
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import ChargeResult, ChargeStatus
from services.sms.base import Refusal, SmsRefused, SmsRequest
from tests.factories.accounts import Member
from tests.factories.payments import make_payment, only_attempt
from tests.fakes import PageScriptedGateway, ScriptedSms, scripted_gateway, scripted_sms

TOKEN = "r" * 22
URL = f"/api/v1/messaging/reports/scripted/{TOKEN}/"


@pytest.fixture
def sms(in_tenant: Member) -> Iterator[ScriptedSms]:
    with scripted_sms(callback_token=TOKEN) as gateway:
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

    with pytest.raises(NotYet):
        send_message(message_id=message.pk)
    assert status_of(message) == "queued"

    send_message(message_id=message.pk)
    assert status_of(message) == "sent"
    assert message.tries == 1


def test_a_refused_text_fails_and_is_not_repeated(sms):
    message = a_text()
    sms.answers = [SmsRefused(Refusal.SENDER, "111", "sender not registered")]

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


def test_a_text_that_must_not_come_twice_is_not_repeated_when_its_fate_is_uncertain(sms):
    message = queue_message(channel="sms", to="+255712345678", text="Habari", key="code:1", is_repeatable=False)
    sms.answers = [OutcomeUnknown()]
    send_message(message_id=message.pk)

    for _ in range(3):
        resolve_uncertain(message_id=message.pk)
        send_message(message_id=message.pk)

    assert len(sms.sent) == 1
    assert status_of(message) == "uncertain"


def test_a_worker_that_died_while_handing_over_leaves_an_uncertain_text(sms):
    message = a_text()
    claims.claim_message(message_id=message.pk)  # and then the power went

    send_message(message_id=message.pk)

    assert not sms.sent
    assert status_of(message) == "uncertain"


def test_a_report_that_overtakes_the_answer_is_not_lost(client, sms):
    message = a_text()
    claim = claims.claim_message(message_id=message.pk)
    assert claim is not None
    report(client, message, "delivered")

    outcomes.accepted(attempt=claim.attempt, provider_reference="R1")

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


def test_a_payer_without_a_phone_gets_the_receipt_by_mail(sms, in_tenant):
    with scripted_gateway(PageScriptedGateway):
        wish = {"gateway": "scripted", "phone": "", "method": "checkout"}
        known = make_payment(in_tenant, **wish, customer={"email": "asha@example.com"})
        unknown = make_payment(in_tenant, **wish)
        own = make_payment(in_tenant, **wish, customer={"email": in_tenant.user.email})

    for payment in (known, unknown, own, known):
        send_receipt(payment_id=payment.pk)

    assert not Message.objects.filter(channel=Message.Channel.SMS).exists()
    sent = Message.objects.filter(channel=Message.Channel.EMAIL).values_list("to", flat=True)
    assert sorted(sent) == sorted(["asha@example.com", *[in_tenant.user.email] * 3])


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
    claimed = claims.claim_message(message_id=message.pk)
    assert claimed is not None
    sending._send_email(claimed)
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


# --- Secrets ----------------------------------------------------------------------------------------------------------

WORDS = {"mlango": "mango-tree-42"}


def find_word(reference: str) -> str | None:
    """The secrets of these tests."""
    return WORDS.get(reference)


FINDERS = {"word": find_word}


@pytest.fixture
def secrets(settings) -> None:
    settings.MESSAGE_SECRETS = f"{__name__}.FINDERS"


def a_secret_text(reference: str = "mlango", channel: str = "sms") -> Message:
    to = "+255712345678" if channel == "sms" else "asha@example.com"
    return queue_message(channel=channel, to=to, text="Say {secret}.", key="k", secret=f"word:{reference}")


@pytest.mark.parametrize("channel", ["sms", "email"])
def test_a_secret_is_put_in_while_sending_and_kept_nowhere(sms, secrets, channel):
    message = a_secret_text(channel=channel)

    send_message(message_id=message.pk)

    sent = [each.text for each in sms.sent] + [str(each.body) for each in mail.outbox]
    assert sent == ["Say mango-tree-42."]
    assert status_of(message) == "sent"
    kept = str([*Message.objects.values(), *OutboxEvent.objects.values(), *MessageReference.objects.values()])
    assert "mango-tree" not in kept
    assert message.shown_text == "Say ******."


def test_a_secret_that_is_no_longer_good_is_not_sent(sms, secrets):
    message = a_secret_text("dirisha")

    send_message(message_id=message.pk)

    assert sms.sent == []
    assert status_of(message) == "expired"


def test_a_secret_that_nobody_could_find_is_refused_before_anything_is_stored(sms, secrets):
    with pytest.raises(KeyError):
        queue_message(channel="sms", to="+255712345678", text="{secret}", key="k", secret="nobody:1")

    assert not Message.objects.exists()


def test_a_provider_that_repeats_the_text_in_its_refusal_gives_no_secret_away(sms, secrets, caplog):
    message = a_secret_text()
    sms.answers = [SmsRefused(Refusal.TEXT, "110", "cannot send: Say mango-tree-42.")]

    with caplog.at_level(logging.DEBUG):
        send_message(message_id=message.pk)

    assert status_of(message) == "failed"
    assert message.error == "110: cannot send: Say ******."
    assert "mango-tree" not in caplog.text


def test_when_finding_the_secret_fails_the_text_is_tried_again(sms, secrets, monkeypatch):
    message = a_secret_text()
    monkeypatch.setitem(FINDERS, "word", {}.__getitem__)  # as a database that is away for a moment
    with pytest.raises(KeyError):
        send_message(message_id=message.pk)
    monkeypatch.setitem(FINDERS, "word", find_word)

    send_message(message_id=message.pk)

    assert [each.text for each in sms.sent] == ["Say mango-tree-42."]


def test_braces_in_an_ordinary_text_stay_as_they_are(sms):
    message = queue_message(channel="sms", to="+255712345678", text="Say {secret}.", key="k")

    send_message(message_id=message.pk)

    assert [each.text for each in sms.sent] == ["Say {secret}."]
    assert message.shown_text == "Say {secret}."


def test_the_words_of_a_text_are_not_in_what_is_printed_of_its_request():
    assert "204816" not in repr(SmsRequest(key="k", phone="+255712345678", text="204816"))
