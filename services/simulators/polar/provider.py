"""Polar as the core sees it."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import uuid4

from starlette.routing import BaseRoute, Mount, Route, Router
from starlette.types import Receive, Scope, Send

from services.simulators.polar import bodies, checkouts, dashboard, orders, records, refunds, webhooks
from services.simulators.polar.wire import DECIMALS, PREFIX, PROVIDER
from services.simulators.provider import PaymentProvider
from services.simulators.world import JSON


async def answer_unknown(scope: Scope, receive: Receive, send: Send) -> None:
    """An address that is none of Polar's."""
    await JSON({"detail": "Not Found"}, status_code=404)(scope, receive, send)


def routes() -> Iterable[BaseRoute]:
    """The API under one prefix, where an address without its slash (or with one too many) is answered a redirect."""
    api: list[Route] = [
        *checkouts.routes(),
        *orders.routes(),
        *refunds.routes(),
        *webhooks.routes(),
    ]
    return [Mount(PREFIX, app=Router(api, default=answer_unknown)), *dashboard.routes()]


POLAR = PaymentProvider(
    code=PROVIDER,
    name="Polar",
    operations=("checkout", "update", "refund", "webhook", "query", "list"),
    decimals=DECIMALS,
    routes=routes,
    callback_url=lambda config: config.polar_callback_url,
    announce=webhooks.announce,
    announce_transfer=webhooks.announce_refund,
    transfer_status=records.refund_status,
    sign=webhooks.sign,
    status=bodies.checkout_status,
    new_charge_id=lambda: str(uuid4()),
    decline=checkouts.decline,
    back_to=checkouts.back_to,
    repays=False,
)
