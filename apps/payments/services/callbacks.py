"""Use cases for gateway callbacks: store first, acknowledge, then process.

The gateway gets its 200 only after the exact bytes are committed; from then on the outbox sees to it that they are
processed. Callbacks that are not signed are hints: they make us ask, and the answer is what counts.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.payments import Observation
from apps.payments.selectors.references import find_gateway_reference
from apps.payments.services.attempts import ask_gateway, record_charge
from core.crash import crash_point
from core.exceptions import NotFound
from core.outbox.publisher import publish
from core.outbox.relay import RetryLater
from core.tenancy import tenant_scope, tenant_transaction
from services.http import Delivery
from services.payments.base import ChargeResult, GatewayEvent, Trust, WebhookRejected
from services.payments.registry import get_gateway

CALLBACK_REFUSALS = (NotFound, WebhookRejected)
KEPT_HEADERS = ("content-type", "user-agent")
ORPHAN_AFTER = timedelta(hours=24)


def receive_callback(*, gateway: str, token: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Verify and store one callback: its exact bytes, and its headers by lower-case names.

    Raises `NotFound` for an address that was never given out, `WebhookRejected` for a forgery. The same news again is
    counted and changes nothing.
    """
    config = settings.PAYMENT_GATEWAYS.get(gateway)
    if config is None or not hmac.compare_digest(config["CALLBACK_TOKEN"].encode(), token.encode()):
        raise NotFound
    delivery = Delivery(body=body, headers=headers)
    events = get_gateway(gateway).read_webhook(delivery)
    with tenant_transaction():
        stored, is_new = InboxDelivery.objects.get_or_create(
            gateway=gateway,
            event_key=_key_of(events, delivery),
            defaults={
                "body": delivery.body,
                "headers": {name: delivery.headers[name] for name in KEPT_HEADERS if name in delivery.headers},
            },
        )
        if is_new:
            publish("gateway.callback_received", {"delivery_id": str(stored.pk)})
        else:
            InboxDelivery.objects.filter(pk=stored.pk).update(seen=F("seen") + 1)
    crash_point("inbox_committed")


def process_callback(*, delivery_id: UUID) -> None:
    """Act on one stored callback. Safe to repeat: news that is known already changes nothing."""
    stored = InboxDelivery.objects.get(pk=delivery_id)
    if stored.processed_at is not None:
        return
    gateway = get_gateway(stored.gateway)
    outcome = "not about a payment"
    for event in gateway.parse(Delivery(body=bytes(stored.body), headers=stored.headers)):
        route = find_gateway_reference(gateway=stored.gateway, reference=event.reference)
        if not isinstance(event.result, ChargeResult):
            continue
        if route is None:
            outcome = _wait_for_owner(stored)
            continue
        with tenant_scope(route.tenant_id):
            if gateway.trust is Trust.SIGNED:
                record_charge(attempt_id=route.subject_id, source=Observation.Source.WEBHOOK, result=event.result)
                outcome = "recorded"
            else:
                ask_gateway(attempt_id=route.subject_id)
                outcome = "asked the gateway"
    InboxDelivery.objects.filter(pk=delivery_id).update(processed_at=timezone.now(), outcome=outcome)


def _key_of(events: list[GatewayEvent], delivery: Delivery) -> str:
    """Equal for repetitions of the same news; the bytes themselves where there is no payment news in them."""
    told = "\n".join(event.key for event in events).encode() if events else delivery.body
    return hashlib.sha256(told).hexdigest()


def _wait_for_owner(stored: InboxDelivery) -> str:
    """A reference nobody knows: look again for a day, at growing intervals, then call it an orphan."""
    age = timezone.now() - stored.received_at
    if age > ORPHAN_AFTER:
        return "orphan"
    raise RetryLater(min(max(age, timedelta(seconds=1)), timedelta(hours=1)))
