"""Beem's payments as the core sees them: the callback, which is not signed (section 2)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable

from starlette.routing import Route

from services.simulators.beem_payments import checkout, payouts
from services.simulators.beem_payments.wire import DECIMALS, PROVIDER, TOKEN_HEADER, with_prefix
from services.simulators.calls import iso_time
from services.simulators.config import Config
from services.simulators.ledger.callbacks import DueCallback, Trust
from services.simulators.ledger.charges import Charge, State
from services.simulators.provider import Notice, PaymentProvider, Signed
from services.simulators.world import World

TOLD = {State.PAID: "success", State.DECLINED: "failed"}


def announce(world: World, charge: Charge) -> list[Notice]:
    """A page that nobody used is announced to nobody."""
    if charge.outcome not in TOLD:
        return []
    kept = world.ledger.documents.get(PROVIDER, "checkout", charge.id) or {}
    body = {
        "amount": str(charge.collected),
        "referenceNumber": with_prefix(world.config.beem_pay, charge.reference),
        "status": TOLD[charge.outcome],
        "timestamp": iso_time(charge.ends_at),
        "transactionID": kept.get("transaction_id", charge.id),
        "msisdn": charge.phone,
    }
    return [Notice(kind=TOLD[charge.outcome], body=body, extra={"secure_token": kept.get("secure_token", "")})]


def sign(config: Config, callback: DueCallback, now: float) -> Signed:
    """All there is against forgers is a header: the request's token, the portal's, or none. Which is unconfirmed."""
    mode = config.beem_pay.token_mode
    token = {"echo": callback.extra.get("secure_token", ""), "global": config.beem_pay.token}.get(mode, "")
    if callback.trust is Trust.WRONGLY_SIGNED:
        token = secrets.token_urlsafe(16)  # a guess
    if not token or callback.trust is Trust.UNSIGNED:
        return Signed(body=callback.body)
    return Signed(body=callback.body, headers={TOKEN_HEADER: token})


def routes() -> Iterable[Route]:
    return [*checkout.routes(), *payouts.routes()]


BEEM_PAY = PaymentProvider(
    code=PROVIDER,
    name="Beem",
    operations=("checkout", "payout", "balance"),
    decimals=DECIMALS,
    routes=routes,
    callback_url=lambda config: config.beem_pay.callback_url,
    announce=announce,
    sign=sign,
    is_received=lambda status: status == 200,
    status=checkout.status_of,
    new_charge_id=checkout.new_charge_id,
    repays=False,
    has_query=False,
)
