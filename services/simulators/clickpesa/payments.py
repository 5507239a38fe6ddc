"""ClickPesa's mobile-money pushes, and asking what became of a payment (section 3)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.calls import iso_time
from services.simulators.clickpesa.wire import (
    CHANNELS,
    CUSTOMER,
    PREFIX,
    PROVIDER,
    as_number,
    as_text,
    channel_of,
    check_phone,
    check_reference,
    check_signature,
    count_submission,
    read_body,
    read_cut,
    read_period,
    refuse,
    refuse_fields,
    refuse_used,
    require_token,
    smallest_unit,
    trouble,
)
from services.simulators.config import Config
from services.simulators.ledger.charges import Charge, Kind, State
from services.simulators.ledger.ids import new_id
from services.simulators.play import Play
from services.simulators.world import JSON

FEE = 580  # whole shillings, for display only; the real scale is unconfirmed


def new_charge_id() -> str:
    return new_id("LCPPAY", 8)


def status_of(charge: Charge, now: float) -> str:
    """Section 3.8. A page that nobody has paid is PENDING; how one that ran out reads is unconfirmed."""
    match charge.state(now):
        case State.OPEN:
            return "PROCESSING" if charge.kind is Kind.PUSH else "PENDING"
        case State.PAID:
            return "SETTLED" if charge.is_settled(now) else "SUCCESS"
        case State.REFUNDED:
            return "REFUNDED"
        case State.REVERSED:
            return "REVERSED"
    return "FAILED"


def message_of(charge: Charge, now: float) -> str:
    """For people; every wording but the second is unconfirmed."""
    match charge.state(now):
        case State.OPEN:
            return "Waiting for the customer"
        case State.PAID:
            return "Payment completed"
        case State.EXPIRED:
            return "Request timed out"
        case State.REFUNDED | State.REVERSED:
            return "Returned to the customer"
    return "Request declined by the customer"


# Pushes


async def preview(request: Request) -> Response:
    """POST /payments/preview-ussd-push-request. Does not consume the reference."""
    world = require_token(request)
    body = await read_body(request)
    check_signature(world.config, body)
    check_order(body)
    answer: dict[str, Any] = {
        "activeMethods": [{"name": name, "status": "AVAILABLE", "fee": FEE} for name in CHANNELS],
    }
    phone = body.get("phoneNumber")
    if phone is not None:
        check_phone(phone)
        if body.get("fetchSenderDetails") is True:
            answer["sender"] = {
                "accountName": CUSTOMER["customerName"].upper(),
                "accountNumber": phone,
                "accountProvider": channel_of(phone),
            }

    async def accept() -> Response:
        return JSON(answer)

    play = Play.begin(world, PROVIDER, "preview", reference=body["orderReference"], only_asks=True)
    return await play.answer(accept, trouble)


async def initiate(request: Request) -> Response:
    """POST /payments/initiate-ussd-push-request: the push itself. The reference is the idempotency key."""
    world = require_token(request)
    body = await read_body(request)
    count_submission(world, body, phone="phoneNumber")
    check_signature(world.config, body)
    amount = check_order(body)
    phone, reference = check_phone(body.get("phoneNumber")), body["orderReference"]
    play = Play.begin(world, PROVIDER, "push", reference=reference, phone=phone)

    async def accept() -> Response:
        charge = play.push(id=new_charge_id(), amount=amount, currency="TZS", channel=channel_of(phone))
        if not await play.accept(charge):
            raise refuse_used(reference)
        return JSON(
            {
                "id": charge.id,
                "status": "PROCESSING",
                "channel": charge.channel,
                "orderReference": charge.reference,
                "collectedAmount": as_text(charge.amount, charge.currency),
                "collectedCurrency": charge.currency,
                "createdAt": iso_time(charge.created_at),
                "clientId": world.config.clickpesa_client_id,
            }
        )

    return await play.answer(accept, trouble)


def check_order(body: dict[str, Any]) -> int:
    """The amount of a push, once amount, currency and reference are right. Some wordings are unconfirmed."""
    amount, wrong, shillings = body.get("amount"), [], None
    if not isinstance(amount, str):
        wrong.append("amount must be a string")
    elif (shillings := smallest_unit(amount, "TZS")) is None:
        wrong.append("amount must be a whole number of shillings greater than zero")
    if body.get("currency") != "TZS":
        wrong.append("currency must be TZS")
    if wrong or shillings is None:
        raise refuse_fields(*wrong)
    check_reference(body.get("orderReference"))
    return shillings


# Queries


async def query(request: Request) -> Response:
    """GET /payments/{orderReference}: an array, the authority on what happened."""
    world = require_token(request)
    reference = request.path_params["reference"]
    play = Play.begin(world, PROVIDER, "query", reference=reference, only_asks=True)

    async def accept() -> Response:
        charges = world.ledger.charges.list_by_reference(PROVIDER, reference)
        if not charges:
            raise refuse(404, f"Invalid or missing payment: {reference}")
        return JSON([as_row(world.config, charge, time.time()) for charge in charges])

    return await play.answer(accept, trouble)


async def query_all(request: Request) -> Response:
    """GET /payments/all with the filters of section 3.6. Dates are whole days in UTC (unconfirmed)."""
    world = require_token(request)
    asked = request.query_params
    since, until = read_period(asked)
    wanted = read_cut(asked, ("status", "collectedCurrency", "channel", "orderReference", "clientId"))
    now, charges = time.time(), world.ledger.charges

    async def accept() -> Response:
        if wanted.filters:
            found = charges.list_all(PROVIDER, since=since, until=until)
            return JSON(wanted.of([as_row(world.config, charge, now) for charge in found]))
        # The usual question, about every payment of some days, reads no more than it shows.
        page, total = charges.page(
            PROVIDER,
            since=since,
            until=until,
            newest_first=wanted.newest_first,
            skip=wanted.skip,
            limit=wanted.limit,
        )
        return JSON({"data": [as_row(world.config, charge, now) for charge in page], "totalCount": total})

    return await Play.begin(world, PROVIDER, "list", only_asks=True).answer(accept, trouble)


def as_row(config: Config, charge: Charge, now: float) -> dict[str, Any]:
    """One element of the array. `collectedAmount` is a number here and text everywhere else."""
    has_money = charge.state(now) in (State.PAID, State.REFUNDED, State.REVERSED)
    amount, currency = (charge.collected, charge.collected_currency) if has_money else (charge.amount, charge.currency)
    row: dict[str, Any] = {"id": charge.id, "status": status_of(charge, now)}
    if has_money:
        row["paymentReference"] = payment_reference(charge)
    return row | {
        "paymentPhoneNumber": charge.phone,
        "orderReference": charge.reference,
        "channel": charge.channel,
        "collectedAmount": as_number(amount, currency),
        "collectedCurrency": currency,
        "message": message_of(charge, now),
        "updatedAt": iso_time(charge.changed_at(now)),
        "createdAt": iso_time(charge.created_at),
        "clientId": config.clickpesa_client_id,
        "customer": customer_of(charge),
    }


def payment_reference(charge: Charge) -> str:
    """The network's receipt number, worked out from the charge so that it never changes."""
    return f"RCT{int(charge.created_at * 1000)}"


def customer_of(charge: Charge) -> dict[str, str]:
    told: dict[str, str] = charge.extra.get("customer", {})
    return {**CUSTOMER, "customerPhoneNumber": charge.phone, **told}


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/payments/preview-ussd-push-request", preview, methods=["POST"]),
        Route(f"{PREFIX}/payments/initiate-ussd-push-request", initiate, methods=["POST"]),
        Route(f"{PREFIX}/payments/all", query_all, methods=["GET"]),
        Route(f"{PREFIX}/payments/{{reference}}", query, methods=["GET"]),
    ]
