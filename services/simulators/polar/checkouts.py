"""Polar's checkouts: created, read, changed, listed, and the page at which they are paid (section 2)."""

from __future__ import annotations

import secrets
import string
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from services.simulators import hosted, till
from services.simulators.faults import Fault
from services.simulators.ledger.charges import Charge, State
from services.simulators.play import Play
from services.simulators.polar import bodies, webhooks
from services.simulators.polar.form import read_form
from services.simulators.polar.wire import (
    PREFIX,
    PROVIDER,
    as_page,
    cut,
    endpoint,
    is_by_time,
    keep,
    newest_first,
    not_found,
    path_id,
    read_page,
    reference_of,
    refuse,
    trouble,
)
from services.simulators.polar.wishes import amount_told, read_details, read_wish
from services.simulators.world import JSON, Refusal, World, world_of

_LETTERS = string.ascii_letters + string.digits


async def create(world: World, request: Request) -> Response:
    """POST /v1/checkouts/: a page that waits a day for its customer. There is no idempotency key."""
    form = await read_form(request)
    metadata = form.body.get("metadata")
    id = str(uuid4())
    reference = reference_of(metadata if isinstance(metadata, dict) else {}, id)
    prices = form.body.get("prices")
    world.ledger.charges.count_submission(provider=PROVIDER, reference=reference, amount=amount_told(prices))
    wish = read_wish(world, form)
    play = Play.begin(world, PROVIDER, "checkout", reference=reference)

    async def accept() -> Response:
        secret = "polar_c_" + "".join(secrets.choice(_LETTERS) for _ in range(43))
        lifetime, every = world.config.polar_lifetime, world.config.polar_expiry_every
        base = world.config.public_url or str(request.base_url).rstrip("/")
        extra = {
            **wish.extra,
            "client_secret": secret,
            "url": f"{base}{PREFIX}/buy/{secret}",
            "tax_percent": world.config.polar_tax_percent,
        }
        for name in ("success_url", "return_url"):
            if extra[name]:
                extra[name] = extra[name].replace("{CHECKOUT_ID}", id).replace("%7BCHECKOUT_ID%7D", id)
        charge = play.checkout(
            id=id, amount=wish.amount, currency=wish.currency, lasts=lifetime + every, channel="card", extra=extra
        )
        charge.extra["expires_at"] = charge.created_at + lifetime
        world.ledger.documents.put(PROVIDER, "client secret", secret, {"checkout_id": id})
        await play.accept(charge, is_unique=False)
        return JSON(bodies.checkout(world.config, charge, status="open", at=charge.created_at), status_code=201)

    return await play.answer(accept, trouble_of_checkout)


def trouble_of_checkout(fault: Fault) -> Response:
    if fault is Fault.REFUSE:
        detail = "Organization is not ready to accept payments"  # wording unconfirmed
        return JSON({"error": "PaymentNotReady", "detail": detail}, status_code=403)
    return trouble(fault)


# Read, change, list


def find(world: World, request: Request) -> Charge:
    charge = world.ledger.charges.find_by_id(PROVIDER, path_id(request))
    if charge is None:
        raise not_found()
    return charge


def as_body(world: World, charge: Charge, now: float) -> dict[str, Any]:
    tried = [each["at"] for each in charge.extra.get("declined", [])]
    changed = [charge.changed_at(now), charge.extra.get("modified_at", 0.0), *tried]
    return bodies.checkout(world.config, charge, status=bodies.checkout_status(charge, now), at=max(changed))


async def get(world: World, request: Request) -> Response:
    """GET /v1/checkouts/{id}."""
    found = world.ledger.charges.find_by_id(PROVIDER, path_id(request))
    play = Play.begin(world, PROVIDER, "query", reference=found.reference if found else "", only_asks=True)

    async def accept() -> Response:
        return JSON(as_body(world, find(world, request), time.time()))

    return await play.answer(accept, trouble)


async def update(world: World, request: Request) -> Response:
    """PATCH /v1/checkouts/{id}: details of the customer, metadata and addresses, while it is open."""
    charge, form = find(world, request), await read_form(request)
    known = {**read_details(form), "metadata": form.metadata()}
    form.check()
    play = Play.begin(world, PROVIDER, "update", reference=charge.reference)

    async def accept() -> Response:
        charge, now = find(world, request), time.time()
        if bodies.checkout_status(charge, now) != "open":
            raise refuse(403, "NotOpenCheckout", "Checkout is not open.")  # wording unconfirmed
        given = {name: value for name, value in known.items() if name in form.body}
        changed = world.ledger.charges.save_extra(charge, {**given, "modified_at": now})
        body = as_body(world, changed, now)
        await webhooks.tell_now(world, changed, [webhooks.Event("checkout.updated", body, now)])
        return JSON(body)

    return await play.answer(accept, trouble)


SORTABLE = {"created_at": "created_at", "expires_at": "expires_at", "status": "status"}
FILTERS = {name: name for name in ("status", "external_customer_id", "customer_id", "product_id", "organization_id")}


async def list_all(world: World, request: Request) -> Response:
    """GET /v1/checkouts/, with `query` as a part of the customer's address."""

    async def accept() -> Response:
        now = time.time()
        if is_by_time(request):
            page, limit = read_page(request)
            charges, total = world.ledger.charges.page(
                PROVIDER,
                since=0.0,
                until=float("inf"),
                newest_first=newest_first(request),
                skip=(page - 1) * limit,
                limit=limit,
            )
            return JSON(as_page([as_body(world, charge, now) for charge in charges], total, limit))
        rows = [as_body(world, charge, now) for charge in world.ledger.charges.list_all(PROVIDER)]
        rows = keep(request, rows, FILTERS)
        if query := request.query_params.get("query", "").lower():
            rows = [row for row in rows if query in (row["customer_email"] or "").lower()]
        return JSON(cut(request, rows, SORTABLE))

    return await Play.begin(world, PROVIDER, "list", only_asks=True).answer(accept, trouble)


# The page


def page_called(request: Request) -> tuple[World, Charge]:
    world = world_of(request)
    document = world.ledger.documents.get(PROVIDER, "client secret", request.path_params["secret"])
    charge = world.ledger.charges.find_by_id(PROVIDER, document["checkout_id"]) if document else None
    if charge is None:
        raise Refusal(404, {"error": "ResourceNotFound", "detail": "Not found"})
    return world, charge


def as_shown(charge: Charge, now: float) -> Charge:
    """What the customer sees: the total with tax, and that it is over before the job has noted it."""
    is_over = charge.state(now) is State.OPEN and bodies.expires_at(charge) <= now
    return replace(
        charge,
        amount=charge.amount + bodies.tax_on(charge, charge.amount),
        outcome=State.EXPIRED if is_over else charge.outcome,
        ends_at=now if is_over else charge.ends_at,
    )


async def show_page(request: Request) -> Response:
    """GET /buy/{client_secret}."""
    (world, charge), now = page_called(request), time.time()
    return HTMLResponse(hosted.page(world, as_shown(charge, now), now))


async def act_on_page(request: Request) -> Response:
    """POST /buy/{client_secret}: pay, decline or abandon. Too late answers 410, as the client's endpoints do."""
    (world, charge), now = page_called(request), time.time()
    shown = as_shown(charge, now)
    if shown.state(now) is State.EXPIRED:
        return HTMLResponse(hosted.page(world, shown, now), status_code=410)
    return await hosted.act(request, world, charge)


async def decline(world: World, charge: Charge) -> Charge:
    """A card that is refused: the try is kept, and the session is open for another one (section 2)."""
    now = time.time()
    payment_id = str(uuid4())
    world.ledger.documents.put(PROVIDER, "declined payment", payment_id, {"checkout_id": charge.id})
    declined = [*charge.extra.get("declined", []), {"id": payment_id, "at": now}]
    changed = world.ledger.charges.save_extra(charge, {"declined": declined})
    events = [
        webhooks.Event("checkout.updated", bodies.checkout(world.config, changed, status=status, at=now), now)
        for status in ("confirmed", "open")
    ]
    await webhooks.tell_now(world, changed, events)
    return changed


def back_to(charge: Charge, action: str) -> str:
    """To the shop after paying or leaving; after a declined card the page stays."""
    match action:
        case "pay":
            return str(charge.extra.get("success_url") or "")
        case "abandon":
            return str(charge.extra.get("return_url") or "")
    return ""


async def expire(world: World, charge: Charge) -> Charge:
    """The session's time is up now; the job comes by later."""
    now = time.time()
    if charge.state(now) is not State.OPEN:
        raise till.NotPossible(f"This checkout is {bodies.checkout_status(charge, now)} already.")
    over = world.ledger.charges.save_extra(charge, {"expires_at": now})
    over = replace(over, outcome=State.EXPIRED, ends_at=now + world.config.polar_expiry_every)
    await till.deliver(world, world.ledger.charges.change(over, till.tell(world, over), now=now))
    return over


def routes() -> Iterable[Route]:
    return [
        Route("/v1/checkouts/", endpoint("checkouts:write")(create), methods=["POST"]),
        Route("/v1/checkouts/", endpoint("checkouts:read", "checkouts:write")(list_all), methods=["GET"]),
        Route("/v1/checkouts/{id}", endpoint("checkouts:read", "checkouts:write")(get), methods=["GET"]),
        Route("/v1/checkouts/{id}", endpoint("checkouts:write")(update), methods=["PATCH"]),
        Route("/buy/{secret}", show_page, methods=["GET"]),
        Route("/buy/{secret}", act_on_page, methods=["POST"]),
    ]
