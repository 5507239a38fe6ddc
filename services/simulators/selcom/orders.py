"""Selcom's orders: make one, ask about it, list them, cancel it (section 4)."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import hosted, till
from services.simulators.ledger.charges import NEVER, Charge, Kind, State
from services.simulators.play import Play
from services.simulators.selcom.wire import (
    PHONE,
    PREFIX,
    PROVIDER,
    Fields,
    channel_of,
    done,
    local_time,
    new_reference,
    read_day,
    refuse_parameter,
    refuse_undocumented,
    require_call,
    trouble_with,
)
from services.simulators.world import World

METHODS = ("ALL", "MASTERPASS", "CARD", "MOBILEMONEYPULL")
BILLING = ("firstname", "lastname", "address_1", "city", "state_or_region", "postcode_or_pobox")
DAY = 86_400

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
_COUNTRY = re.compile(r"[A-Z]{2}")


def status_of(charge: Charge, now: float) -> str:
    """Section 4.8. No word for expired or given back is documented: what was paid stays COMPLETED (unconfirmed)."""
    match charge.state(now):
        case State.OPEN:
            return "INPROGRESS" if charge.kind is Kind.PUSH else "PENDING"
        case State.CANCELLED:
            return "CANCELLED"
        case State.DECLINED if charge.kind is Kind.PUSH:
            return str(charge.extra.get("declined_status", "REJECTED"))
        case State.DECLINED:
            return "USERCANCELLED"
        case State.EXPIRED:
            return str(charge.extra.get("expired_status", "PENDING"))
    return "COMPLETED"


def is_alive(charge: Charge, now: float) -> bool:
    """Whether the order can still be paid or cancelled: it is open, or nobody answered its push in time."""
    if charge.state(now) is State.OPEN:
        return True
    return charge.state(now) is State.EXPIRED and charge.kind is Kind.PUSH and now < charge.extra.get("expires_at", 0)


def transid_of(charge: Charge) -> str:
    """The caller's, of the push; at a page Selcom makes one up."""
    return str(charge.extra.get("transid") or f"SEL{charge.id}")


# Make one


def creating(check: Callable[[Fields], tuple[str, Kind]]) -> Callable[[Request], Awaitable[Response]]:
    """A call that makes an order. `check` gives currency and kind."""

    async def create(request: Request) -> Response:
        world, fields = await require_call(request)
        config, order_id = world.config.selcom, fields.optional("order_id")
        phone = fields.optional("buyer_phone")
        if order_id:
            world.ledger.charges.count_submission(
                provider=PROVIDER, reference=order_id, phone=phone, amount=fields.optional("amount")
            )
        amount, lasts, extra = check_order(config.vendor, fields)
        currency, kind = check(fields)
        extra |= {"declined_status": config.declined_status, "expired_status": config.expired_status}
        play = Play.begin(world, PROVIDER, "order", reference=order_id)

        async def accept() -> Response:
            charge = play.checkout(
                id=new_reference(),
                amount=amount,
                currency=currency,
                kind=kind,
                lasts=lasts,
                phone=phone,
                channel="CARD" if kind is Kind.CARD else channel_of(phone),  # the word for cards is unconfirmed
                extra=extra | {"expires_at": min(time.time() + lasts, NEVER)},
            )
            if not await play.accept(charge):
                raise refuse_undocumented(config, f"Order {order_id} exists already")
            return done("Order creation successful", reference=charge.id, data=[row_of_page(request, charge)])

        return await play.answer(accept, trouble_with(config))

    return create


def row_of_page(request: Request, charge: Charge) -> dict[str, str]:
    url = hosted.url_of(request, charge)
    is_plain = request.app.state.world.config.selcom.has_plain_url
    return {
        "gateway_buyer_uuid": "",  # "may be empty": nobody has a card stored here
        "payment_token": "".join(secrets.choice("0123456789") for _ in range(8)),
        "qr": f"SELCOM{charge.id}",
        "payment_gateway_url": url if is_plain else base64.b64encode(url.encode()).decode(),
    }


def check_order(vendor: str, fields: Fields) -> tuple[int, float, dict[str, Any]]:
    """Amount, life in seconds, and what is kept of the rest, of either kind of order (section 4.1)."""
    if fields.text("vendor") != vendor:
        raise refuse_parameter("vendor")
    fields.text("order_id")
    fields.matching("buyer_email", _EMAIL)
    fields.text("buyer_name")
    fields.matching("buyer_phone", PHONE)
    amount = fields.whole("amount")
    fields.whole("no_of_items")
    for name in ("header_colour", "link_colour", "button_colour"):
        fields.matching(name, _COLOUR, is_optional=True)
    addresses = {name: fields.address(name) for name in ("redirect_url", "cancel_url", "webhook")}
    minutes = fields.whole("expiry", default=0)
    return amount, minutes * 60.0 if minutes else NEVER, addresses


def check_minimal(fields: Fields) -> tuple[str, Kind]:
    """No cards, so shillings only."""
    if fields.text("currency") != "TZS":
        raise refuse_parameter("currency")
    return "TZS", Kind.CHECKOUT


def check_full(fields: Fields) -> tuple[str, Kind]:
    """Section 4.2: methods, and the bill's address in flat names."""
    currency = fields.text("currency")
    if currency not in ("TZS", "USD"):
        raise refuse_parameter("currency")
    methods = fields.text("payment_methods").split(",")
    if any(method not in METHODS for method in methods):
        raise refuse_parameter("payment_methods")
    for name in BILLING:
        fields.text(f"billing.{name}")
    fields.matching("billing.country", _COUNTRY)
    fields.matching("billing.phone", PHONE)
    return currency, Kind.CARD if methods == ["CARD"] else Kind.CHECKOUT


def back_to(charge: Charge, action: str) -> str:
    """After paying `redirect_url` with two more parameters, but never the order's id; else `cancel_url`."""
    if action != "pay":
        return str(charge.extra.get("cancel_url", ""))
    parts = urlsplit(str(charge.extra.get("redirect_url", "")))
    if not parts.netloc:
        return ""
    told = {"payment_status": "COMPLETED", "transid": transid_of(charge)}
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *told.items()])
    return parts._replace(query=query).geturl()


# Ask


async def query(request: Request) -> Response:
    """GET /checkout/order-status: the authority on what happened."""
    world, fields = await require_call(request)
    order_id = fields.text("order_id")

    async def accept() -> Response:
        charge = order_called(world, order_id)
        return done("Order fetch successful", data=[as_row(charge, time.time())])

    play = Play.begin(world, PROVIDER, "query", reference=order_id, only_asks=True)
    return await play.answer(accept, trouble_with(world.config.selcom))


def order_called(world: World, order_id: str) -> Charge:
    charge = world.ledger.charges.find(PROVIDER, order_id)
    if charge is None:
        raise refuse_undocumented(world.config.selcom, f"Order {order_id} not found")
    return charge


def as_row(charge: Charge, now: float) -> dict[str, Any]:
    """What stands behind the amount is null until the order is COMPLETED."""
    row = as_short_row(charge, now)
    is_paid = row["payment_status"] == "COMPLETED"
    return row | {
        "transid": transid_of(charge) if is_paid else None,
        "channel": charge.channel if is_paid else None,
        "reference": charge.id if is_paid else None,
        "phone": charge.phone if is_paid else None,
    }


def as_short_row(charge: Charge, now: float) -> dict[str, Any]:
    """Amounts are text; there is no currency."""
    status = status_of(charge, now)
    return {
        "order_id": charge.reference,
        "creation_date": local_time(charge.created_at),
        "amount": str(charge.collected if status == "COMPLETED" else charge.amount),
        "payment_status": status,
    }


async def query_all(request: Request) -> Response:
    """GET /checkout/list-orders: whole days in Tanzania, both included (unconfirmed). There are no pages."""
    world, fields = await require_call(request)
    since, until = read_day(fields, "fromdate").timestamp(), read_day(fields, "todate").timestamp() + DAY
    now = time.time()
    rows = [as_short_row(charge, now) for charge in world.ledger.charges.list_all(PROVIDER, since=since, until=until)]
    for row in rows:
        if row["payment_status"] == "CANCELLED":
            row["payment_status"] = "CANCEL"  # as the vendor's sample of the list spells it

    async def accept() -> Response:
        return done("Order fetch successful", data=rows)

    play = Play.begin(world, PROVIDER, "list", only_asks=True)
    return await play.answer(accept, trouble_with(world.config.selcom))


# Cancel


async def cancel(request: Request) -> Response:
    """DELETE /checkout/cancel-order. Completed and expired orders cannot be cancelled."""
    world, fields = await require_call(request)
    config, order_id = world.config.selcom, fields.text("order_id")
    play = Play.begin(world, PROVIDER, "cancel", reference=order_id)

    async def accept() -> Response:
        charge, now = order_called(world, order_id), time.time()
        if not is_alive(charge, now):
            raise refuse_undocumented(config, f"Order {order_id} cannot be cancelled")
        if charge.state(now) is State.OPEN:
            await till.decide(world, charge, State.CANCELLED)
        else:
            await till.flip(world, charge, State.CANCELLED, tells=False)
        return done("Order cancellation successful", reference=charge.id)

    return await play.answer(accept, trouble_with(config))


def routes() -> Iterable[Route]:
    checkout = f"{PREFIX}/checkout"
    return [
        Route(f"{checkout}/create-order-minimal", creating(check_minimal), methods=["POST"]),
        Route(f"{checkout}/create-order", creating(check_full), methods=["POST"]),
        Route(f"{checkout}/order-status", query, methods=["GET"]),
        Route(f"{checkout}/list-orders", query_all, methods=["GET"]),
        Route(f"{checkout}/cancel-order", cancel, methods=["DELETE"]),
    ]
