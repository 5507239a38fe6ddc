"""Use cases for what e-mail providers report: take it, move the message forward, and spare addresses that bounce."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.messaging.models.messages import DeliveryReport, Message, MessageReference
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.progress import further
from apps.messaging.references import EMAIL, reference_key
from apps.messaging.selectors.messages import find_message_reference
from apps.messaging.services.suppression import suppress
from core.exceptions import Malformed, NotFound, Unavailable
from core.tenancy import tenant_atomic, tenant_scope
from services.email.base import EmailCallbackRejected, EmailGateway, EmailReport
from services.email.registry import get_email_gateway
from services.http import Delivery

CALLBACK_REFUSALS = (NotFound, EmailCallbackRejected, Malformed, Unavailable)


def receive_email_callback(
    *, provider: str, token: str, body: bytes, headers: Mapping[str, str], url: str
) -> Mapping[str, Any]:
    """Take what a provider reports about mails; returns what it wants to hear.

    Raises `NotFound` for an address that was never given out, `EmailCallbackRejected` for a delivery that is not the
    provider's, `Malformed` for junk and `Unavailable` when the proof cannot be had just now. A report about a mail
    that nobody knows is acknowledged and dropped: the answer must not tell which messages exist.
    """
    gateway = _gateway_at(provider=provider, token=token)
    news = gateway.read_callback(Delivery(body=body, headers=headers, url=url))
    for report in news.reports:
        route = _find_route(provider=EMAIL + provider, report=report)
        if route is not None:
            with tenant_scope(route.tenant_id):
                record_email_report(message_id=route.message_id, provider=EMAIL + provider, report=report)
    return news.answer


def permit_email_callback(*, provider: str, token: str, headers: Mapping[str, str]) -> dict[str, str]:
    """What to answer a provider that asks by OPTIONS whether its events are wanted. Raises `NotFound`."""
    return _gateway_at(provider=provider, token=token).permission_headers(headers)


def _gateway_at(*, provider: str, token: str) -> EmailGateway:
    """The provider that was given this address. Without a token of its own it was given none."""
    known = settings.EMAIL_PROVIDERS.get(provider, {}).get("CALLBACK_TOKEN", "")
    if not known or not hmac.compare_digest(known.encode(), token.encode()):
        raise NotFound
    return get_email_gateway(provider)


def _find_route(*, provider: str, report: EmailReport) -> MessageReference | None:
    """Whose mail a report is about: by our key where it came back, else by the provider's name for the mail."""
    found = find_message_reference(provider=provider, key=report.key) if report.key else None
    if found is None and report.provider_reference:
        found = find_message_reference(provider=provider, key=reference_key(report.provider_reference))
    return found


@tenant_atomic
def record_email_report(*, message_id: UUID, provider: str, report: EmailReport) -> None:
    """Move a message forward by one report. The same report twice, and in any order, ends the same."""
    message: Message | None = Message.objects.select_for_update().filter(pk=message_id).first()
    if message is None or not _is_about(message, report):
        return
    known = {
        "message": message,
        "provider": provider,
        "provider_reference": report.provider_reference[:100],
        "raw_status": report.raw_status[:50],
    }
    if DeliveryReport.objects.filter(**known).exists():
        return
    DeliveryReport.objects.create(**known, status=report.status or "", detail=report.detail[:300])
    # Any report proves that the provider took the mail, even in a word we do not know.
    message.status = further(further(message.status, Status.SENT), report.status or Status.SENT)
    message.provider_reference = report.provider_reference[:100] or message.provider_reference
    message.raw_status = report.raw_status[:50]
    message.sent_at = message.sent_at or timezone.now()
    message.save()
    if report.suppression is not None:
        suppress(address=message.to, provider=provider, report=report)


def _is_about(message: Message, report: EmailReport) -> bool:
    """Whether the recipient is ours: a forwarder's bounce says nothing about the address that we wrote to."""
    return not report.recipient or _comparable(report.recipient) == _comparable(message.to)


def _comparable(address: str) -> str:
    name, _at, domain = address.strip().lower().rpartition("@")
    try:
        return f"{name}@{domain.encode('idna').decode('ascii')}"
    except UnicodeError:
        return f"{name}@{domain}"
