"""Use cases for messages that go out: hand over, and settle what nobody knows.

A text is handed over at most once on our own initiative. When nobody knows whether the provider took it (a crash, a
lost answer), the delivery report is waited for; only if none comes is a receipt sent once more, and a code never.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.messaging.models.messages import Message, MessageReference
from apps.messaging.placeholders import MASK, find_secret, put_in_secret
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.progress import further
from apps.messaging.selectors.suppression import is_suppressed
from apps.messaging.services.emails import email_provider, expect_reports, hand_over_email, remember_reference
from core.crash import crash_point
from core.exceptions import NotFound
from core.outbox.publisher import publish
from core.tenancy import tenant_atomic
from services.email.base import EmailRefused
from services.http import GatewayUnavailable, OutcomeUnknown
from services.sms.base import SmsRefused, SmsRequest
from services.sms.registry import get_sms_gateway

logger = logging.getLogger("faraja.messaging")

Channel = Message.Channel
MAX_TRIES = 2


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
    """A mail is repeated with the same Message-ID: after a crash at once, after silence when no report has come."""
    message = claim.message
    try:
        result = hand_over_email(message, text=claim.text)
    except GatewayUnavailable:
        _release(message_id=message.pk)
        raise
    except OutcomeUnknown:
        _mark_uncertain(message_id=message.pk)
        return
    except EmailRefused as refusal:
        logger.error("email refused", extra={"provider": message.provider, "reason": refusal.reason.value})
        _finish(message_id=message.pk, status=Status.FAILED, error=claim.without_secret(str(refusal)))
        return
    crash_point("email_accepted")
    reference, told = result.provider_reference, claim.without_secret(result.detail)
    _finish(message_id=message.pk, status=result.status, provider_reference=reference, error=told)


@tenant_atomic
def _claim(*, message_id: UUID) -> Claim | None:
    """Commit *submitting* before the wire is touched; None when there is nothing (more) to hand over."""
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    if message.status == Status.SUBMITTING and message.channel == Channel.SMS:
        _wait_for_report(message)  # whoever claimed it died: the text may be out
        return None
    if message.status not in {Status.QUEUED, Status.SUBMITTING}:
        return None
    if message.channel == Channel.EMAIL and is_suppressed(address=message.to):
        message.status, message.error = Status.SUPPRESSED, "The address bounces, or complained: not sent."
        message.save()
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
    if message.channel == Channel.EMAIL:
        expect_reports(message)
    else:
        MessageReference.objects.get_or_create(
            provider=message.provider,
            key=message.pk.hex,
            defaults={"tenant_id": message.tenant_id, "message_id": message.pk},
        )
    return Claim(message, secret)


def _provider_for(message: Message) -> str:
    if message.channel == Channel.EMAIL:
        return email_provider()
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
    message.provider_reference = provider_reference[:100] or message.provider_reference
    message.error = error[:300]
    message.sent_at = message.sent_at or (timezone.now() if status == Status.SENT else None)
    message.save()
    if message.channel == Channel.EMAIL and provider_reference:
        remember_reference(message, provider_reference=provider_reference)


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
