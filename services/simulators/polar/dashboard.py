"""What people do on Polar's dashboard and at its bank, as control endpoints for developers and tests."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.control import PREFIX, read_wish, refuse, text_of
from services.simulators.ledger.charges import Charge
from services.simulators.polar import checkouts, records, refunds
from services.simulators.polar.wire import PROVIDER, as_uuid, belonging
from services.simulators.world import JSON, World, world_of


def charge_called(world: World, name: str) -> Charge:
    """By the id of the order or checkout, or by the caller's reference."""
    charges, id = world.ledger.charges, as_uuid(name)
    found = charges.find(PROVIDER, name)
    if id is not None and found is None:
        found = charges.find_by_id(PROVIDER, id) or charges.find_by_id(PROVIDER, belonging(id, "order"))
    if found is None:
        raise refuse(404, "There is no such order or checkout.")
    return found


def paid_charge_called(world: World, name: str) -> Charge:
    charge = charge_called(world, name)
    if charge.state(time.time()) not in records.WITH_ORDER:
        raise refuse(409, "This checkout has no order.")
    return charge


async def refund(request: Request) -> Response:
    """`{"order", "amount"?, "reason"?}`: a refund nobody asked for by the API; of all that is left without `amount`."""
    world, wish = world_of(request), await read_wish(request)
    charge, amount = paid_charge_called(world, text_of(wish, "order")), wish.get("amount")
    if amount is not None and (isinstance(amount, bool) or not isinstance(amount, int) or amount < 1):
        raise refuse(400, "amount must be a whole number greater than zero.")
    reason = text_of(wish, "reason") or "customer_request"
    if reason not in (*refunds.REASONS, "dispute_prevention"):
        raise refuse(400, f"reason must be one of {', '.join(refunds.REASONS)}, dispute_prevention.")
    transfer = await refunds.refund_on_dashboard(world, charge, amount=amount, reason=reason)
    return JSON(records.refund(charge, transfer, time.time()), status_code=201)


async def script_refund(request: Request) -> Response:
    """`{"becomes": "succeeded" | "failed" | "canceled", "after"?}`: how the next refund ends, after being pending for
    `after` seconds.
    """
    world, wish = world_of(request), await read_wish(request)
    becomes, after = text_of(wish, "becomes"), wish.get("after", 0)
    if becomes not in refunds.ENDS:
        raise refuse(400, f"becomes must be one of {', '.join(refunds.ENDS)}.")
    if isinstance(after, bool) or not isinstance(after, int | float) or not 0 <= after < 1e9:
        raise refuse(400, "after must be a number of seconds.")
    id = str(uuid4())
    scripted = {"id": id, "becomes": becomes, "after": float(after)}
    world.ledger.documents.put(PROVIDER, refunds.NEXT, id, scripted)
    return JSON({"refund": scripted}, status_code=201)


async def hold(request: Request) -> Response:
    """`{"is_disputed"?, "are_refunds_blocked"?}`: the order's refunds are refused while one of them is true."""
    world, wish = world_of(request), await read_wish(request)
    charge = paid_charge_called(world, request.path_params["name"])
    changes: dict[str, Any] = {}
    for name in ("is_disputed", "are_refunds_blocked"):
        if name in wish:
            changes[name] = wish[name] is True
    charge = world.ledger.charges.save_extra(charge, changes)
    return JSON(records.order(world, charge, at=time.time()))


async def expire(request: Request) -> Response:
    """The checkout's time is up now; it says `expired` when the job has come by."""
    world = world_of(request)
    try:
        charge = await checkouts.expire(world, charge_called(world, request.path_params["name"]))
    except till.NotPossible as error:
        raise refuse(409, str(error)) from error
    return JSON(checkouts.as_body(world, charge, time.time()))


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/polar/refunds", refund, methods=["POST"]),
        Route(f"{PREFIX}/polar/next-refund", script_refund, methods=["POST"]),
        Route(f"{PREFIX}/polar/orders/{{name}}", hold, methods=["POST"]),
        Route(f"{PREFIX}/polar/checkouts/{{name}}/expire", expire, methods=["POST"]),
    ]
