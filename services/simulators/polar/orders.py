"""Polar's orders, the payments behind them, and the one product (sections 2 and 3). All of it is only read."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.ledger.charges import Charge
from services.simulators.play import Play
from services.simulators.polar import bodies, records
from services.simulators.polar.wire import (
    PROVIDER,
    REFERENCE_KEYS,
    as_page,
    as_uuid,
    belonging,
    cut,
    endpoint,
    has_metadata,
    is_by_time,
    keep,
    metadata_asked,
    newest_first,
    not_found,
    path_id,
    read_page,
    read_time,
    refuse_query,
    trouble,
)
from services.simulators.world import JSON, World

# Orders


def find_by_order(world: World, order_id: str) -> Charge | None:
    """The charge behind an order that exists."""
    charge = world.ledger.charges.find_by_id(PROVIDER, belonging(order_id, "order"))
    return charge if charge is not None and charge.state(time.time()) in records.WITH_ORDER else None


async def get(world: World, request: Request) -> Response:
    """GET /v1/orders/{id}."""
    id = path_id(request)
    found = find_by_order(world, id)
    play = Play.begin(world, PROVIDER, "query", reference=found.reference if found else "", only_asks=True)

    async def accept() -> Response:
        charge = find_by_order(world, id)
        if charge is None:
            raise not_found()
        return JSON(records.order(world, charge, at=time.time()))

    return await play.answer(accept, trouble)


SORTABLE = {
    "created_at": "created_at",
    "status": "status",
    "invoice_number": "invoice_number",
    "amount": "total_amount",
    "net_amount": "net_amount",
    "customer": "customer_id",
    "product": "product_id",
    "subscription": "subscription_id",
    "discount": "discount_id",
}
FILTERS = {
    name: name for name in ("status", "checkout_id", "customer_id", "product_id", "subscription_id", "discount_id")
}


ROUNDING = 0.000_000_5  # seconds


async def list_all(world: World, request: Request) -> Response:
    """GET /v1/orders/ with the filters of section 3. Both ends of a period belong to it (unconfirmed)."""
    check_ids(request, "checkout_id", "customer_id", "product_id", "subscription_id", "discount_id", "organization_id")
    since, until = read_time(request, "created_after"), read_time(request, "created_before")
    asked = metadata_asked(request)
    told = next((values[0] for key, values in asked.items() if key in REFERENCE_KEYS), "")

    # Moments are printed to the millionth of a second, and stored more exactly.
    earliest = 0.0 if since is None else since - ROUNDING
    latest = float("inf") if until is None else until + ROUNDING

    async def accept() -> Response:
        now, rows = time.time(), []
        if is_by_time(request, "created_after", "created_before"):
            page, limit = read_page(request)
            charges, total = world.ledger.charges.page_of_orders(
                PROVIDER,
                records.WITH_ORDER,
                now=now,
                since=earliest,
                until=latest,
                newest_first=newest_first(request),
                skip=(page - 1) * limit,
                limit=limit,
            )
            return JSON(as_page([records.order(world, charge, at=now) for charge in charges], total, limit))
        for charge in candidates(world, request, asked):
            if charge.state(now) not in records.WITH_ORDER or not has_metadata(bodies.metadata_of(charge), asked):
                continue
            if earliest <= records.paid_at(world, charge) <= latest:
                rows.append(records.order(world, charge, at=now))
        rows = keep(request, rows, FILTERS)
        if externals := request.query_params.getlist("external_customer_id"):
            rows = [row for row in rows if row["customer"]["external_id"] in externals]
        if organizations := request.query_params.getlist("organization_id"):
            rows = [row for row in rows if row["product"]["organization_id"] in organizations]
        return JSON(cut(request, sorted(rows, key=lambda row: str(row["created_at"])), SORTABLE))

    return await Play.begin(world, PROVIDER, "list", reference=told, only_asks=True).answer(accept, trouble)


def candidates(world: World, request: Request, asked: dict[str, list[str]]) -> list[Charge]:
    """The charges worth a look: all of them only when neither a checkout nor a reference narrows it down."""
    charges = world.ledger.charges
    if ids := request.query_params.getlist("checkout_id"):
        found = [charges.find_by_id(PROVIDER, as_uuid(each) or "") for each in dict.fromkeys(ids)]
        return [charge for charge in found if charge is not None]
    for key in REFERENCE_KEYS:
        known = [charge for value in asked.get(key, ()) for charge in charges.list_by_reference(PROVIDER, value)]
        if known:
            return known
    return charges.list_all(PROVIDER)


def check_ids(request: Request, *names: str) -> None:
    for name in names:
        for value in request.query_params.getlist(name):
            if as_uuid(value) is None:
                raise refuse_query("query", name, "uuid_parsing", "Input should be a valid UUID", value)


# Payments


PAYMENTS_SORTABLE = {"created_at": "created_at", "status": "status", "amount": "amount", "method": "method"}
PAYMENT_FILTERS = {name: name for name in ("status", "checkout_id", "order_id", "method", "organization_id")}


async def list_payments(world: World, request: Request) -> Response:
    """GET /v1/payments/?checkout_id=&order_id=&status=: every try with a card, declined ones too."""
    check_ids(request, "checkout_id", "order_id", "organization_id")

    async def accept() -> Response:
        now, charges = time.time(), world.ledger.charges
        checkouts = request.query_params.getlist("checkout_id")
        checkouts += [belonging(as_uuid(each) or "", "order") for each in request.query_params.getlist("order_id")]
        found = [charges.find_by_id(PROVIDER, each) for each in dict.fromkeys(checkouts)]
        looked_at = [each for each in found if each] if checkouts else charges.list_all(PROVIDER)
        rows = [payment for charge in looked_at for payment in records.payments_of(world, charge, now)]
        rows = sorted(keep(request, rows, PAYMENT_FILTERS), key=lambda row: str(row["created_at"]))
        return JSON(cut(request, rows, PAYMENTS_SORTABLE))

    return await Play.begin(world, PROVIDER, "list", only_asks=True).answer(accept, trouble)


async def get_payment(world: World, request: Request) -> Response:
    """GET /v1/payments/{id}."""
    id = path_id(request)

    async def accept() -> Response:
        declined = world.ledger.documents.get(PROVIDER, "declined payment", id)
        checkout = declined["checkout_id"] if declined else belonging(id, "payment")
        charge = world.ledger.charges.find_by_id(PROVIDER, checkout)
        for payment in records.payments_of(world, charge, time.time()) if charge else ():
            if payment["id"] == id:
                return JSON(payment)
        raise not_found()

    return await Play.begin(world, PROVIDER, "query", only_asks=True).answer(accept, trouble)


# The product


async def list_products(world: World, request: Request) -> Response:
    """GET /v1/products/: the one there is."""
    sortable: dict[str, str] = {"created_at": "created_at", "name": "name"}
    rows: list[dict[str, Any]] = keep(request, [bodies.product(world.config)], {"id": "id"})
    return JSON(cut(request, rows, sortable))


async def get_product(world: World, request: Request) -> Response:
    """GET /v1/products/{id}."""
    if path_id(request) != bodies.PRODUCT_ID:
        raise not_found()
    return JSON(bodies.product(world.config))


def routes() -> Iterable[Route]:
    orders, payments = endpoint("orders:read"), endpoint("payments:read")
    products = endpoint("products:read", "products:write")
    return [
        Route("/v1/orders/", orders(list_all), methods=["GET"]),
        Route("/v1/orders/{id}", orders(get), methods=["GET"]),
        Route("/v1/payments/", payments(list_payments), methods=["GET"]),
        Route("/v1/payments/{id}", payments(get_payment), methods=["GET"]),
        Route("/v1/products/", products(list_products), methods=["GET"]),
        Route("/v1/products/{id}", products(get_product), methods=["GET"]),
    ]
