"""ClickPesa as the core sees it: its webhooks and how they are signed (section 5)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson
from starlette.routing import Route

from services.simulators import signing
from services.simulators.calls import iso_time
from services.simulators.clickpesa import account, pages, payments, payouts
from services.simulators.clickpesa.wire import DECIMALS, PREFIX, PROVIDER, as_text, generate_token
from services.simulators.config import Config
from services.simulators.ledger.callbacks import DueCallback, Trust
from services.simulators.ledger.charges import Charge, State
from services.simulators.ledger.transfers import Transfer, TransferState
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


RETURNED = {
    TransferState.REFUNDED: ("PAYOUT REFUNDED", "refund", "refundedAt"),
    TransferState.REVERSED: ("PAYOUT REVERSED", "reverse", "reversedAt"),
}


def announce_payout(world: World, transfer: Transfer) -> list[Notice]:
    """Told when it begins and when the money comes back; no event for its success or failure is documented."""
    started = webhook_row(payouts.as_row(world.config, transfer, transfer.created_at))
    told = [Notice(kind="PAYOUT INITIATED", body={"event": "PAYOUT INITIATED", "data": started}, at_start=True)]
    if transfer.outcome not in RETURNED:
        return told
    event, name, moment = RETURNED[transfer.outcome]
    returned = webhook_row(payouts.as_row(world.config, transfer, transfer.ends_at))
    why: dict[str, Any] = {"message": "Returned by the provider", moment: returned["updatedAt"]}
    if transfer.outcome is TransferState.REVERSED:
        why["reversedWithFee"] = True
    return [*told, Notice(kind=event, body={"event": event, "data": {**returned, name: why}})]


def webhook_row(row: dict[str, Any]) -> dict[str, Any]:
    """The fields of a payout that its webhooks carry."""
    beneficiary = {name: row["beneficiary"][name] for name in ("accountNumber", "accountName")}
    left_out = ("order", "exchanged", "clientId")
    return {name: value for name, value in row.items() if name not in left_out} | {"beneficiary": beneficiary}


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
    token = Route(f"{PREFIX}/generate-token", generate_token, methods=["POST"])
    # Pages before payments, whose last path takes anything for a reference.
    return [token, *pages.routes(), *payments.routes(), *payouts.routes(), *account.routes()]


CLICKPESA = PaymentProvider(
    code=PROVIDER,
    name="ClickPesa",
    operations=("push", "checkout", "card", "payout", "preview", "query", "list", "balance"),
    decimals=DECIMALS,
    routes=routes,
    callback_url=lambda config: config.clickpesa_callback_url,
    announce=announce,
    announce_transfer=announce_payout,
    transfer_status=payouts.status_of,
    sign=sign,
    status=payments.status_of,
    new_charge_id=payments.new_charge_id,
)
