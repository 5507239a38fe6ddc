"""Use cases for one mail: hand it over, and know it again when its provider reports."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.messaging.models.messages import Message, MessageReference, MessageTry
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.progress import further
from apps.messaging.references import EMAIL, reference_key
from apps.messaging.services.consent import unsubscribe_headers
from apps.messaging.services.email_reports import record_email_report
from apps.messaging.services.outcomes import accepted
from core.outbox.publisher import publish
from core.outbox.relay import RetryLater
from core.tenancy import tenant_atomic
from services.email.base import EmailRefused, EmailRequest, EmailResult
from services.email.registry import get_email_gateway
from services.http import GatewayUnavailable

ASK_AFTER = timedelta(minutes=1)
ASK_UNTIL = timedelta(hours=6)


def email_provider() -> str:
    """Who sends mail, as it stands in the log of messages."""
    return EMAIL + str(settings.EMAIL_PROVIDER)


def hand_over_email(message: Message, *, text: str) -> EmailResult:
    """Give one mail to its provider. Raises `EmailRefused`, `OutcomeUnknown` or `GatewayUnavailable`."""
    request = EmailRequest(
        key=message.pk.hex,
        to=message.to,
        subject=message.subject,
        text=text,
        headers=unsubscribe_headers(to=message.to, kind=message.kind),
        is_repeated=message.tries > 1,
    )
    return get_email_gateway(message.provider.removeprefix(EMAIL)).send(request)


@tenant_atomic
def accept_email(*, attempt: MessageTry, result: EmailResult, told: str) -> None:
    """The provider took the mail; `told` is why it went no further, of one that was found there after a repetition."""
    reference = result.provider_reference
    accepted(attempt=attempt, provider_reference=reference[:100])
    message: Message = Message.objects.select_for_update().get(pk=attempt.message_id)
    message.status = further(message.status, result.status)
    message.error = told[:300] or message.error
    message.save(update_fields=["status", "error", "updated_at"])
    if reference:
        remember_reference(message, provider_reference=reference)


def remember_reference(message: Message, *, provider_reference: str) -> None:
    """Whose mail the provider means by this name. In the caller's transaction."""
    _remember(message, key=reference_key(provider_reference))


def _remember(message: Message, *, key: str) -> None:
    mine = {"tenant_id": message.tenant_id, "message_id": message.pk}
    MessageReference.objects.get_or_create(provider=message.provider, key=key, defaults=mine)


def expect_reports(message: Message) -> None:
    """Before a mail is handed over: know its name where that can be known, and ask about it where one can ask."""
    gateway = get_email_gateway(message.provider.removeprefix(EMAIL))
    if not gateway.reports:
        return
    _remember(message, key=message.pk.hex)
    known = gateway.known_reference(message.pk.hex)
    if known:
        remember_reference(message, provider_reference=known)
    if gateway.can_be_asked and message.tries == 1:
        publish("email.poll_due", {"message_id": str(message.pk)}, delay=ASK_AFTER)


def ask_about_email(*, message_id: UUID) -> None:
    """Ask the provider what became of a mail, for installations that no report reaches. Safe to repeat."""
    message = _find(message_id=message_id)
    if message is None or message.status not in {Status.SUBMITTING, Status.UNCERTAIN, Status.SENT}:
        return
    try:
        report = get_email_gateway(message.provider.removeprefix(EMAIL)).query(message.pk.hex)
    except (GatewayUnavailable, EmailRefused):
        report = None
    if report is not None and not report.is_pending:
        record_email_report(message_id=message.pk, provider=message.provider, report=report)
    elif (age := timezone.now() - message.created_at) < ASK_UNTIL:
        raise RetryLater(max(ASK_AFTER, age / 4))


@tenant_atomic
def _find(*, message_id: UUID) -> Message | None:
    found: Message | None = Message.objects.filter(pk=message_id).first()
    return found
