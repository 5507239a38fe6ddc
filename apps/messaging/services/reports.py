"""What providers say became of a text, by callback or when asked: every order and number of reports ends the same.

The status of a message is the furthest one that anybody has reported, so neither order nor repetition matters, and no
clock decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from uuid import UUID

from django.utils import timezone

from apps.messaging.models.messages import DeliveryReport, EarlyReport, Message, MessageReference, MessageTry
from apps.messaging.progress import ORDER, further
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.selectors.messages import find_message_reference
from apps.messaging.services.consent import Source, record_opt_out
from apps.messaging.services.outcomes import MAYBE_OUT, accepted, name_reference, note_out
from core.locks import lock_name
from core.purge import delete_in_batches
from core.tenancy import tenant_atomic, tenant_scope, tenant_transaction
from services.sms.base import MessageStatus as Told
from services.sms.base import SmsReport

Outcome = MessageTry.Outcome
KEEP_EARLY = timedelta(days=1)


def hear_report(*, provider: str, report: SmsReport) -> None:
    """Find the text that a report is about, in whichever room, and move it forward.

    One about a text that nobody knows is dropped, or kept for a day when it may only be too early: the provider's own
    name for a text is known once it has answered.
    """
    with tenant_transaction():
        _lock_reference(provider, report.provider_reference)
        route = _find(provider, report)
        if route is None:
            _keep(provider, report)
            return
        with tenant_scope(route.tenant_id):
            record_report(message_id=route.message_id, provider=provider, report=report)


@tenant_atomic
def record_report(*, message_id: UUID, provider: str, report: SmsReport) -> None:
    """Write a report down, once, and move its message forward. Ignores one about a text that we never handed over."""
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    if not _is_about(message, provider, report.provider_reference):
        return
    known = {
        "provider": provider,
        "provider_reference": report.provider_reference,
        "raw_status": report.raw_status[:50],
    }
    told = {"status": report.status or "", "detail": report.detail[:300], "tenant_id": message.tenant_id}
    _row, is_new = message.reports.get_or_create(**known, defaults=told)
    if is_new:
        _move(message, report)
        if report.is_opt_out:
            record_opt_out(channel=message.channel, to=message.to, source=Source.PROVIDER)


@tenant_atomic
def accept_text(*, attempt: MessageTry, provider_reference: str) -> None:
    """The provider took the text; what it has reported under that name already is heard now."""
    _lock_reference(attempt.provider, provider_reference)
    accepted(attempt=attempt, provider_reference=provider_reference)
    if not provider_reference:
        return
    early = EarlyReport.objects.filter(provider=attempt.provider, provider_reference=provider_reference)
    for each in early:
        report = SmsReport(
            key="",
            provider_reference=provider_reference,
            phone="",
            status=Told(each.status) if each.status else None,
            raw_status=each.raw_status,
            detail=each.detail,
        )
        record_report(message_id=attempt.message_id, provider=attempt.provider, report=report)
    early.delete()


def purge_early_reports() -> None:
    """Forget reports that no text has claimed within a day."""
    delete_in_batches(EarlyReport.objects.filter(received_at__lt=timezone.now() - KEEP_EARLY))


def _lock_reference(provider: str, provider_reference: str) -> None:
    """An answer that brings a name and a report that uses it: one after the other."""
    if provider_reference:
        lock_name(f"sms-reference:{provider}:{provider_reference}")


def _find(provider: str, report: SmsReport) -> MessageReference | None:
    found = find_message_reference(provider=provider, key=report.key, provider_reference=report.provider_reference)
    return found


def _keep(provider: str, report: SmsReport) -> None:
    if report.key or not report.provider_reference:
        return  # our key is known before the provider is called
    row = EarlyReport(
        provider=provider,
        provider_reference=report.provider_reference[:100],
        status=report.status or "",
        raw_status=report.raw_status[:50],
        detail=report.detail[:300],
    )
    EarlyReport.objects.bulk_create([row], ignore_conflicts=True)


def _is_about(message: Message, provider: str, provider_reference: str) -> bool:
    """Whether a try at `provider` may be what is meant: it bears that name, or has none yet."""
    tries = list(message.attempts.filter(provider=provider, outcome__in=[*MAYBE_OUT, Outcome.ACCEPTED]))
    nameless = [each for each in tries if not each.provider_reference]
    if not provider_reference or any(each.provider_reference == provider_reference for each in tries):
        return bool(tries)
    if not nameless:
        return False  # another text of ours, or made up
    nameless[-1].provider_reference = provider_reference
    nameless[-1].save(update_fields=["provider_reference"])
    name_reference(message, provider, provider_reference)
    message.provider_reference = message.provider_reference or provider_reference
    return True


def _move(message: Message, report: SmsReport) -> None:
    # Any report proves that the provider took the text, even in a word we do not know.
    message.status = further(further(message.status, Status.SENT), report.status or Status.SENT)
    message.raw_status = _decisive(message.reports.all()).raw_status
    message.sent_at = message.sent_at or timezone.now()
    if report.status == Told.DELIVERED:
        message.delivered_at = message.delivered_at or timezone.now()
    note_out(message)
    message.save()


def _decisive(reports: Iterable[DeliveryReport]) -> DeliveryReport:
    """The report whose status the message has; of several, one that does not depend on their order."""
    return max(reports, key=lambda each: (ORDER[Status(each.status)] if each.status else -1, each.raw_status))
