"""Selcom's pushes: a question on the payer's phone for an order that exists (sections 4.3 and 4.4)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.ledger.charges import Kind, State
from services.simulators.play import Play
from services.simulators.selcom.orders import is_alive, order_called
from services.simulators.selcom.wire import (
    NOT_A_NUMBER,
    PHONE,
    PREFIX,
    PROVIDER,
    channel_of,
    envelope,
    refuse,
    refuse_undocumented,
    require_call,
    trouble_with,
)
from services.simulators.world import JSON, World

IN_PROGRESS = "Request in progress. You will receive a callback shortly."


def pushing(channel: str = "") -> Callable[[Request], Awaitable[Response]]:
    """POST /checkout/wallet-payment and /checkout/selcompesa-payment. `channel`: else the number's network."""

    async def push(request: Request) -> Response:
        world, fields = await require_call(request)
        config = world.config.selcom
        transid, order_id, phone = fields.text("transid"), fields.text("order_id"), fields.text("msisdn")
        count_push(world, order_id, phone)
        if not PHONE.fullmatch(phone):
            raise refuse("010", NOT_A_NUMBER, transid=transid)
        play = Play.begin(world, PROVIDER, "push", reference=order_id, phone=phone)

        async def accept() -> Response:
            order, now = order_called(world, order_id), time.time()
            if world.ledger.documents.get(PROVIDER, "transid", transid) is not None:
                raise refuse_undocumented(config, f"Duplicate transid {transid}", transid=transid)
            is_asked = order.kind is Kind.PUSH and order.state(now) is State.OPEN
            # Whether Selcom would ask a second time meanwhile is unconfirmed.
            if is_asked or not is_alive(order, now) or order.currency != "TZS":
                raise refuse_undocumented(config, f"Order {order_id} cannot be paid", transid=transid)
            world.ledger.documents.put(PROVIDER, "transid", transid, {"order_id": order_id})
            charge = play.push(
                id=order.id,
                amount=order.amount,
                currency=order.currency,
                channel=channel or channel_of(phone),
                over=order,
                extra={"transid": transid},
            )
            await play.change(charge)
            return JSON(envelope("111", "PENDING", IN_PROGRESS, reference=charge.id, transid=transid))

        return await play.answer(accept, trouble_with(config, code="010", message=NOT_A_NUMBER))

    return push


def count_push(world: World, order_id: str, phone: str) -> None:
    """An order and its first push are one attempt to start a charge; each further call is one more."""
    charges = world.ledger.charges
    order = charges.find(PROVIDER, order_id)
    asked = 0 if order is None else order.extra.get("asked", 0)
    if order is not None:
        charges.save_extra(order, {"asked": asked + 1})
    if order is None or asked:
        charges.count_submission(provider=PROVIDER, reference=order_id, phone=phone)


def routes() -> Iterable[Route]:
    checkout = f"{PREFIX}/checkout"
    return [
        Route(f"{checkout}/wallet-payment", pushing(), methods=["POST"]),
        Route(f"{checkout}/selcompesa-payment", pushing("SELCOMPESA"), methods=["POST"]),  # the word is unconfirmed
    ]
