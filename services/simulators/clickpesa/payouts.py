"""ClickPesa's payouts to mobile money and to banks (section 4).

The last three digits of the phone or account that gets the money choose what happens, as for a push: 101 fails.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.calls import iso_time
from services.simulators.clickpesa.wire import (
    CUSTOMER,
    DECIMALS,
    PREFIX,
    PROVIDER,
    as_number,
    channel_of,
    check_phone,
    check_reference,
    check_signature,
    read_body,
    read_cut,
    read_period,
    refuse,
    refuse_fields,
    refuse_used,
    require_token,
    trouble,
    with_decimals,
)
from services.simulators.config import Config
from services.simulators.ledger.ids import new_id
from services.simulators.ledger.transfers import Transfer, TransferKind, TransferState
from services.simulators.play import Play
from services.simulators.world import JSON, World

MOBILE, BANK = "MOBILE MONEY", "BANK TRANSFER"
FEES = {(MOBILE, "TZS"): 50, (BANK, "TZS"): 2360, (MOBILE, "USD"): 5, (BANK, "USD"): 500}  # invented
PROVIDERS = {
    "M-PESA": "MPESA TANZANIA",
    "TIGO-PESA": "TIGO PESA",
    "AIRTEL-MONEY": "AIRTEL MONEY",
    "HALOPESA": "HALOPESA",
}
BANKS = {
    "CORUTZTZ": "CRDB Bank PLC",
    "NMIBTZTZ": "National Microfinance Bank PLC",
    "NLCBTZTX": "National Bank of Commerce Limited",
    "SBICTZTX": "Stanbic Bank Tanzania Limited",
    "EQBLTZTZ": "Equity Bank Tanzania Limited",
}
STATUS = {
    TransferState.SENT: "SUCCESS",
    TransferState.FAILED: "FAILED",
    TransferState.REFUNDED: "REFUNDED",
    TransferState.REVERSED: "REVERSED",
}


def status_of(transfer: Transfer, now: float) -> str:
    """AUTHORIZED at first, PROCESSING halfway, then its end."""
    if transfer.state(now) is not TransferState.OPEN:
        return STATUS[transfer.outcome]
    return "AUTHORIZED" if now < (transfer.created_at + transfer.ends_at) / 2 else "PROCESSING"


# What is asked for


def read_mobile(body: dict[str, Any], *, is_preview: bool) -> dict[str, Any]:
    phone = check_phone(body.get("phoneNumber"))
    return {
        "channel": MOBILE,
        "channelProvider": PROVIDERS[channel_of(phone)],
        "accountNumber": phone,
        "accountName": CUSTOMER["customerName"].upper(),
    }


def read_bank(body: dict[str, Any], *, is_preview: bool) -> dict[str, Any]:
    """The wordings are unconfirmed. Which `transferType` is used is ClickPesa's choice by now."""
    number, name, bic = body.get("accountNumber"), body.get("accountName"), body.get("bic")
    if not isinstance(number, str) or not number.isascii() or not number.isalnum():
        raise refuse_fields("accountNumber must be a string")
    if not is_preview and (not isinstance(name, str) or not name.strip()):
        raise refuse_fields("accountName is required")
    if not isinstance(bic, str) or bic not in BANKS:
        raise refuse(400, "Invalid BIC")
    if body.get("accountCurrency", "TZS") != "TZS":
        raise refuse_fields("accountCurrency must be TZS")
    return {
        "channel": BANK,
        "channelProvider": BANKS[bic],
        "accountNumber": number,
        "accountName": name if isinstance(name, str) else CUSTOMER["customerName"].upper(),
        "transferType": body.get("transferType") if body.get("transferType") in ("ACH", "RTGS") else "ACH",
    }


def read_amount(body: dict[str, Any]) -> tuple[int, str]:
    """A number here, where collections take text. The wordings are unconfirmed."""
    amount, currency = body.get("amount"), body.get("currency")
    if currency not in DECIMALS:
        raise refuse_fields("currency must be one of the following values: TZS, USD")
    if isinstance(amount, bool) or not isinstance(amount, int | float):
        raise refuse_fields("amount must be a number conforming to the specified constraints")
    scaled = amount * 10 ** DECIMALS[currency]
    smallest = round(scaled) if math.isfinite(scaled) else 0
    if abs(scaled - smallest) > 1e-6 or not 0 < smallest < 10**12:
        raise refuse_fields("amount must be a positive number")
    return smallest, currency


def with_balance(world: World, amount: int, fee: int, currency: str) -> int:
    """The account's balance. Raises a refusal when it is too small."""
    balance = till.balance(world, PROVIDER, currency)
    if balance < amount + fee:
        raise refuse(400, "Insufficient balance")  # the documented text goes on; with what is unconfirmed
    return balance


# Calls


def previewing(read: Any) -> Any:
    async def preview(request: Request) -> Response:
        """POST /payouts/preview-...: what it would cost. Does not consume the reference."""
        world = require_token(request)
        body = await read_body(request)
        check_signature(world.config, body)
        amount, currency = read_amount(body)
        reference, to = check_reference(body.get("orderReference")), read(body, is_preview=True)
        fee = FEES[to["channel"], currency]
        balance = with_balance(world, amount, fee, currency)

        async def accept() -> Response:
            return JSON(
                {
                    "amount": as_number(amount + fee, currency),
                    "balance": as_number(balance, currency),
                    "channelProvider": to["channelProvider"],
                    "fee": as_number(fee, currency),
                    "exchanged": False,
                    "order": {"amount": as_number(amount, currency), "currency": currency, "id": reference},
                    "payoutFeeBearer": "merchant",
                    "receiver": {"accountName": to["accountName"], "accountNumber": to["accountNumber"]},
                }
            )

        play = Play.begin(world, PROVIDER, "preview", reference=reference, only_asks=True)
        return await play.answer(accept, trouble)

    return preview


def creating(read: Any) -> Any:
    async def create(request: Request) -> Response:
        """POST /payouts/create-...: the reference is the idempotency key; one call in a while, where that is set."""
        world = require_token(request)
        body = await read_body(request)
        check_signature(world.config, body)
        amount, currency = read_amount(body)
        reference, to = check_reference(body.get("orderReference")), read(body, is_preview=False)
        play = Play.begin(world, PROVIDER, "payout", reference=reference, phone=to["accountNumber"])

        async def accept() -> Response:
            if world.ledger.transfers.list_by_reference(PROVIDER, reference, kind=TransferKind.PAYOUT):
                raise refuse_used(reference)
            check_pace(world)
            fee = FEES[to["channel"], currency]
            with_balance(world, amount, fee, currency)
            transfer = play.transfer(
                id=new_id("PAY", 8),
                kind=TransferKind.PAYOUT,
                amount=amount,
                fee=fee,
                currency=currency,
                channel=to["channel"],
                extra=to,
            )
            await play.accept_transfer(transfer)
            return JSON(as_row(world.config, transfer, transfer.created_at))

        return await play.answer(accept, trouble)

    return create


def check_pace(world: World) -> None:
    """One payout a minute since September 2025; the status and the words that say so are unconfirmed."""
    every = world.config.clickpesa_payout_every
    latest = world.ledger.transfers.list_all(PROVIDER, limit=1)
    wait = latest[0].created_at + every - time.time() if latest and every else 0.0
    if wait > 0:
        raise refuse(429, f"Please wait {math.ceil(wait)} seconds before creating another payout")


async def query(request: Request) -> Response:
    """GET /payouts/{orderReference}: an array."""
    world = require_token(request)
    reference = request.path_params["reference"]

    async def accept() -> Response:
        found = world.ledger.transfers.list_by_reference(PROVIDER, reference, kind=TransferKind.PAYOUT)
        if not found:
            raise refuse(404, f"Invalid or missing payout: {reference}")
        return JSON([as_row(world.config, transfer, time.time()) for transfer in found])

    return await Play.begin(world, PROVIDER, "query", reference=reference, only_asks=True).answer(accept, trouble)


async def query_all(request: Request) -> Response:
    """GET /payouts/all, filtered as payments are, also by `transferType`."""
    world = require_token(request)
    asked, now = request.query_params, time.time()
    since, until = read_period(asked)
    wanted = read_cut(asked, ("status", "currency", "channel", "orderReference", "clientId", "transferType"))
    rows = [
        as_row(world.config, transfer, now)
        for transfer in world.ledger.transfers.list_all(PROVIDER)
        if since <= transfer.created_at < until
    ]

    async def accept() -> Response:
        return JSON(wanted.of(rows))

    return await Play.begin(world, PROVIDER, "list", only_asks=True).answer(accept, trouble)


def as_row(config: Config, transfer: Transfer, now: float) -> dict[str, Any]:
    """One payout. Amounts are text with two decimals; `amount` contains the fee, `order` and `beneficiary` do not."""
    to = transfer.extra
    row = {
        "id": transfer.id,
        "createdAt": iso_time(transfer.created_at),
        "updatedAt": iso_time(transfer.changed_at(now)),
        "orderReference": transfer.reference,
        "amount": with_decimals(transfer.amount + transfer.fee, transfer.currency),
        "currency": transfer.currency,
        "fee": with_decimals(transfer.fee, transfer.currency),
        "exchanged": False,
        "status": status_of(transfer, now),
        "channel": transfer.channel,
        "channelProvider": to["channelProvider"],
        "order": {"amount": str(as_number(transfer.amount, transfer.currency)), "currency": transfer.currency},
        "beneficiary": {
            "accountNumber": to["accountNumber"],
            "accountName": to["accountName"],
            "amount": str(as_number(transfer.amount, transfer.currency)),
        },
        "clientId": config.clickpesa_client_id,
    }
    return row | ({"transferType": to["transferType"]} if "transferType" in to else {})


async def list_banks(request: Request) -> Response:
    """GET /list/banks."""
    require_token(request)
    return JSON([{"name": name, "value": name.upper().replace(" ", "_"), "bic": bic} for bic, name in BANKS.items()])


def routes() -> Iterable[Route]:
    payouts = f"{PREFIX}/payouts"
    return [
        Route(f"{payouts}/preview-mobile-money-payout", previewing(read_mobile), methods=["POST"]),
        Route(f"{payouts}/create-mobile-money-payout", creating(read_mobile), methods=["POST"]),
        Route(f"{payouts}/preview-bank-payout", previewing(read_bank), methods=["POST"]),
        Route(f"{payouts}/create-bank-payout", creating(read_bank), methods=["POST"]),
        Route(f"{payouts}/all", query_all, methods=["GET"]),
        Route(f"{payouts}/{{reference}}", query, methods=["GET"]),
        Route(f"{PREFIX}/list/banks", list_banks, methods=["GET"]),
    ]
