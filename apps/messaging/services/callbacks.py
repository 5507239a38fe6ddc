"""Use cases for what providers report: take it, and move the message forward."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.messaging.models.messages import DeliveryReport, Message
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.progress import further
from apps.messaging.selectors import find_message_reference
from core.exceptions import Malformed, NotFound
from core.tenancy import tenant_atomic, tenant_scope
from services.http import Delivery
from services.sms.base import SmsCallbackRejected, SmsGateway, SmsReport
from services.sms.registry import get_sms_gateway

CALLBACK_REFUSALS = (NotFound, SmsCallbackRejected, Malformed)


def receive_callback(
    *, gateway: str, token: str, body: bytes, headers: Mapping[str, str], url: str
) -> Mapping[str, Any]:
    """Take what a provider reports; returns what it wants to hear.

    Raises `NotFound` for an address that was never given out, `SmsCallbackRejected` for a delivery that is not the
    provider's and `Malformed` for junk. A report about a message that
    nobody knows is acknowledged and dropped: the answer must not tell which messages exist.
    """
    news = _gateway_at(gateway, token).read_callback(Delivery(body=body, headers=headers, url=url))
    for report in news.reports:
        route = find_message_reference(provider=gateway, key=report.key)
        if route is not None:
            with tenant_scope(route.tenant_id):
                _record_report(message_id=route.message_id, report=report)
    return news.answer


def permit_callbacks(*, gateway: str, token: str, headers: Mapping[str, str]) -> Mapping[str, str]:
    """The headers for a provider that asks whether it may report here; empty when it is not one that asks.

    Raises `NotFound` for an address that was never given out.
    """
    return _gateway_at(gateway, token).permit(headers)


def _gateway_at(gateway: str, token: str) -> SmsGateway:
    config = settings.SMS_GATEWAYS.get(gateway)
    if config is None or not hmac.compare_digest(config["CALLBACK_TOKEN"].encode(), token.encode()):
        raise NotFound
    return get_sms_gateway(gateway)


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
