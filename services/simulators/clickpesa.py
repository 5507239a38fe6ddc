"""ClickPesa's side of the wire: tokens, USSD pushes, status queries and signed webhooks.

Source of every shape and wording: the ClickPesa vendor notes (sections 1 to 6). What they do not say is marked
"unconfirmed" here.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import signing
from services.simulators.calls import iso_time
from services.simulators.config import Config
from services.simulators.ledger import Charge, NewCallback, new_id
from services.simulators.scenarios import Callback, ChargeScenario, Ending, Reply, charge_scenario
from services.simulators.world import JSON, NoAnswer, NotJSON, Refusal, World, read_object, world_of

PREFIX = "/clickpesa/third-parties"
PROVIDER = "clickpesa"
REFERENCE_LIMIT = 20
FEE = 580  # whole shillings, for display only; the real scale is unconfirmed
# Prefixes after 255 by network. Numbers have been portable between networks, so this only makes answers plausible.
CHANNELS = {
    "M-PESA": ("74", "75", "76", "79"),
    "TIGO-PESA": ("65", "67", "71", "77"),
    "AIRTEL-MONEY": ("68", "69", "78"),
    "HALOPESA": ("61", "62"),
}
CUSTOMER = {"customerName": "Asha Juma", "customerEmail": "asha@example.com"}
# How far apart callbacks about the same moment are sent, in seconds.
CALLBACK_GAP = 0.2

_AMOUNT = re.compile(r"[1-9][0-9]{0,11}")
_PHONE = re.compile(r"255[67][0-9]{8}")
_REFERENCE = re.compile(r"[A-Za-z0-9]+")


# Errors


def refuse(status: int, message: str) -> Refusal:
    """The plain error body, as section 6 lists it."""
    return Refusal(status, {"message": message})


def refuse_fields(*messages: str) -> Refusal:
    """The error body with a list, as section 2.4 shows it for checksums; for other fields it is unconfirmed."""
    return Refusal(400, {"statusCode": 400, "message": list(messages), "error": "Bad Request"})


# Tokens


async def generate_token(request: Request) -> Response:
    """POST /generate-token: a token that already starts with `Bearer ` and really expires."""
    world = world_of(request)
    client_id, api_key = request.headers.get("client-id"), request.headers.get("api-key")
    if not client_id or not api_key:
        raise refuse(401, "Unauthorized")
    if not hmac.compare_digest(client_id.encode(), world.config.clickpesa_client_id.encode()):
        raise refuse(403, "Invalid client details")
    if not hmac.compare_digest(api_key.encode(), world.config.clickpesa_api_key.encode()):
        raise refuse(403, "Invalid or Expired API-Key")
    token = f"Bearer eyJ{secrets.token_urlsafe(48)}"
    expires_at = time.time() + world.config.token_lifetime
    world.ledger.add_token(token, key_digest=key_digest(world.config), expires_at=expires_at)
    return JSON({"success": True, "token": token})


def key_digest(config: Config) -> str:
    """Stored beside a token, because changing the checksum settings invalidates tokens (section 1)."""
    return hashlib.sha256(config.clickpesa_checksum_key.encode()).hexdigest()


def require_token(request: Request) -> World:
    """The world, for a caller with a valid token; otherwise 401."""
    world = world_of(request)
    token = request.headers.get("authorization", "")
    if not world.ledger.has_token(token, key_digest=key_digest(world.config), now=time.time()):
        raise refuse(401, "Unauthorized")
    return world


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
    return JSON(answer)


async def initiate(request: Request) -> Response:
    """POST /payments/initiate-ussd-push-request: the push itself. The reference is the idempotency key."""
    world = require_token(request)
    body = await read_body(request)
    if isinstance(body.get("orderReference"), str):
        world.ledger.count_submission(
            reference=body["orderReference"], phone=str(body.get("phoneNumber")), amount=str(body.get("amount"))
        )
    check_signature(world.config, body)
    check_order(body)
    check_phone(body.get("phoneNumber"))
    scenario = charge_scenario(body["phoneNumber"])
    if scenario.reply is Reply.ERROR_BEFORE:
        raise refuse(500, "Error validating fee, try again later")
    charge = new_charge(world.config, scenario, body)
    callbacks = world.ledger.accept_charge(charge, plan_callbacks(world.config, scenario, charge))
    if callbacks is None:
        raise refuse(409, f"Order reference {charge.reference} already used: Create a different reference")
    if scenario.reply is Reply.AFTER_CALLBACK and callbacks:
        await asyncio.wait([world.callbacks.send_now(callback) for callback in callbacks])
    world.callbacks.look_again()
    if scenario.reply is Reply.HELD:
        return NoAnswer(world, world.config.hang)
    if scenario.reply is Reply.ERROR_AFTER:
        raise Refusal(500, {"statusCode": 500, "message": "Internal server error"})  # wording unconfirmed
    return JSON(
        {
            "id": charge.id,
            "status": "PROCESSING",
            "channel": charge.channel,
            "orderReference": charge.reference,
            "collectedAmount": str(charge.amount),
            "collectedCurrency": charge.currency,
            "createdAt": iso_time(charge.created_at),
            "clientId": world.config.clickpesa_client_id,
        }
    )


async def read_body(request: Request) -> dict[str, Any]:
    try:
        return await read_object(request)
    except NotJSON as error:
        # The shape for unreadable JSON is unconfirmed.
        raise Refusal(400, {"statusCode": 400, "message": str(error), "error": "Bad Request"}) from error


def check_signature(config: Config, body: dict[str, Any]) -> None:
    """Section 2.4. Nothing is asked for when no key is configured."""
    if not config.clickpesa_checksum_key:
        return
    if not body.get("checksum"):
        raise refuse_fields("checksum is required")
    if not signing.is_valid(config.clickpesa_checksum_key, body):
        raise refuse_fields("Invalid checksum")


def check_order(body: dict[str, Any]) -> None:
    """Amount, currency and reference. The wordings about amount and currency are unconfirmed."""
    amount, currency, reference = body.get("amount"), body.get("currency"), body.get("orderReference")
    wrong = []
    if not isinstance(amount, str):
        wrong.append("amount must be a string")
    elif not _AMOUNT.fullmatch(amount):
        wrong.append("amount must be a whole number of shillings greater than zero")
    if currency != "TZS":
        wrong.append("currency must be TZS")
    if wrong:
        raise refuse_fields(*wrong)
    if not isinstance(reference, str) or not _REFERENCE.fullmatch(reference):
        raise refuse(400, "Invalid Order Reference, should only contain alphanumeric characters and cannot be blank")
    if len(reference) > REFERENCE_LIMIT:
        raise refuse(400, f"Order Reference should be less than or equal to {REFERENCE_LIMIT} characters")


def check_phone(phone: object) -> None:
    """Country code first, no plus: 255712345678."""
    if not isinstance(phone, str) or not _PHONE.fullmatch(phone):
        raise refuse(400, "Invalid / unsupported phone number")


def channel_of(phone: str) -> str:
    """The network a number looks like. A prefix of no known network counts as M-PESA, so that any number can pay."""
    return next((name for name, prefixes in CHANNELS.items() if phone[3:5] in prefixes), "M-PESA")


def new_charge(config: Config, scenario: ChargeScenario, body: dict[str, Any]) -> Charge:
    """The push as the scenario will play it."""
    now = time.time()
    lasts = {Ending.AT_ONCE: 0.0, Ending.APPROVE_AFTER: config.approve_after, Ending.PUSH_TIMEOUT: config.push_timeout}
    ends_at = now + lasts[scenario.ends]
    amount = int(body["amount"])
    if scenario.status == "SUCCESS":
        message = "Payment completed"
    elif scenario.ends is Ending.PUSH_TIMEOUT:
        message = "Request timed out"  # wording unconfirmed
    else:
        message = "Request declined by the customer"  # wording unconfirmed
    return Charge(
        reference=body["orderReference"],
        id=new_id("LCPPAY", 8),
        scenario=scenario.name,
        phone=body["phoneNumber"],
        channel=channel_of(body["phoneNumber"]),
        amount=amount,
        collected=amount * scenario.collected_percent // 100,
        currency="TZS",
        final_status=scenario.status,
        message=message,
        created_at=now,
        ends_at=ends_at,
        settles_at=ends_at + config.settle_after if scenario.settles else None,
    )


# Webhooks


def plan_callbacks(config: Config, scenario: ChargeScenario, charge: Charge) -> list[NewCallback]:
    """The scenario's callbacks about this charge, with the bytes that will be sent."""
    if not config.clickpesa_callback_url:
        return []
    planned = []
    for number, kind in enumerate(scenario.callbacks):
        due_at = charge.ends_at + number * CALLBACK_GAP
        if kind is Callback.LATE:
            due_at = max(charge.created_at + config.late_callback, charge.ends_at)
        is_genuine = kind in (Callback.GENUINE, Callback.LATE)
        planned.append(
            NewCallback(
                provider=PROVIDER,
                subject=charge.reference,
                kind=kind.value,
                body=orjson.dumps(webhook(config, charge, kind)),
                due_at=due_at,
                tries=config.callback_tries if is_genuine else 1,  # a forger does not wait for an answer
            )
        )
    return planned


def webhook(config: Config, charge: Charge, kind: Callback) -> dict[str, Any]:
    """The body of one callback. Forgeries claim success; the failure event uses `eventType`, as it was observed."""
    is_genuine = kind in (Callback.GENUINE, Callback.LATE)
    times = {"updatedAt": iso_time(charge.ends_at), "createdAt": iso_time(charge.created_at)}
    payload: dict[str, Any]
    if charge.final_status == "SUCCESS" or not is_genuine:
        payload = {
            "event": "PAYMENT RECEIVED",
            "data": {
                "id": charge.id,
                "status": "SUCCESS",
                "paymentReference": payment_reference(charge),
                "orderReference": charge.reference,
                "collectedAmount": str(charge.collected),
                "collectedCurrency": charge.currency,
                "message": "Payment completed",
                "channel": charge.channel,
                **times,
                "customer": customer_of(charge),
                "clientId": config.clickpesa_client_id,
            },
        }
    else:
        payload = {
            "eventType": "PAYMENT FAILED",
            "data": {
                "id": charge.id,
                "status": "FAILED",
                "orderReference": charge.reference,
                "message": charge.message,
                **times,
            },
        }
    key = "a forger does not know the key" if kind is Callback.WRONGLY_SIGNED else config.clickpesa_checksum_key
    if key and kind is not Callback.UNSIGNED:
        payload |= {"checksum": signing.checksum(key, payload), "checksumMethod": signing.CANONICAL}
    return payload


def payment_reference(charge: Charge) -> str:
    """The network's receipt number, worked out from the charge so that it never changes."""
    return f"RCT{int(charge.created_at * 1000)}"


def customer_of(charge: Charge) -> dict[str, str]:
    return {**CUSTOMER, "customerPhoneNumber": charge.phone}


# Queries


async def query(request: Request) -> Response:
    """GET /payments/{orderReference}: an array, the authority on what happened."""
    world = require_token(request)
    reference = request.path_params["reference"]
    charge = world.ledger.find_charge(reference)
    if charge is None:
        raise refuse(404, f"Invalid or missing payment: {reference}")
    return JSON([as_row(world.config, charge, time.time())])


async def query_all(request: Request) -> Response:
    """GET /payments/all with the filters of section 3.6. Dates are whole days in UTC (unconfirmed)."""
    world = require_token(request)
    asked = request.query_params
    start, end = day(asked.get("startDate"), "startDate"), day(asked.get("endDate"), "endDate")
    if asked.get("sortBy", "createdAt") != "createdAt":
        raise refuse_fields("sortBy must be createdAt")
    order_by = asked.get("orderBy", "DESC")
    if order_by not in ("ASC", "DESC"):
        raise refuse_fields("orderBy must be ASC or DESC")
    skip, limit = natural(asked.get("skip", "0"), "skip"), natural(asked.get("limit", "20"), "limit")
    now = time.time()
    rows = [
        as_row(world.config, charge, now)
        for charge in world.ledger.list_charges()
        if (start is None or charge.created_at >= start) and (end is None or charge.created_at < end + 86_400)
    ]
    for name in ("status", "collectedCurrency", "channel", "orderReference", "clientId"):
        if name in asked:
            rows = [row for row in rows if row[name] == asked[name]]
    if order_by == "DESC":
        rows.reverse()
    return JSON({"data": rows[skip : skip + limit], "totalCount": len(rows)})


def as_row(config: Config, charge: Charge, now: float) -> dict[str, Any]:
    """One element of the array. `collectedAmount` is a number here and text everywhere else."""
    is_paid = charge.is_paid(now)
    row: dict[str, Any] = {"id": charge.id, "status": charge.status(now)}
    if is_paid:
        row["paymentReference"] = payment_reference(charge)
    return row | {
        "paymentPhoneNumber": charge.phone,
        "orderReference": charge.reference,
        "channel": charge.channel,
        "collectedAmount": charge.collected if is_paid else charge.amount,
        "collectedCurrency": charge.currency,
        "message": charge.message if now >= charge.ends_at else "Waiting for the customer",  # wording unconfirmed
        "updatedAt": iso_time(charge.changed_at(now)),
        "createdAt": iso_time(charge.created_at),
        "clientId": config.clickpesa_client_id,
        "customer": customer_of(charge),
    }


def day(text: str | None, name: str) -> float | None:
    """Midnight of a day written `YYYY-MM-DD` or `DD-MM-YYYY`."""
    if text is None:
        return None
    for form in ("%Y-%m-%d", "%d-%m-%Y"):
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC).timestamp()
        except ValueError:
            continue
    raise refuse_fields(f"{name} must be YYYY-MM-DD or DD-MM-YYYY")


def natural(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise refuse_fields(f"{name} must be a whole number")
    return int(text)


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/generate-token", generate_token, methods=["POST"]),
        Route(f"{PREFIX}/payments/preview-ussd-push-request", preview, methods=["POST"]),
        Route(f"{PREFIX}/payments/initiate-ussd-push-request", initiate, methods=["POST"]),
        Route(f"{PREFIX}/payments/all", query_all, methods=["GET"]),
        Route(f"{PREFIX}/payments/{{reference}}", query, methods=["GET"]),
    ]
