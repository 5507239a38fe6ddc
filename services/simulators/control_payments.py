"""The ledger of payments for people and tests: charges, transfers, balances."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.calls import iso_time
from services.simulators.control import PREFIX, provider_called, read_natural
from services.simulators.ledger.charges import NEVER, Charge, State
from services.simulators.ledger.records import ChargeRecord
from services.simulators.ledger.transfers import Transfer
from services.simulators.world import JSON, World, world_of

CLICKPESA_ONLY = "clickpesa"


# See


async def list_charges(request: Request) -> Response:
    """Every charge and every reference submitted, with `?provider=`, `?reference=`; `?limit=` the newest few first."""
    world = world_of(request)
    provider = request.query_params.get("provider")
    if provider is not None:
        provider_called(world, provider)
    return JSON({"charges": charges_as_data(world, request, provider)})


async def list_clickpesa_charges(request: Request) -> Response:
    """The same for ClickPesa alone, at its older address."""
    return JSON({"charges": charges_as_data(world_of(request), request, CLICKPESA_ONLY)})


def charges_as_data(world: World, request: Request, provider: str | None) -> list[dict[str, Any]]:
    now = time.time()
    limit = read_natural(request, "limit", -1)
    records = world.ledger.records.list_all(
        now=now,
        provider=provider,
        reference=request.query_params.get("reference"),
        limit=None if limit < 0 else limit,
    )
    return [record_as_data(world, record, now) for record in records]


def record_as_data(world: World, record: ChargeRecord, now: float) -> dict[str, Any]:
    """`submitted` counts the calls that tried to start it, `pushes` those that were accepted, `captured` (its older
    name: `accepted`) how often money was really taken, `collected` how much. `status` is the provider's word for it.
    """
    charge = record.charge
    data: dict[str, Any] = {
        "provider": record.provider,
        "reference": record.reference,
        "id": None,
        "kind": None,
        "scenario": None,
        "state": None,
        "status": None,
        "phone": record.phone,
        "amount": int(record.amount) if record.amount.isascii() and record.amount.isdigit() else None,
        "collected": record.captured_amount,
        "currency": None,
        "collected_currency": None,
        "decimals": 0,
        "submitted": record.submitted,
        "pushes": 0,
        "accepted": record.captured,
        "captured": record.captured,
        "callbacks_sent": record.callbacks_sent,
        "callbacks_acknowledged": record.callbacks_acknowledged,
        "is_waiting": False,
        "is_dropped": False,
        "created_at": None,
        "ends_at": None,
        "extra": {},
    }
    if charge is None:
        return data
    provider = world.providers[record.provider]
    return data | {
        "id": charge.id,
        "kind": charge.kind,
        "scenario": charge.scenario,
        "state": charge.state(now),
        "status": provider.status(charge, now),
        "phone": charge.phone,
        "amount": charge.amount,
        "currency": charge.currency,
        "collected_currency": charge.collected_currency,
        "decimals": provider.decimals.get(charge.currency, 2),
        "pushes": 1,
        "is_waiting": charge.is_waiting and charge.state(now) is State.OPEN,
        "is_dropped": charge.is_dropped,
        "created_at": iso_time(charge.created_at),
        "ends_at": iso_time(charge.ends_at) if charge.ends_at < NEVER else None,
        "extra": charge.extra,
    }


async def list_waiting(request: Request) -> Response:
    """What a person can decide now, oldest first."""
    world, now = world_of(request), time.time()
    waiting = world.ledger.charges.list_waiting(now)
    return JSON({"charges": [charge_as_data(world, charge, now) for charge in waiting]})


def charge_as_data(world: World, charge: Charge, now: float) -> dict[str, Any]:
    [record] = [
        each
        for each in world.ledger.records.list_all(now=now, provider=charge.provider, reference=charge.reference)
        if each.charge is not None and each.charge.id == charge.id
    ]
    return record_as_data(world, record, now)


async def list_transfers(request: Request) -> Response:
    """Refunds and payouts, oldest first; `?provider=` for one, `?limit=` the newest few first."""
    world, now = world_of(request), time.time()
    limit = read_natural(request, "limit", -1)
    transfers = world.ledger.transfers.list_all(
        request.query_params.get("provider"), limit=None if limit < 0 else limit
    )
    return JSON({"transfers": [transfer_as_data(world, transfer, now) for transfer in transfers]})


def transfer_as_data(world: World, transfer: Transfer, now: float) -> dict[str, Any]:
    provider = world.providers[transfer.provider]
    return {
        "provider": transfer.provider,
        "reference": transfer.reference,
        "id": transfer.id,
        "kind": transfer.kind,
        "charge_id": transfer.charge_id or None,
        "scenario": transfer.scenario or None,
        "recipient": transfer.recipient,
        "channel": transfer.channel,
        "amount": transfer.amount,
        "fee": transfer.fee,
        "currency": transfer.currency,
        "decimals": provider.decimals.get(transfer.currency, 2),
        "state": transfer.state(now),
        "status": provider.transfer_status(transfer, now),
        "created_at": iso_time(transfer.created_at),
        "ends_at": iso_time(transfer.ends_at),
        "extra": transfer.extra,
    }


async def list_balances(request: Request) -> Response:
    """For each provider and currency: how often and how much was captured, what left, and what remains.

    The balance of shillings begins with SIMULATOR_OPENING_BALANCE.
    """
    world, now = world_of(request), time.time()
    captured, left = world.ledger.charges.captured_total(now=now), world.ledger.transfers.left(now=now)
    rows = []
    for provider in world.providers.values():
        for currency, decimals in provider.decimals.items():
            key = (provider.code, currency)
            times, amount = captured.get(key, (0, 0))
            rows.append(
                {
                    "provider": provider.code,
                    "currency": currency,
                    "decimals": decimals,
                    "captures": times,
                    "captured": amount,
                    "left": left.get(key, 0),
                    "balance": till.balance(world, provider.code, currency),
                }
            )
    return JSON({"balances": rows})


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/charges", list_charges, methods=["GET"]),
        Route(f"{PREFIX}/clickpesa/charges", list_clickpesa_charges, methods=["GET"]),
        Route(f"{PREFIX}/waiting", list_waiting, methods=["GET"]),
        Route(f"{PREFIX}/transfers", list_transfers, methods=["GET"]),
        Route(f"{PREFIX}/balances", list_balances, methods=["GET"]),
    ]
