"""Selcom as the core sees it: its webhook and how that is signed (section 7)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import orjson
from starlette.routing import Route

from services.simulators.config import Config
from services.simulators.ledger.callbacks import DueCallback, Trust
from services.simulators.ledger.charges import Charge, State
from services.simulators.provider import Notice, PaymentProvider, Signed
from services.simulators.selcom import orders, payouts, pushes, signing
from services.simulators.selcom.wire import DECIMALS, LOCAL, PROVIDER, new_reference
from services.simulators.world import World

SIGNED_FIELDS = ("transid", "order_id", "reference", "result", "resultcode", "payment_status")


def announce(world: World, charge: Charge) -> list[Notice]:
    """Told only when an order is paid, to the address that the order named, and to nobody when it named none."""
    if charge.outcome is not State.PAID or not charge.extra.get("webhook"):
        return []
    body = {
        "result": "SUCCESS",
        "resultcode": "000",
        "order_id": charge.reference,
        "transid": orders.transid_of(charge),
        "reference": charge.id,
        "channel": charge.channel,
        "amount": str(charge.collected),
        "phone": charge.phone,
        "payment_status": "COMPLETED",
    }
    return [Notice(kind="COMPLETED", body=body, url=charge.extra["webhook"])]


def webhook_time(now: float) -> str:
    """Year, day, month: as documented, odd as it is."""
    return datetime.fromtimestamp(now, LOCAL).strftime("%Y-%d-%m %H:%M:%S")


def sign(config: Config, callback: DueCallback, now: float) -> Signed:
    """The same digest as for requests. No live webhook was ever seen signed, so a setting can leave it out."""
    selcom = config.selcom
    if callback.trust is Trust.UNSIGNED or not selcom.signs_webhooks:
        return Signed(body=callback.body)
    is_forged = callback.trust is Trust.WRONGLY_SIGNED
    secret = "a forger does not know the secret" if is_forged else selcom.api_secret
    fields = orjson.loads(callback.body)
    headers = signing.headers(selcom.api_key, secret, webhook_time(now), fields, SIGNED_FIELDS)
    return Signed(body=callback.body, headers=headers)


def routes() -> Iterable[Route]:
    return [*orders.routes(), *pushes.routes(), *payouts.routes()]


SELCOM = PaymentProvider(
    code=PROVIDER,
    name="Selcom",
    operations=("order", "push", "query", "list", "cancel", "payout", "preview", "balance"),
    decimals=DECIMALS,
    routes=routes,
    callback_url=lambda config: "",
    callback_tries=lambda config: config.selcom.webhook_tries,
    announce=announce,
    transfer_status=payouts.status_of,
    sign=sign,
    status=orders.status_of,
    new_charge_id=new_reference,
    back_to=orders.back_to,
)
