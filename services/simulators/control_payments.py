"""The ledger of payments for people and tests: see it, play the customer, script faults, do what no provider should."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.calls import iso_time
from services.simulators.control import PREFIX, read_natural
from services.simulators.customer import Mode
from services.simulators.faults import BY_CHANCE, CallbackFault, Fault, Rates, Script
from services.simulators.ledger.charges import Charge, ChargeRecord, Kind, State
from services.simulators.ledger.transfers import Transfer
from services.simulators.provider import PaymentProvider
from services.simulators.world import JSON, NotJSON, Refusal, World, read_object, world_of

CLICKPESA_ONLY = "clickpesa"


def refuse(status: int, message: str) -> Refusal:
    return Refusal(status, {"message": message})


async def read_wish(request: Request) -> dict[str, Any]:
    """The JSON object sent, or an empty one when nothing was."""
    if request.headers.get("content-length", "0") == "0":
        return {}
    try:
        return await read_object(request)
    except NotJSON as error:
        raise refuse(400, str(error)) from error


def provider_called(world: World, code: object) -> PaymentProvider:
    provider = world.providers.get(code) if isinstance(code, str) else None
    if provider is None:
        raise refuse(404, f"There is no payment provider {code!r}; there are {', '.join(world.providers)}.")
    return provider


def text_of(wish: Mapping[str, Any], name: str) -> str:
    value = wish.get(name, "")
    if not isinstance(value, str):
        raise refuse(400, f"{name} must be a string.")
    return value


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
    records = world.ledger.charges.records(
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
        "ends_at": iso_time(charge.ends_at) if charge.ends_at != float("inf") else None,
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
        for each in world.ledger.charges.records(now=now, provider=charge.provider, reference=charge.reference)
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


# Play the customer


def charge_called(request: Request) -> tuple[World, Charge]:
    """The newest charge under a reference, or the one with that id of the provider's."""
    world = world_of(request)
    provider, name = provider_called(world, request.path_params["provider"]), request.path_params["reference"]
    charges = world.ledger.charges
    charge = charges.find_by_id(provider.code, name, with_dropped=True) or charges.find(
        provider.code, name, with_dropped=True
    )
    if charge is None:
        raise refuse(404, "There is no such charge.")
    return world, charge


async def answered(world: World, charge: Charge) -> Response:
    return JSON({"charge": charge_as_data(world, charge, time.time())})


def deciding(outcome: State) -> Callable[[Request], Any]:
    async def decide(request: Request) -> Response:
        world, charge = charge_called(request)
        try:
            return await answered(world, await till.decide(world, charge, outcome))
        except till.NotPossible as error:
            raise refuse(409, str(error)) from error

    return decide


async def ignore(request: Request) -> Response:
    """The customer walks away."""
    world, charge = charge_called(request)
    try:
        return await answered(world, await till.ignore(world, charge))
    except till.NotPossible as error:
        raise refuse(409, str(error)) from error


async def pay_again(request: Request) -> Response:
    """The customer pays a second time."""
    world, charge = charge_called(request)
    try:
        return await answered(world, await till.pay_again(world, charge))
    except till.NotPossible as error:
        raise refuse(409, str(error)) from error


async def get_customer(request: Request) -> Response:
    return JSON({"mode": world_of(request).customer.mode})


async def set_customer(request: Request) -> Response:
    """`{"mode": "auto" | "ask"}`."""
    world, mode = world_of(request), (await read_wish(request)).get("mode")
    if mode not in list(Mode):
        raise refuse(400, f"mode must be one of {', '.join(Mode)}.")
    world.customer.mode = Mode(mode)
    return JSON({"mode": world.customer.mode})


# What a provider does behind everybody's back


async def invent(request: Request) -> Response:
    """`{"reference", "amount", "currency"?, "phone"?, "kind"?, "tells"?, "extra"?}`: a paid charge nobody asked for.

    `amount` is in the provider's smallest unit; `tells` also sends the callbacks.
    """
    world = world_of(request)
    provider, wish = provider_called(world, request.path_params["provider"]), await read_wish(request)
    reference, amount, now = text_of(wish, "reference"), wish.get("amount"), time.time()
    currency, kind, extra = (
        text_of(wish, "currency") or next(iter(provider.decimals)),
        wish.get("kind"),
        wish.get("extra"),
    )
    if not reference or isinstance(amount, bool) or not isinstance(amount, int) or not 0 < amount < 10**15:
        raise refuse(400, "reference and a whole amount greater than zero are needed.")
    if currency not in provider.decimals:
        raise refuse(400, f"currency must be one of {', '.join(provider.decimals)}.")
    charge = Charge(
        provider=provider.code,
        id=provider.new_charge_id(),
        reference=reference,
        kind=Kind(kind) if kind in list(Kind) else Kind.PUSH,
        scenario="invented",
        phone=text_of(wish, "phone"),
        channel=text_of(wish, "channel"),
        amount=amount,
        currency=currency,
        collected=amount,
        collected_currency=currency,
        outcome=State.PAID,
        is_waiting=False,
        created_at=now,
        ends_at=now,
        extra=extra if isinstance(extra, dict) else {},
    )
    try:
        await till.invent(world, charge, tells=wish.get("tells") is True)
    except till.NotPossible as error:
        raise refuse(409, str(error)) from error
    return await answered(world, charge)


FLIPS = tuple(each for each in State if each is not State.OPEN)


async def flip(request: Request) -> Response:
    """`{"state": "paid" | "declined" | ..., "tells"?}`: another end, from now on and told only with `tells`."""
    world, charge = charge_called(request)
    wish = await read_wish(request)
    if wish.get("state") not in FLIPS:
        raise refuse(400, f"state must be one of {', '.join(FLIPS)}.")
    flipped = await till.flip(world, charge, State(wish["state"]), tells=wish.get("tells") is True)
    return await answered(world, flipped)


async def drop(request: Request) -> Response:
    """The provider forgets a charge: queries and lists do not know it any more."""
    world, charge = charge_called(request)
    till.drop(world, charge)
    return await answered(world, charge)


# Faults

FAULTS: Mapping[str, Fault | CallbackFault] = {each.value: each for each in (*Fault, *CallbackFault)}


async def list_faults(request: Request) -> Response:
    """Queued scripts, the rates, and for each provider the operations that faults can be scripted for."""
    world = world_of(request)
    return JSON(
        {
            "faults": [script_as_data(script) for script in world.faults.scripts],
            "rates": rates_as_data(world.faults.rates),
            "names": {"calls": list(Fault), "callbacks": list(CallbackFault)},
            "providers": [
                {"provider": each.code, "name": each.name, "operations": list(each.operations)}
                for each in world.providers.values()
            ],
        }
    )


def script_as_data(script: Script) -> dict[str, Any]:
    return {
        "id": script.id,
        "provider": script.provider,
        "operation": script.operation or None,
        "reference": script.reference or None,
        "phone": script.phone or None,
        "fault": script.fault,
        "times": script.times,
    }


async def add_fault(request: Request) -> Response:
    """`{"provider", "fault", "operation"?, "reference"?, "phone"?, "times"?}`: strikes the next calls that match."""
    world, wish = world_of(request), await read_wish(request)
    provider = provider_called(world, wish.get("provider"))
    fault, times, operation = FAULTS.get(text_of(wish, "fault")), wish.get("times", 1), text_of(wish, "operation")
    if fault is None:
        raise refuse(400, f"fault must be one of {', '.join(FAULTS)}.")
    if isinstance(times, bool) or not isinstance(times, int) or not 0 < times <= 1_000_000:
        raise refuse(400, "times must be a whole number greater than zero.")
    if operation and operation not in provider.operations:
        raise refuse(400, f"operation must be one of {', '.join(provider.operations)}.")
    script = world.faults.add(
        provider=provider.code,
        fault=fault,
        operation=operation,
        reference=text_of(wish, "reference"),
        phone=text_of(wish, "phone").lstrip("+"),
        times=times,
    )
    return JSON({"fault": script_as_data(script)}, status_code=201)


async def clear_faults(request: Request) -> Response:
    """Forget every script; the rates stay."""
    world_of(request).faults.clear()
    return JSON({"status": "ok"})


def rates_as_data(rates: Rates) -> dict[str, Any]:
    return {
        "rate": rates.rate,
        "callback_rate": rates.callback_rate,
        "seed": rates.seed,
        "faults": list(rates.faults),
        "callback_faults": list(rates.callback_faults),
    }


async def set_rates(request: Request) -> Response:
    """`{"rate"?, "callback_rate"?, "seed"?, "faults"?, "callback_faults"?}`; what is absent stays as it is."""
    world, wish = world_of(request), await read_wish(request)
    now = world.faults.rates
    world.faults.rates = Rates(
        rate=share_of(wish, "rate", now.rate),
        callback_rate=share_of(wish, "callback_rate", now.callback_rate),
        seed=text_of(wish, "seed") or now.seed,
        faults=[
            Fault(name) for name in names_of(wish, "faults", [*Fault], BY_CHANCE if "faults" in wish else now.faults)
        ],
        callback_faults=[
            CallbackFault(name) for name in names_of(wish, "callback_faults", [*CallbackFault], now.callback_faults)
        ],
    )
    return JSON({"rates": rates_as_data(world.faults.rates)})


def share_of(wish: Mapping[str, Any], name: str, default: float) -> float:
    value = wish.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise refuse(400, f"{name} must be a number from 0 to 1.")
    return float(value)


def names_of(wish: Mapping[str, Any], name: str, choices: list[Any], default: Iterable[Any]) -> list[str]:
    value = wish.get(name)
    if value is None:
        return list(default)
    if not isinstance(value, list) or not value or any(each not in choices for each in value):
        raise refuse(400, f"{name} must be a list of some of {', '.join(choices)}.")
    return value


def routes() -> Iterable[Route]:
    charge = f"{PREFIX}/charges/{{provider}}/{{reference}}"
    return [
        Route(f"{PREFIX}/charges", list_charges, methods=["GET"]),
        Route(f"{PREFIX}/clickpesa/charges", list_clickpesa_charges, methods=["GET"]),
        Route(f"{PREFIX}/waiting", list_waiting, methods=["GET"]),
        Route(f"{PREFIX}/transfers", list_transfers, methods=["GET"]),
        Route(f"{PREFIX}/balances", list_balances, methods=["GET"]),
        Route(f"{PREFIX}/customer", get_customer, methods=["GET"]),
        Route(f"{PREFIX}/customer", set_customer, methods=["POST"]),
        Route(f"{PREFIX}/charges/{{provider}}/invent", invent, methods=["POST"]),
        Route(f"{charge}/approve", deciding(State.PAID), methods=["POST"]),
        Route(f"{charge}/decline", deciding(State.DECLINED), methods=["POST"]),
        Route(f"{charge}/ignore", ignore, methods=["POST"]),
        Route(f"{charge}/pay-again", pay_again, methods=["POST"]),
        Route(f"{charge}/flip", flip, methods=["POST"]),
        Route(f"{charge}/drop", drop, methods=["POST"]),
        Route(f"{PREFIX}/faults", list_faults, methods=["GET"]),
        Route(f"{PREFIX}/faults", add_fault, methods=["POST"]),
        Route(f"{PREFIX}/faults", clear_faults, methods=["DELETE"]),
        Route(f"{PREFIX}/faults/rates", set_rates, methods=["POST"]),
    ]
