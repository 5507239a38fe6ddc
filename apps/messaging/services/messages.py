"""Use cases for messages: store, hand over, take the provider's reports.

A text is handed over at most once on our own initiative. When nobody knows whether the provider took it (a crash, a
lost answer), the delivery report is waited for; only if none comes is a receipt sent once more, and a code never.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from apps.messaging.models import DeliveryReport, Message, MessageReference
from apps.messaging.placeholders import MASK, check_secret, find_secret, put_in_secret
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.progress import further
from apps.messaging.selectors import find_message_reference
from core.crash import crash_point
from core.exceptions import Malformed, NotFound
from core.outbox.publisher import publish
from core.tenancy import current_tenant_id, tenant_atomic, tenant_scope
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.sms.base import SmsGateway, SmsRefused, SmsReport, SmsRequest
from services.sms.registry import get_sms_gateway

logger = logging.getLogger("faraja.messaging")

Channel = Message.Channel
MAX_TRIES = 2
REPORT_REFUSALS = (NotFound, Malformed)


@tenant_atomic
def queue_message(
    *, channel: str, to: str, text: str, key: str, subject: str = "", secret: str = "", is_repeatable: bool = True
) -> Message:
    """Store a message and have it sent. A second one for the same purpose (`key`) and channel is the first one.

    `secret` (`kind:reference`) names what is put in for `{secret}` in the text while it is being sent; an unknown kind
    raises `KeyError`. `is_repeatable`: may it be sent twice when nobody knows whether the provider took it?
    """
    if secret:
        check_secret(secret)
    message: Message
    message, is_new = Message.objects.get_or_create(
        tenant_id=current_tenant_id(),
        key=key,
        channel=channel,
        defaults={
            "to": to,
            "text": text,
            "subject": subject,
            "secret": secret,
            "is_repeatable": is_repeatable,
        },
    )
    if is_new:
        publish("message.queued", {"message_id": str(message.pk)})
    return message


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is about to be handed over, and the secret that nothing but this moment holds."""

    message: Message
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        return put_in_secret(self.message.text, self.secret) if self.message.secret else self.message.text

    def without_secret(self, told: str) -> str:
        """A provider's words about the message, in case they repeat it."""
        return told.replace(self.secret, MASK) if self.secret else told


def send_message(*, message_id: UUID) -> None:
    """Hand one message to its provider, or find out that this was done already."""
    claim = _claim(message_id=message_id)
    if claim is None:
        return
    crash_point("message_submitting")
    if claim.message.channel == Channel.EMAIL:
        _send_email(claim)
    else:
        _send_sms(claim)


def _send_sms(claim: Claim) -> None:
    message = claim.message
    gateway = get_sms_gateway(message.provider)
    request = SmsRequest(key=message.pk.hex, phone=message.to, text=claim.text)
    try:
        result = gateway.send(request)
    except GatewayUnavailable:
        _release(message_id=message.pk)
        raise
    except OutcomeUnknown:
        _mark_uncertain(message_id=message.pk)
        return
    except SmsRefused as refusal:
        logger.error("sms refused", extra={"provider": message.provider, "reason": refusal.code})
        _finish(message_id=message.pk, status=Status.FAILED, error=claim.without_secret(str(refusal)))
        return
    crash_point("sms_accepted")
    _finish(message_id=message.pk, status=Status.SENT, provider_reference=result.provider_reference)


def _send_email(claim: Claim) -> None:
    """E-mail has no report to wait for: a crash may repeat it, with the same Message-ID, and never loses it."""
    message = claim.message
    email = EmailMessage(message.subject, claim.text, to=[message.to], headers={"Message-ID": f"<{message.pk}@faraja>"})
    email.send()
    crash_point("email_accepted")
    _finish(message_id=message.pk, status=Status.SENT)


@tenant_atomic
def _claim(*, message_id: UUID) -> Claim | None:
    """Commit *submitting* before the wire is touched; None when there is nothing (more) to hand over."""
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    if message.status == Status.SUBMITTING and message.channel == Channel.SMS:
        _wait_for_report(message)  # whoever claimed it died: the text may be out
        return None
    if message.status not in {Status.QUEUED, Status.SUBMITTING}:
        return None
    # Before the status: what fails in here has sent nothing, so it may simply be tried again.
    secret = find_secret(message.secret) if message.secret else ""
    if secret is None:
        message.status, message.error = Status.EXPIRED, "What it was to tell is no longer good: not sent."
        message.save()
        return None
    message.status = Status.SUBMITTING
    message.tries += 1
    message.provider = _provider_for(message)
    message.save()
    if message.channel == Channel.SMS:
        MessageReference.objects.get_or_create(
            provider=message.provider,
            key=message.pk.hex,
            defaults={"tenant_id": message.tenant_id, "message_id": message.pk},
        )
    return Claim(message, secret)


def _provider_for(message: Message) -> str:
    if message.channel == Channel.EMAIL:
        return "email"
    code = next(iter(settings.SMS_GATEWAYS), None)
    if code is None:
        raise NotFound("No SMS gateway is configured.")
    return str(code)


@tenant_atomic
def _release(*, message_id: UUID) -> None:
    """Nothing was sent: back into the queue."""
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    if message.status == Status.SUBMITTING:
        message.status = Status.QUEUED
        message.tries -= 1
        message.save()


@tenant_atomic
def _finish(*, message_id: UUID, status: str, provider_reference: str = "", error: str = "") -> None:
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    message.status = further(message.status, status)  # a report may have overtaken the answer
    message.provider_reference = provider_reference or message.provider_reference
    message.error = error[:300]
    message.sent_at = message.sent_at or (timezone.now() if status == Status.SENT else None)
    message.save()


@tenant_atomic
def _mark_uncertain(*, message_id: UUID) -> None:
    _wait_for_report(Message.objects.select_for_update().get(pk=message_id))


def _wait_for_report(message: Message) -> None:
    if message.status == Status.SUBMITTING:
        message.status = Status.UNCERTAIN
        message.save()
        wait = timedelta(seconds=settings.SMS_CONFIRM_SECONDS)
        publish("message.uncertain", {"message_id": str(message.pk)}, delay=wait)


@tenant_atomic
def resolve_uncertain(*, message_id: UUID) -> None:
    """No report has come in time: send a text once more, or leave it be.

    After the second try it is an operator's. A code is not sent twice at all: whoever misses it asks for another.
    """
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    if message.status != Status.UNCERTAIN or not message.is_repeatable:
        return
    if message.tries >= MAX_TRIES:
        logger.error("sms stays uncertain", extra={"message_id": str(message.pk)})
        return
    message.status = Status.QUEUED
    message.save()
    publish("message.queued", {"message_id": str(message.pk)})


def receive_report(*, gateway: str, token: str, body: bytes, headers: Mapping[str, str]) -> Mapping[str, Any]:
    """Take one delivery report; returns what the provider wants to hear.

    Raises `NotFound` for an address that was never given out and `Malformed` for junk. A report about a message that
    nobody knows is acknowledged and dropped: the answer must not tell which messages exist.
    """
    config = settings.SMS_GATEWAYS.get(gateway)
    if config is None or not hmac.compare_digest(config["CALLBACK_TOKEN"].encode(), token.encode()):
        raise NotFound
    adapter: SmsGateway = get_sms_gateway(gateway)
    report = adapter.parse_report(Delivery(body=body, headers=headers))
    route = find_message_reference(provider=gateway, key=report.key)
    if route is not None:
        with tenant_scope(route.tenant_id):
            _record_report(message_id=route.message_id, report=report)
    return adapter.report_receipt(report)


@tenant_atomic
def _record_report(*, message_id: UUID, report: SmsReport) -> None:
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    if message.provider_reference and report.provider_reference != message.provider_reference:
        return  # about another text of ours, or made up
    known = {"message": message, "provider_reference": report.provider_reference, "raw_status": report.raw_status}
    if DeliveryReport.objects.filter(**known).exists():
        return
    DeliveryReport.objects.create(**known)
    # Any report proves that the provider took the text, even in a word we do not know.
    message.status = further(further(message.status, Status.SENT), report.status or Status.SENT)
    message.provider_reference = report.provider_reference
    message.raw_status = report.raw_status[:50]
    message.sent_at = message.sent_at or timezone.now()
    message.save()
