"""ClickPesa's account: balance, statement and exchange rates (section 4)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.calls import iso_time
from services.simulators.clickpesa.wire import (
    DECIMALS,
    PREFIX,
    PROVIDER,
    as_number,
    read_period,
    refuse_fields,
    require_token,
    trouble,
)
from services.simulators.ledger.charges import State
from services.simulators.ledger.transfers import CAME_BACK
from services.simulators.play import Play
from services.simulators.world import JSON, World

RATES = {("USD", "TZS"): 2510, ("TZS", "USD"): 0.000398}  # of the vendor's example


async def balance(request: Request) -> Response:
    """GET /account/balance, in the newer of its two documented forms."""
    world = require_token(request)

    async def accept() -> Response:
        balances = [
            {"currency": currency, "balance": as_number(till.balance(world, PROVIDER, currency), currency)}
            for currency in DECIMALS
        ]
        return JSON({"balances": balances})

    return await Play.begin(world, PROVIDER, "balance", only_asks=True).answer(accept, trouble)


async def statement(request: Request) -> Response:
    """GET /account/statement?currency=&startDate=&endDate=: what came in and went out, oldest first."""
    world = require_token(request)
    currency = request.query_params.get("currency", "TZS")
    if currency not in DECIMALS:
        raise refuse_fields("currency must be one of the following values: TZS, USD")  # wording unconfirmed
    since, until = read_period(request.query_params)
    entries = [entry for entry in entries_of(world, currency, time.time()) if entry["at"] < until]
    before = [entry["signed"] for entry in entries if entry["at"] < since]
    shown = [entry for entry in entries if entry["at"] >= since]
    opening = balance_at_start(world, currency) + sum(before)
    running, rows = opening, []
    for entry in shown:
        running += entry["signed"]
        rows.append(
            {
                "balance": as_number(running, currency),
                "date": iso_time(entry["at"]),
                "description": entry["description"],
                "entry": "Credit" if entry["signed"] > 0 else "Debit",
                "amount": as_number(abs(entry["signed"]), currency),
                "currency": currency,
                "orderReference": entry["reference"],
                "id": entry["id"],
                "type": entry["type"],  # the values are unconfirmed
            }
        )
    details = {
        "currency": currency,
        "openingBalance": as_number(opening, currency),
        "closingBalance": as_number(running, currency),
        "totalCredits": as_number(sum(entry["signed"] for entry in shown if entry["signed"] > 0), currency),
        "totalDebits": as_number(-sum(entry["signed"] for entry in shown if entry["signed"] < 0), currency),
    }

    async def accept() -> Response:
        return JSON({"accountDetails": details, "transactions": rows})

    return await Play.begin(world, PROVIDER, "list", only_asks=True).answer(accept, trouble)


def balance_at_start(world: World, currency: str) -> int:
    return world.config.opening_balance if currency == "TZS" else 0


def entries_of(world: World, currency: str, now: float) -> list[dict[str, Any]]:
    """Every movement of one currency in order of time; what was returned to a customer has two."""
    found: list[dict[str, Any]] = []
    row: dict[str, Any]
    for charge in world.ledger.charges.list_all(PROVIDER):
        state = charge.state(now)
        if charge.collected_currency != currency or state not in (State.PAID, State.REFUNDED, State.REVERSED):
            continue
        row = {"reference": charge.reference, "id": charge.id, "type": "PAYMENT", "description": "Payment received"}
        found.append(row | {"at": charge.ends_at, "signed": charge.collected})
        if state is not State.PAID:
            found.append(row | {"at": charge.ends_at, "signed": -charge.collected, "description": "Payment returned"})
    for transfer in world.ledger.transfers.list_all(PROVIDER):
        if transfer.currency != currency:
            continue
        total = transfer.amount + transfer.fee
        row = {"reference": transfer.reference, "id": transfer.id, "type": "PAYOUT", "description": "Payout"}
        found.append(row | {"at": transfer.created_at, "signed": -total})
        if transfer.state(now) in CAME_BACK:
            found.append(row | {"at": transfer.ends_at, "signed": total, "description": "Payout returned"})
    return sorted(found, key=lambda entry: entry["at"])


async def exchange_rates(request: Request) -> Response:
    """GET /exchange-rates/all?source=&target=."""
    require_token(request)
    source, target = request.query_params.get("source"), request.query_params.get("target")
    return JSON(
        [
            {"source": pair[0], "target": pair[1], "rate": rate, "date": iso_time(time.time())}
            for pair, rate in RATES.items()
            if source in (None, pair[0]) and target in (None, pair[1])
        ]
    )


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/account/balance", balance, methods=["GET"]),
        Route(f"{PREFIX}/account/statement", statement, methods=["GET"]),
        Route(f"{PREFIX}/exchange-rates/all", exchange_rates, methods=["GET"]),
    ]
