"""ClickPesa's hosted checkout links and card payments (sections 3.3 and 3.4): both send the customer to a page.

The page is `services.simulators.hosted`'s; how ClickPesa's own looks does not matter here. To where it sends the
customer afterwards is a setting of the dashboard, in no request, so ours just says what happened.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import hosted
from services.simulators.clickpesa.payments import new_charge_id
from services.simulators.clickpesa.wire import (
    CUSTOMER,
    PREFIX,
    PROVIDER,
    channel_of,
    check_phone,
    check_reference,
    check_signature,
    count_submission,
    read_body,
    refuse,
    refuse_fields,
    refuse_used,
    require_token,
    smallest_unit,
    trouble,
)
from services.simulators.ledger.charges import Kind
from services.simulators.play import Play
from services.simulators.world import JSON

CARD_CHANNEL = "CARD"  # unconfirmed, like the names of the cards
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")


async def generate_checkout_url(request: Request) -> Response:
    """POST /checkout-link/generate-checkout-url: `totalPrice` or `orderItems`, in TZS or USD."""
    world = require_token(request)
    body = await read_body(request)
    count_submission(world, body, phone="customerPhone", amount="totalPrice")
    check_signature(world.config, body)
    if not body.get("orderReference"):
        raise refuse(400, "Order reference is required")
    # The limit of 20 characters is documented for pushes only.
    reference = check_reference(body["orderReference"], limit=None)
    currency = body.get("orderCurrency")
    if currency not in ("TZS", "USD"):
        raise refuse_fields("orderCurrency must be one of the following values: TZS, USD")  # wording unconfirmed
    amount = total_of(body, currency)
    phone = "" if not body.get("customerPhone") else check_phone(body["customerPhone"])
    customer = {
        "customerName": text_or(body, "customerName", CUSTOMER["customerName"]),
        "customerEmail": text_or(body, "customerEmail", CUSTOMER["customerEmail"]),
        "customerPhoneNumber": phone,
    }
    play = Play.begin(world, PROVIDER, "checkout", reference=reference)

    async def accept() -> Response:
        charge = play.checkout(
            id=new_charge_id(),
            amount=amount,
            currency=currency,
            phone=phone,
            channel=channel_of(phone) if phone else "M-PESA",
            extra={"customer": customer, "description": text_or(body, "description", "")},
        )
        if not await play.accept(charge):
            raise refuse_used(reference)
        return JSON({"checkoutLink": hosted.url_of(request, charge), "clientId": world.config.clickpesa_client_id})

    return await play.answer(accept, trouble)


def total_of(body: dict[str, Any], currency: str) -> int:
    """The price in the smallest unit, given whole or item by item."""
    total, items = body.get("totalPrice"), body.get("orderItems")
    if items is None:
        amount = smallest_unit(total, currency) if isinstance(total, str) else None
        if amount is None:
            raise refuse(400, "Total Price is required")
        return amount
    if not isinstance(items, list) or not items or not all(isinstance(item, dict) for item in items):
        raise refuse_fields("orderItems must be an array")  # wording unconfirmed
    amount = 0
    for item in items:
        price, quantity = item.get("price"), item.get("quantity")
        unit = smallest_unit(price, currency) if isinstance(price, str) else None
        if not isinstance(item.get("name"), str) or not item["name"].strip():
            raise refuse(400, "All items must have a name")
        if unit is None:
            raise refuse(400, "All items must have a price")
        if isinstance(quantity, bool) or not isinstance(quantity, int) or not 0 < quantity < 10**6:
            raise refuse(400, "All items must have a quantity")
        amount += unit * quantity
    return amount


def text_or(body: dict[str, Any], name: str, default: str) -> str:
    value = body.get(name)
    return value if isinstance(value, str) and value.strip() else default


# Cards


async def preview_card(request: Request) -> Response:
    """POST /payments/preview-card-payment. The answer's shape is that of a push's preview (unconfirmed)."""
    world = require_token(request)
    body = await read_body(request)
    check_signature(world.config, body)
    reference, _ = check_card_order(body)

    async def accept() -> Response:
        return JSON({"activeMethods": [{"name": CARD_CHANNEL, "status": "AVAILABLE", "fee": 1.2}]})

    return await Play.begin(world, PROVIDER, "preview", reference=reference, only_asks=True).answer(accept, trouble)


async def initiate_card(request: Request) -> Response:
    """POST /payments/initiate-card-payment: US dollars only."""
    world = require_token(request)
    body = await read_body(request)
    count_submission(world, body)
    check_signature(world.config, body)
    reference, amount = check_card_order(body)
    customer = check_card_customer(body.get("customer"))
    play = Play.begin(world, PROVIDER, "card", reference=reference)

    async def accept() -> Response:
        charge = play.checkout(
            id=new_charge_id(),
            amount=amount,
            currency="USD",
            kind=Kind.CARD,
            phone=customer["customerPhoneNumber"],
            channel=CARD_CHANNEL,
            extra={"customer": customer},
        )
        if not await play.accept(charge):
            raise refuse_used(reference)
        return JSON({"cardPaymentLink": hosted.url_of(request, charge), "clientId": world.config.clickpesa_client_id})

    return await play.answer(accept, trouble)


def check_card_order(body: dict[str, Any]) -> tuple[str, int]:
    """Reference and cents. The wordings are unconfirmed."""
    amount, cents = body.get("amount"), None
    if not isinstance(amount, str):
        raise refuse_fields("amount must be a string")
    if (cents := smallest_unit(amount, "USD")) is None:
        raise refuse_fields("amount must be greater than zero, with at most two decimals")
    if body.get("currency") != "USD":
        raise refuse_fields("currency must be USD")
    return check_reference(body.get("orderReference"), limit=None), cents


def check_card_customer(customer: object) -> dict[str, str]:
    """A known customer's `id`, or a name, an e-mail address and a phone number. The wordings are unconfirmed."""
    if not isinstance(customer, dict):
        raise refuse_fields("customer is required")
    if isinstance(customer.get("id"), str) and customer["id"]:
        return {**CUSTOMER, "customerPhoneNumber": "255712345678"}
    name, email = customer.get("fullName"), customer.get("email")
    if not isinstance(name, str) or not name.strip():
        raise refuse_fields("customer.fullName is required")
    if not isinstance(email, str) or not _EMAIL.fullmatch(email):
        raise refuse_fields("customer.email must be an email")
    phone = check_phone(customer.get("phoneNumber"))
    return {"customerName": name, "customerEmail": email, "customerPhoneNumber": phone}


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/checkout-link/generate-checkout-url", generate_checkout_url, methods=["POST"]),
        Route(f"{PREFIX}/payments/preview-card-payment", preview_card, methods=["POST"]),
        Route(f"{PREFIX}/payments/initiate-card-payment", initiate_card, methods=["POST"]),
    ]
