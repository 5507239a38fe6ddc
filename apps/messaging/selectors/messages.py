"""Questions about messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.messaging.models.messages import Message, MessageReference, MessageTry
from apps.messaging.progress import HistoryEvent, MessageStatus
from apps.tenants.selectors.tenants import list_open_tenant_ids
from core.exceptions import NotFound
from core.personal_data import Subject
from core.tenancy import tenant_scope, tenant_transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One thing that happened to a message, in our words: what a provider said itself is for operators.

    `tried`: `outcome` is that of a try at `provider`, `reason` why it was refused. `reported`: `status` is what the
    provider says became of it, None for a word we do not know. `repeated`: it was sent again, as `message_id`.
    """

    at: datetime
    event: HistoryEvent
    provider: str = ""
    outcome: str | None = None
    reason: str = ""
    status: str | None = None
    message_id: UUID | None = None


def list_messages(
    *,
    channel: str | None = None,
    status: str | None = None,
    kind: str | None = None,
    to: str | None = None,
    key: str | None = None,
    created_from: datetime | None = None,
    created_until: datetime | None = None,
) -> QuerySet[Message]:
    """Messages of the current tenant, newest first. `to` and `key` as they are stored."""
    messages: QuerySet[Message] = Message.objects.order_by("-created_at", "-pk")
    exact = {"channel": channel, "status": status, "kind": kind, "to": to, "key": key}
    messages = messages.filter(**{name: value for name, value in exact.items() if value is not None})
    if created_from is not None:
        messages = messages.filter(created_at__gte=created_from)
    if created_until is not None:
        messages = messages.filter(created_at__lt=created_until)
    return messages


def get_message(*, message_id: UUID) -> Message:
    """One message of the current tenant, or `NotFound`."""
    message: Message | None = Message.objects.filter(pk=message_id).first()
    if message is None:
        raise NotFound
    return message


def list_history(*, message: Message) -> list[HistoryEntry]:
    """What happened to a message of the current tenant, oldest first. Three queries."""
    return sorted(_history(message), key=attrgetter("at"))


def _history(message: Message) -> Iterator[HistoryEntry]:
    is_wanted = message.status != MessageStatus.SUPPRESSED
    yield HistoryEntry(at=message.created_at, event=HistoryEvent.QUEUED if is_wanted else HistoryEvent.SUPPRESSED)
    for attempt in message.attempts.order_by("number"):
        reason = attempt.reason if attempt.outcome == MessageTry.Outcome.REFUSED else ""
        yield HistoryEntry(
            at=attempt.started_at,
            event=HistoryEvent.TRIED,
            provider=attempt.provider,
            outcome=attempt.outcome,
            reason=reason,
        )
    for report in message.reports.order_by("received_at", "pk"):
        yield HistoryEntry(
            at=report.received_at,
            event=HistoryEvent.REPORTED,
            provider=report.provider,
            status=report.status or None,
        )
    for other in message.repetitions.order_by("created_at", "pk"):
        yield HistoryEntry(at=other.created_at, event=HistoryEvent.REPEATED, message_id=other.pk)


def find_message_reference(*, provider: str, key: str, provider_reference: str = "") -> MessageReference | None:
    """Whose message a provider's report is about: by our key, or where it brings none by the provider's own name.

    Needs no tenant.
    """
    rows = MessageReference.objects.filter(provider=provider)
    if key:
        return rows.filter(key=key).first()
    return rows.filter(provider_reference=provider_reference).order_by("-pk").first() if provider_reference else None


def export_messages(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Messages to a person from the tenants they belong to. Without the text: it may hold a link that opens things."""
    found: list[dict[str, Any]] = []
    for tenant_id in list_open_tenant_ids(user_id=subject.id):
        with tenant_scope(tenant_id), tenant_transaction():
            rows = Message.objects.filter(to__in=subject.addresses).order_by("-created_at", "-pk")
            columns = ("id", "tenant_id", "channel", "to", "subject", "status", "created_at", "sent_at")
            found += rows.values(*columns)[: limit - len(found)]
    return found
