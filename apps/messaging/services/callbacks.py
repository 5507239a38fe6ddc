"""Use cases for what providers report: take it, and move the message forward."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any

from django.conf import settings

from apps.messaging.channels import Channel
from apps.messaging.services.consent import Source, hear, record_opt_out
from apps.messaging.services.reports import hear_report
from core.exceptions import Malformed, NotFound
from services.http import Delivery
from services.sms.base import SmsCallbackRejected, SmsGateway
from services.sms.registry import get_sms_gateway

CALLBACK_REFUSALS = (NotFound, SmsCallbackRejected, Malformed)


def receive_callback(
    *, gateway: str, token: str, body: bytes, headers: Mapping[str, str], url: str
) -> Mapping[str, Any]:
    """Take what a provider reports; returns what it wants to hear.

    Raises `NotFound` for an address that was never given out, `SmsCallbackRejected` for a delivery that is not the
    provider's and `Malformed` for junk. A report about a message that nobody knows is acknowledged and dropped: the
    answer must not tell which messages exist.
    """
    news = _gateway_at(gateway, token).read_callback(Delivery(body=body, headers=headers, url=url))
    for report in news.reports:
        hear_report(provider=gateway, report=report)
    for text in news.inbound:
        hear(text)
    for phone in news.opted_out:
        record_opt_out(channel=Channel.SMS, to=phone, source=Source.PROVIDER)
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
