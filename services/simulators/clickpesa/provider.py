"""ClickPesa as the core sees it: its webhooks and how they are signed (section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from starlette.routing import Route

from services.simulators import signing
from services.simulators.calls import iso_time
from services.simulators.clickpesa import payments
from services.simulators.clickpesa.wire import DECIMALS, PREFIX, PROVIDER, as_text, generate_token
from services.simulators.config import Config
from services.simulators.ledger.callbacks import DueCallback, Trust
from services.simulators.ledger.charges import Charge, State
from services.simulators.provider import Notice, PaymentProvider, Signed
from services.simulators.world import World


def announce(world: World, charge: Charge) -> list[Notice]:
    """A push that ends unanswered is announced to nobody (unconfirmed); nor is what is returned after it was paid."""
    times = {"updatedAt": iso_time(charge.ends_at), "createdAt": iso_time(charge.created_at)}
    if charge.outcome is State.PAID:
        data: dict[str, Any] = {
            "id": charge.id,
            "status": "SUCCESS",
            "paymentReference": payments.payment_reference(charge),
            "orderReference": charge.reference,
            "collectedAmount": as_text(charge.collected, charge.collected_currency),
            "collectedCurrency": charge.collected_currency,
            "message": "Payment completed",
            "channel": charge.channel,
            **times,
            "customer": payments.customer_of(charge),
            "clientId": world.config.clickpesa_client_id,
        }
        return [Notice(kind="PAYMENT RECEIVED", body={"event": "PAYMENT RECEIVED", "data": data})]
    if charge.outcome is State.DECLINED:
        data = {
            "id": charge.id,
            "status": "FAILED",
            "orderReference": charge.reference,
            "message": "Request declined by the customer",  # wording unconfirmed
            **times,
        }
        # The failure event uses another key, as it was observed.
        return [Notice(kind="PAYMENT FAILED", body={"eventType": "PAYMENT FAILED", "data": data})]
    return []


def sign(config: Config, callback: DueCallback, now: float) -> Signed:
    """The checksum stands in the body, over everything else in it; none when no key is configured."""
    is_forged = callback.trust is Trust.WRONGLY_SIGNED
    key = "a forger does not know the key" if is_forged else config.clickpesa_checksum_key
    if not key or callback.trust is Trust.UNSIGNED:
        return Signed(body=callback.body)
    payload = orjson.loads(callback.body)
    payload |= {"checksum": signing.checksum(key, payload), "checksumMethod": signing.CANONICAL}
    return Signed(body=orjson.dumps(payload))


def routes() -> Iterable[Route]:
    return [Route(f"{PREFIX}/generate-token", generate_token, methods=["POST"]), *payments.routes()]


CLICKPESA = PaymentProvider(
    code=PROVIDER,
    name="ClickPesa",
    operations=("push", "preview", "query", "list"),
    decimals=DECIMALS,
    routes=routes,
    callback_url=lambda config: config.clickpesa_callback_url,
    announce=announce,
    sign=sign,
    status=payments.status_of,
    new_charge_id=payments.new_charge_id,
)
