"""What became of a try: written down, and the message moved forward by it."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.messaging.kinds import MessageKind
from apps.messaging.models.messages import Message, MessageReference, MessageTry
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.progress import further
from apps.messaging.services.budgets import uncount
from apps.messaging.services.guard import note_sent
from apps.messaging.services.routing import can
from core.outbox.publisher import publish
from core.tenancy import tenant_atomic
from services.sms.base import SmsCapability
from services.sms.numbers import look_up

Outcome = MessageTry.Outcome
MAYBE_OUT: Final = frozenset({Outcome.OPEN, Outcome.UNKNOWN})


@tenant_atomic
def not_taken(*, attempt: MessageTry, outcome: Outcome, reason: str = "", told: str = "") -> None:
    """This try certainly sent nothing: back into the queue, for another provider or another time."""
    message = _end_try(attempt, outcome, reason=reason, told=told)
    if message.status == Status.SUBMITTING:
        message.status, message.error = Status.QUEUED, told[:300]
        message.tries = count_tries(message)
        message.save()


@tenant_atomic
def refused(*, attempt: MessageTry, reason: str, told: str) -> None:
    """No provider will take it: the end."""
    message = _end_try(attempt, Outcome.REFUSED, reason=reason, told=told)
    end(message, status=Status.FAILED, error=told)


@tenant_atomic
def accepted(*, attempt: MessageTry, provider_reference: str = "") -> None:
    """The provider took it. A report may have overtaken this answer; `reports.accept_text` looks for those."""
    message = _end_try(attempt, Outcome.ACCEPTED, provider_reference=provider_reference)
    message.status = further(message.status, Status.SENT)
    message.provider_reference = provider_reference or message.provider_reference
    message.sent_at = message.sent_at or timezone.now()
    note_out(message)
    message.save()
    if message.channel == Message.Channel.SMS:
        name_reference(message, attempt.provider, provider_reference)
        poll_later(message, poll=0)


@tenant_atomic
def unknown(*, attempt: MessageTry) -> None:
    """The provider may have taken it."""
    wait_for_report(_lock(attempt.message_id))


def wait_for_report(message: Message) -> None:
    """Nobody knows whether a text is out: for some time its report is waited for. The caller holds its lock."""
    message.attempts.filter(outcome=Outcome.OPEN).update(outcome=Outcome.UNKNOWN, ended_at=timezone.now())
    if message.status == Status.SUBMITTING:
        message.status = Status.UNCERTAIN
        note_out(message)
        message.save()
        wait = timedelta(seconds=settings.SMS_CONFIRM_SECONDS)
        publish("message.uncertain", {"message_id": str(message.pk)}, delay=wait)


def end(message: Message, *, status: Status, error: str) -> None:
    """It will not be handed over (any more). What was counted is given back unless a try may be out."""
    if not message.attempts.filter(outcome__in=MAYBE_OUT).exists():
        uncount(message)
    message.status, message.error = further(message.status, status), error[:300]
    message.save()


def count_tries(message: Message) -> int:
    """How many tries were, or may have been, taken."""
    return message.attempts.filter(outcome__in=[*MAYBE_OUT, Outcome.ACCEPTED]).count()


def note_out(message: Message) -> None:
    """A message is, or may be, on its way. Does not save it."""
    if message.first_sent_at is not None:
        return
    message.first_sent_at = timezone.now()
    if message.kind == MessageKind.CODE and message.channel == Message.Channel.SMS:
        note_sent(look_up(message.to))


def name_reference(message: Message, provider: str, provider_reference: str) -> None:
    """From now on the provider's own name for the text leads to it."""
    if provider_reference:
        rows = MessageReference.objects.filter(provider=provider, key=message.pk.hex)
        rows.update(provider_reference=provider_reference)


def poll_later(message: Message, *, poll: int) -> bool:
    """Have the provider asked, where it can be; whether there is another question to ask."""
    if poll >= len(settings.SMS_POLL_AFTER) or not can(message.provider, SmsCapability.QUERY):
        return False
    told = {"message_id": str(message.pk), "poll": poll}
    publish("message.poll_due", told, delay=settings.SMS_POLL_AFTER[poll])
    return True


def _end_try(
    attempt: MessageTry, outcome: Outcome, *, reason: str = "", told: str = "", provider_reference: str = ""
) -> Message:
    message = _lock(attempt.message_id)
    attempt.outcome, attempt.ended_at = outcome, timezone.now()
    attempt.reason, attempt.told = reason, told[:300]
    attempt.provider_reference = provider_reference or attempt.provider_reference
    attempt.save(update_fields=["outcome", "ended_at", "reason", "told", "provider_reference"])
    return message


def _lock(message_id: UUID) -> Message:
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    return message
