"""Beem's side of the wire: sending SMS, the balance, and delivery reports asked for or called back.

Source of every shape and code: the Beem vendor notes (sections 1 to 3, 5 and 8). What they do not say is marked
"unconfirmed" here.
"""

from __future__ import annotations

import hmac
import math
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.config import Config
from services.simulators.ledger.callbacks import NewCallback
from services.simulators.ledger.texts import Text
from services.simulators.scenarios import text_scenario
from services.simulators.world import JSON, NotJSON, Refusal, World, basic_pair, read_object, world_of

PREFIX = "/beem"
PROVIDER = "beem sms"  # Beem's payments have callbacks of their own, to another address
RECIPIENT_LIMIT = 1000
# The status for each code is documented nowhere; this split is the one the vendor notes suggest (section 2).
HTTP_STATUS = {102: 402, 103: 500, 107: 401, 108: 401, 120: 401}
MEANING = {
    101: "Invalid dest_addr",
    102: "Insufficient balance",
    104: "Missing required parameter",
    107: "No authorization header",
    108: "Invalid token",
    109: "Message is empty or invalid",
    110: "Message contains unsupported special characters",
    111: "Sender ID is not registered or inactive",
    112: "Scheduled time is in the past",
    113: "Malformed JSON",
    114: "More than 1000 recipients",
    115: "Destination address is missing",
    116: "Reference id is missing or invalid",
    117: "Invalid scheduled time format",
    118: "Encoding is missing",
    119: "Recipients are missing",
    120: "Invalid authentication parameters",
}
# GSM 03.38: the default alphabet, then the characters that cost two.
GSM = frozenset(
    "@\u00a3$\u00a5\u00e8\u00e9\u00f9\u00ec\u00f2\u00c7\n\u00d8\u00f8\r\u00c5\u00e5\u0394_\u03a6\u0393\u039b\u03a9"
    "\u03a0\u03a8\u03a3\u0398\u039e\u00c6\u00e6\u00df\u00c9 !\"#\u00a4%&'()*+,-./0123456789:;<=>?\u00a1"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ\u00c4\u00d6\u00d1\u00dc\u00a7\u00bfabcdefghijklmnopqrstuvwxyz\u00e4\u00f6\u00f1\u00fc"
    "\u00e0"
)
GSM_EXTENDED = frozenset("\f^{}\\[~]|\u20ac")
GSM_ENCODING, UNICODE_ENCODING = 0, 8

_PHONE = re.compile(r"[1-9][0-9]{9,14}")


def refuse(config: Config, code: int) -> Refusal:
    """Failure `code`. The code decides, not the status: a switch sends every failure with HTTP 200."""
    status = 200 if config.beem_fail_with_200 else HTTP_STATUS.get(code, 400)
    return Refusal(status, {"successful": False, "code": code, "message": MEANING[code]})


def require_account(request: Request) -> World:
    """The world, for a caller with the right key and secret in HTTP Basic; otherwise 107, 108 or 120."""
    world = world_of(request)
    config = world.config
    header = request.headers.get("authorization")
    if header is None:
        raise refuse(config, 107)
    given = basic_pair(header)
    if given is None:
        raise refuse(config, 108)
    if not hmac.compare_digest(given, f"{config.beem_api_key}:{config.beem_secret_key}".encode()):
        raise refuse(config, 120)
    return world


async def send(request: Request) -> Response:
    """POST /sms/v1/send. There is no idempotency key: the same call twice is two texts."""
    world = require_account(request)
    config = world.config
    try:
        body = await read_object(request)
    except NotJSON as error:
        raise refuse(config, 113) from error
    sender, message, encoding = check_message(config, body)
    recipients = check_recipients(config, body.get("recipients"))
    now = time.time()
    starts_at = check_schedule(config, body.get("schedule_time"), now)

    unique: dict[str, str] = {}
    duplicates = invalid = 0
    for recipient_id, phone in recipients:
        if phone in unique:
            duplicates += 1
        elif not _PHONE.fullmatch(phone):
            invalid += 1
        else:
            unique[phone] = recipient_id
    if not unique:
        raise refuse(config, 101)
    credits = count_segments(message, encoding)
    if world.ledger.texts.spent_credits() + credits * len(unique) > config.beem_balance:
        raise refuse(config, 102)

    request_id = world.ledger.texts.new_request_id()
    texts = [
        Text(
            request_id=request_id,
            recipient_id=recipient_id,
            phone=phone,
            sender=sender,
            body=message,
            encoding=encoding,
            credits=credits,
            final_status=text_scenario(phone).status,
            created_at=now,
            reports_at=starts_at + (0.0 if text_scenario(phone).callback_first else config.beem_deliver_after),
        )
        for phone, recipient_id in unique.items()
    ]
    callbacks = world.ledger.texts.accept(texts, plan_callbacks(config, texts))
    early = {subject_of(text) for text in texts if text_scenario(text.phone).callback_first and starts_at <= now}
    world.callbacks.schedule(callback for callback in callbacks if callback.subject not in early)
    await world.callbacks.send_now(callback for callback in callbacks if callback.subject in early)
    if config.beem_delay:
        await world.wait(config.beem_delay)
    return JSON(
        {
            "successful": True,
            "request_id": request_id,
            "code": 100,
            "message": "Message Submitted Successfully",
            "valid": len(unique),
            "invalid": invalid,
            "duplicates": duplicates,
        }
    )


def check_message(config: Config, body: dict[str, Any]) -> tuple[str, str, int]:
    """Sender, text and encoding, or the code for what is wrong with them."""
    sender, message, encoding = body.get("source_addr"), body.get("message"), body.get("encoding")
    if sender is None or message is None:
        raise refuse(config, 104)
    if not isinstance(message, str) or not message.strip():
        raise refuse(config, 109)
    if isinstance(encoding, bool) or str(encoding) not in (str(GSM_ENCODING), str(UNICODE_ENCODING)):
        raise refuse(config, 118)  # for an unknown encoding this code is unconfirmed
    if int(str(encoding)) == GSM_ENCODING and not set(message) <= GSM | GSM_EXTENDED:
        raise refuse(config, 110)
    if sender not in config.beem_senders:
        raise refuse(config, 111)
    return sender, message, int(str(encoding))


def check_recipients(config: Config, recipients: object) -> list[tuple[str, str]]:
    """Pairs of recipient id and number, or the code for what is wrong with them."""
    if not isinstance(recipients, list) or not recipients:
        raise refuse(config, 119)
    if len(recipients) > RECIPIENT_LIMIT:
        raise refuse(config, 114)
    pairs, seen = [], set()
    for item in recipients:
        phone = item.get("dest_addr") if isinstance(item, dict) else None
        if not isinstance(phone, str) or not phone.strip():
            raise refuse(config, 115)
        recipient_id = item.get("recipient_id")
        if isinstance(recipient_id, bool) or not isinstance(recipient_id, int | str) or recipient_id == "":
            raise refuse(config, 116)
        if str(recipient_id) in seen:  # "unique in the call" is documented, this code for it is unconfirmed
            raise refuse(config, 116)
        seen.add(str(recipient_id))
        pairs.append((str(recipient_id), phone))
    return pairs


def check_schedule(config: Config, text: object, now: float) -> float:
    """When to send, as a Unix time: `YYYY-MM-DD HH:MM` in GMT+0, or at once for "" and nothing."""
    if text is None or text == "":
        return now
    try:
        if not isinstance(text, str):
            raise ValueError("not text")
        moment = datetime.strptime(text, "%Y-%m-%d %H:%M").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise refuse(config, 117) from error
    if moment < now:
        raise refuse(config, 112)
    return moment


def count_segments(message: str, encoding: int) -> int:
    """Parts of an SMS, each one credit (what a credit buys at Beem is unconfirmed)."""
    if encoding == GSM_ENCODING:
        length, whole, part = sum(2 if char in GSM_EXTENDED else 1 for char in message), 160, 153
    else:
        length, whole, part = len(message.encode("utf-16-be")) // 2, 70, 67
    return 1 if length <= whole else math.ceil(length / part)


def plan_callbacks(config: Config, texts: list[Text]) -> list[NewCallback]:
    """Delivery report callbacks: JSON with a capital `Status`, one per recipient and call."""
    if not config.beem_callback_url:
        return []
    return [
        NewCallback(
            provider=PROVIDER,
            subject=subject_of(text),
            kind="report",
            body=orjson.dumps(
                {
                    "request_id": str(text.request_id),
                    "recipient_id": text.recipient_id,
                    "dest_addr": text.phone,
                    "Status": text.final_status,
                }
            ),
            due_at=text.reports_at + number * 0.2,
            tries=config.callback_tries,
        )
        for text in texts
        for number in range(text_scenario(text.phone).callbacks)
    ]


def subject_of(text: Text) -> str:
    return f"{text.request_id}/{text.phone}"


async def balance(request: Request) -> Response:
    """GET /public/v1/vendors/balance."""
    world = require_account(request)
    return JSON({"data": {"credit_balance": world.config.beem_balance - world.ledger.texts.spent_credits()}})


async def delivery_reports(request: Request) -> Response:
    """GET /dlr/public/v1/delivery-reports: 404 while nothing is known yet, then an array of one."""
    world = require_account(request)
    phone, request_id = request.query_params.get("dest_addr"), request.query_params.get("request_id")
    if not phone or not request_id:
        raise refuse(world.config, 104)
    text = world.ledger.texts.find(request_id=request_id, phone=phone)
    status = None if text is None else text.status(time.time())
    if status is None:
        # The body that goes with the 404 is unconfirmed.
        raise Refusal(404, {"successful": False, "message": "No delivery report found"})
    return JSON([{"dest_addr": phone, "status": status, "request_id": request_id}])


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/sms/v1/send", send, methods=["POST"]),
        Route(f"{PREFIX}/public/v1/vendors/balance", balance, methods=["GET"]),
        Route(f"{PREFIX}/dlr/public/v1/delivery-reports", delivery_reports, methods=["GET"]),
    ]
