"""Beem's hosted checkout (section 2): a GET makes a page, and only its callback ever tells what became of it."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from services.simulators import hosted
from services.simulators.beem_payments.wire import (
    AMOUNT,
    PHONE,
    PREFIX,
    PROVIDER,
    TOKEN_HEADER,
    refuse,
    require_account,
)
from services.simulators.config import BeemPayConfig
from services.simulators.faults import Fault
from services.simulators.ledger.charges import Charge, State
from services.simulators.play import Play
from services.simulators.world import JSON, Refusal, World, world_of

NO_METHOD = "No payment method set by client"
PAYER = "255712345678"  # of a page that was given no number
STATUS = {State.OPEN: "pending", State.PAID: "success", State.DECLINED: "failed"}


def status_of(charge: Charge, now: float) -> str:
    """Only `success` and `failed` are Beem's words: there is no query that could tell the rest."""
    state = charge.state(now)
    return STATUS.get(state, str(state))


def new_charge_id() -> str:
    return str(uuid.uuid4())


async def create(request: Request) -> Response:
    """GET /v1/checkout: with `sendSource=true` the page's address as JSON, else the page itself."""
    world = require_account(request)
    config, asked = world.config.beem_pay, request.query_params
    reference = without_prefix(config, asked.get("reference_number", ""))
    amount, phone = asked.get("amount", ""), asked.get("mobile", "")
    if not reference:
        raise refuse(config, 105)
    world.ledger.charges.count_submission(provider=PROVIDER, reference=reference, phone=phone, amount=amount)
    transaction_id = check_order(config, asked.get("transaction_id", ""), amount, phone)
    sends_source = asked.get("sendSource", "false").lower()
    if sends_source not in ("true", "false"):
        raise refuse(config, 105)
    play = Play.begin(world, PROVIDER, "checkout", reference=reference)

    async def accept() -> Response:
        if world.ledger.charges.find_by_id(PROVIDER, transaction_id, with_dropped=True) is not None:
            raise refuse(config, 102)
        page_token = str(uuid.uuid4())
        told = {"transaction_id": asked["transaction_id"], "secure_token": request.headers.get(TOKEN_HEADER, "")}
        # Among the documents and not in the charge, because the page for developers shows all of that.
        world.ledger.documents.put(PROVIDER, "checkout", transaction_id, told)
        world.ledger.documents.put(PROVIDER, "page", page_token, {"charge": transaction_id})
        charge = play.checkout(
            id=transaction_id, amount=int(amount), currency="TZS", phone=phone or PAYER, channel="BPAY"
        )
        await play.accept(charge, is_unique=False)
        source = f"{address_of(request)}/checkout/page?token={page_token}"
        if sends_source == "true":
            return JSON({"src": source})
        if config.without_source == "page":
            return HTMLResponse(hosted.page(world, charge, charge.created_at))
        return RedirectResponse(source, 302)

    return await play.answer(accept, trouble_at(request))


def check_order(config: BeemPayConfig, transaction_id: str, amount: str, phone: str) -> str:
    """The id in its usual spelling, once it, amount and phone are right."""
    if phone and not PHONE.fullmatch(phone):
        raise refuse(config, 100)
    if not AMOUNT.fullmatch(amount):
        raise refuse(config, 101)
    try:
        parsed = uuid.UUID(transaction_id)
    except ValueError as error:
        raise refuse(config, 102) from error
    if parsed.version != 4 or str(parsed) != transaction_id.lower():
        raise refuse(config, 102)
    return str(parsed)


def without_prefix(config: BeemPayConfig, reference: str) -> str:
    """What the caller calls it; "" without the portal's prefix (that Beem refuses such a reference is unconfirmed)."""
    start = f"{config.prefix}-" if config.prefix else ""
    return reference.removeprefix(start).strip() if reference.startswith(start) else ""


def address_of(request: Request) -> str:
    """Where a browser finds these pages."""
    base = world_of(request).config.public_url or str(request.base_url).rstrip("/")
    return f"{base}{PREFIX}"


def trouble_at(request: Request) -> Callable[[Fault], Response]:
    def trouble(fault: Fault) -> Response:
        """The refusal is the one that was observed; what goes with a 500 is unconfirmed."""
        if fault is Fault.REFUSE:
            source = f"{address_of(request)}/checkout/error?message={quote(NO_METHOD)}"
            return JSON({"src": source}, status_code=404)
        return JSON({"message": "Internal server error"}, status_code=500)

    return trouble


# The page


def charge_of_page(request: Request) -> tuple[World, Charge]:
    world = world_of(request)
    page = world.ledger.documents.get(PROVIDER, "page", request.query_params.get("token", ""))
    charge = None if page is None else world.ledger.charges.find_by_id(PROVIDER, page["charge"])
    if charge is None:
        raise Refusal(404, {"message": "There is no such page."})
    return world, charge


async def show_page(request: Request) -> Response:
    """GET /v1/checkout/page?token=."""
    world, charge = charge_of_page(request)
    return HTMLResponse(hosted.page(world, charge, time.time()))


async def act_on_page(request: Request) -> Response:
    """POST to the same: pay, decline or abandon. Beem sends the customer nowhere afterwards."""
    world, charge = charge_of_page(request)
    return await hosted.act(request, world, charge)


async def show_error(request: Request) -> Response:
    """GET /v1/checkout/error?message=: what a customer sees who was sent on without a look at `src`."""
    return JSON({"message": request.query_params.get("message", "")}, status_code=404)


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/checkout", create, methods=["GET"]),
        Route(f"{PREFIX}/checkout/page", show_page, methods=["GET"]),
        Route(f"{PREFIX}/checkout/page", act_on_page, methods=["POST"]),
        Route(f"{PREFIX}/checkout/error", show_error, methods=["GET"]),
    ]
