"""Play the customer, and do what no provider should: invent charges, change their end, forget them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.control import PREFIX, provider_called, read_wish, refuse, text_of
from services.simulators.control_payments import charge_as_data, transfer_as_data
from services.simulators.customer import Mode
from services.simulators.ledger.charges import Charge, Kind, State
from services.simulators.ledger.transfers import TransferState
from services.simulators.world import JSON, World, world_of

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


async def flip_transfer(request: Request) -> Response:
    """`{"state": "sent" | "failed" | "refunded" | "reversed", "tells"?}` for a refund or payout."""
    world, wish = world_of(request), await read_wish(request)
    provider = provider_called(world, request.path_params["provider"])
    transfer = world.ledger.transfers.find(provider.code, request.path_params["reference"])
    if transfer is None:
        raise refuse(404, "There is no such transfer.")
    states = [each for each in TransferState if each is not TransferState.OPEN]
    if wish.get("state") not in states:
        raise refuse(400, f"state must be one of {', '.join(states)}.")
    tells = wish.get("tells") is True
    flipped = await till.flip_transfer(world, transfer, TransferState(wish["state"]), tells=tells)
    return JSON({"transfer": transfer_as_data(world, flipped, time.time())})


async def drop(request: Request) -> Response:
    """The provider forgets a charge: queries and lists do not know it any more."""
    world, charge = charge_called(request)
    till.drop(world, charge)
    return await answered(world, charge)


def routes() -> Iterable[Route]:
    charge = f"{PREFIX}/charges/{{provider}}/{{reference}}"
    return [
        Route(f"{PREFIX}/customer", get_customer, methods=["GET"]),
        Route(f"{PREFIX}/customer", set_customer, methods=["POST"]),
        Route(f"{PREFIX}/charges/{{provider}}/invent", invent, methods=["POST"]),
        Route(f"{charge}/approve", deciding(State.PAID), methods=["POST"]),
        Route(f"{charge}/decline", deciding(State.DECLINED), methods=["POST"]),
        Route(f"{charge}/ignore", ignore, methods=["POST"]),
        Route(f"{charge}/pay-again", pay_again, methods=["POST"]),
        Route(f"{charge}/flip", flip, methods=["POST"]),
        Route(f"{charge}/drop", drop, methods=["POST"]),
        Route(f"{PREFIX}/transfers/{{provider}}/{{reference}}/flip", flip_transfer, methods=["POST"]),
    ]
