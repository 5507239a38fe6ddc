"""Polar's refunds (section 4): amounts without tax, which Polar adds by itself."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from typing import Any
from uuid import uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.faults import Fault
from services.simulators.ledger.charges import Charge, State
from services.simulators.ledger.transfers import Transfer, TransferKind, TransferState
from services.simulators.play import Play
from services.simulators.polar import bodies, records
from services.simulators.polar.form import Form, read_form
from services.simulators.polar.orders import check_ids, find_by_order
from services.simulators.polar.wire import (
    PROVIDER,
    as_uuid,
    belonging,
    cut,
    endpoint,
    keep,
    reference_of,
    refuse,
    trouble,
)
from services.simulators.scenarios import charge_scenario
from services.simulators.world import JSON, World

REASONS = (
    "duplicate",
    "fraudulent",
    "customer_request",
    "service_disruption",
    "satisfaction_guarantee",
    "other",
)
NEXT = "next refund"  # how refunds to come will go, in the order they were scripted
ENDS = {
    "succeeded": TransferState.SENT,
    "failed": TransferState.FAILED,
    "canceled": TransferState.REFUNDED,
}


async def create(world: World, request: Request) -> Response:
    """POST /v1/refunds/. There is no idempotency key: the same call twice refunds twice."""
    form = await read_form(request)
    order_id, reason = form.uuid("order_id"), form.choice("reason", REASONS)
    form.needed("amount")
    amount = form.whole("amount", least=1)
    if "amount" in form.body and form.body["amount"] is None:
        form.refuse("int_type", "Input should be a valid integer", "amount")
    form.text("comment")
    revokes, metadata = form.flag("revoke_benefits", False), form.metadata()
    form.check()
    charge = find_order(world, form, order_id)
    check_refundable(world, form, charge, amount or 0)
    id = str(uuid4())
    play = Play.begin(world, PROVIDER, "refund", reference=reference_of(metadata, id))
    extra = {"reason": reason, "metadata": metadata, "revoke_benefits": revokes}

    async def accept() -> Response:
        # Once more: another call may have come while this one was kept waiting.
        charge = find_order(world, form, order_id)
        check_refundable(world, form, charge, amount or 0)
        transfer = plan(world, play, charge, id=id, amount=amount or 0, extra=extra)
        body = records.refund(charge, transfer, transfer.created_at)
        await play.accept_transfer(transfer, is_unique=False)
        return JSON(body, status_code=201)

    return await play.answer(accept, trouble_of_refund)


def trouble_of_refund(fault: Fault) -> Response:
    if fault is Fault.REFUSE:
        return JSON({"error": "RefundsBlocked", "detail": "Refunds are blocked for this order."}, status_code=403)
    return trouble(fault)


def find_order(world: World, form: Form, order_id: str) -> Charge:
    charge = find_by_order(world, order_id)
    if charge is None:
        form.refuse("value_error", "Order not found", "order_id", value=order_id)
        form.check("PolarRequestValidationError")
    assert charge is not None  # noqa: S101 - refused above; this is for the type checker
    return charge


def left_of(world: World, charge: Charge, now: float) -> tuple[int, int]:
    """How much can still be given back, and its tax. What is pending counts as gone (unconfirmed)."""
    live = [
        each
        for each in records.refunds_of(world, charge)
        if each.state(now) in (TransferState.OPEN, TransferState.SENT)
    ]
    return (
        charge.collected - sum(each.amount for each in live),
        bodies.tax_on(charge, charge.collected) - sum(int(each.extra.get("tax", 0)) for each in live),
    )


def check_refundable(world: World, form: Form, charge: Charge, amount: int) -> None:
    """The wordings of the 403 are unconfirmed."""
    now = time.time()
    if charge.state(now) is State.CANCELLED:
        raise refuse(404, "ResourceNotFound", "Not found")  # nothing was paid
    if charge.extra.get("is_disputed"):
        raise refuse(403, "RefundDisputedPayment", "The payment of this order is disputed.")
    if charge.extra.get("are_refunds_blocked"):
        raise refuse(403, "RefundsBlocked", "Refunds are blocked for this order.")
    if records.order(world, charge, at=now)["status"] == "refunded":
        raise refuse(403, "RefundedAlready", "Order is already fully refunded.")
    if amount > left_of(world, charge, now)[0]:
        form.refuse("value_error", "Refund amount exceeds refundable amount", "amount", value=amount)
        form.check("PolarRequestValidationError")


def tax_for(world: World, charge: Charge, amount: int, now: float) -> int:
    """All of the rest with the last of the money, its share before (section 4)."""
    rest, rest_of_tax = left_of(world, charge, now)
    if amount == rest:
        return rest_of_tax
    return round(Fraction(amount * bodies.tax_on(charge, charge.collected), charge.collected))


def plan(world: World, play: Play, charge: Charge, *, id: str, amount: int, extra: dict[str, Any]) -> Transfer:
    """The refund, as it was scripted; money goes back at once when nothing was."""
    transfer = play.transfer(
        id=id,
        kind=TransferKind.REFUND,
        amount=amount,
        currency=charge.collected_currency,
        charge_id=charge.id,
        recipient=charge.reference,
        channel="card",
        extra=extra,
    )
    now = transfer.created_at
    tax = tax_for(world, charge, amount, now)
    scripted = next(iter(world.ledger.documents.list_all(PROVIDER, NEXT)), None)
    if scripted is not None:
        world.ledger.documents.remove(PROVIDER, NEXT, scripted["id"])
    becomes, after = (scripted["becomes"], scripted["after"]) if scripted else ("succeeded", 0.0)
    return replace(transfer, outcome=ENDS[becomes], ends_at=now + after, extra={**extra, "tax": tax})


async def refund_on_dashboard(world: World, charge: Charge, *, amount: int | None, reason: str) -> Transfer:
    """What somebody at the organization, or Polar itself, does without asking us. `None` is all that is left."""
    id, form = str(uuid4()), Form({})
    rest = left_of(world, charge, time.time())[0]
    check_refundable(world, form, charge, rest if amount is None else amount)
    play = Play(
        world=world,
        provider=PROVIDER,
        reference=id,
        phone="",
        scenario=charge_scenario(""),
        fault=None,
    )
    extra = {"reason": reason, "metadata": {}, "revoke_benefits": False}
    transfer = plan(world, play, charge, id=id, amount=rest if amount is None else amount, extra=extra)
    await play.accept_transfer(transfer, is_unique=False)
    return transfer


# List


async def list_all(world: World, request: Request) -> Response:
    """GET /v1/refunds/?order_id=&succeeded=. There is no call for a single one."""
    check_ids(request, "id", "order_id", "customer_id", "subscription_id", "organization_id")
    orders = request.query_params.getlist("order_id")

    async def accept() -> Response:
        now = time.time()
        rows = []
        for charge in charges_of(world, orders):
            rows += [records.refund(charge, each, now) for each in records.refunds_of(world, charge)
                     if each.created_at <= now]  # fmt: skip
        names = ("id", "order_id", "customer_id", "subscription_id", "organization_id")
        rows = keep(request, rows, {name: name for name in names})
        if succeeded := request.query_params.get("succeeded"):
            wanted = succeeded.lower() in ("true", "1")
            rows = [row for row in rows if (row["status"] == "succeeded") is wanted]
        rows.sort(key=lambda row: str(row["created_at"]))
        return JSON(cut(request, rows, {"created_at": "created_at", "amount": "amount"}))

    return await Play.begin(world, PROVIDER, "list", only_asks=True).answer(accept, trouble)


def charges_of(world: World, orders: list[str]) -> list[Charge]:
    """The charges behind these orders, or every one that has refunds."""
    charges = world.ledger.charges
    if orders:
        ids = [belonging(as_uuid(each) or "", "order") for each in dict.fromkeys(orders)]
        return [charge for id in ids if (charge := charges.find_by_id(PROVIDER, id))]
    refunded = {each.charge_id for each in world.ledger.transfers.list_all(PROVIDER)}
    now = time.time()
    return [
        charge
        for charge in charges.list_all(PROVIDER)
        if charge.id in refunded or charge.state(now) in records.GIVEN_BACK
    ]


def routes() -> Iterable[Route]:
    return [
        Route("/v1/refunds/", endpoint("refunds:write")(create), methods=["POST"]),
        Route("/v1/refunds/", endpoint("refunds:read", "refunds:write")(list_all), methods=["GET"]),
    ]
