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

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.config import Config
from services.simulators.faults import Fault
from services.simulators.ledger.texts import Text, TextEnd
from services.simulators.provider import Notice
from services.simulators.scenarios import TextRefusal
from services.simulators.texting import GSM, GSM_EXTENDED, SmsProvider, TextPlay, refusal_of
from services.simulators.world import JSON, NotJSON, Refusal, World, basic_pair, read_object, world_of

PREFIX = "/beem"
RECIPIENT_LIMIT = 1000
# The status for each code is documented nowhere; this split is the one the vendor notes suggest (section 2).
HTTP_STATUS = {102: 402, 103: 500, 107: 401, 108: 401, 120: 401}
MEANING = {
    101: "Invalid dest_addr",
    102: "Insufficient balance",
    103: "Network timeout",
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

    if not any(_PHONE.fullmatch(phone) for _id, phone in recipients):
        raise refuse(config, 101)
    play = TextPlay.begin(world, BEEM, "send", phone=recipients[0][1], reference=recipients[0][0])

    unique: dict[str, str] = {}
    duplicates = invalid = 0
    for recipient_id, phone in recipients:
        if phone in unique:
            duplicates += 1
        elif not _PHONE.fullmatch(phone) or refusal_of(phone) is TextRefusal.NUMBER:
            invalid += 1
        else:
            unique[phone] = recipient_id
    if not unique:
        raise refuse(config, 101)
    credits = count_segments(message, encoding)
    if world.ledger.texts.spent_parts(BEEM.code) + credits * len(unique) > config.beem_balance:
        raise refuse(config, 102)

    async def accept() -> Response:
        request_id = world.ledger.texts.new_number(BEEM.code)
        await play.accept(
            [
                play.text(
                    id=str(request_id),
                    reference=recipient_id,
                    phone=phone,
                    sender=sender,
                    body=message,
                    encoding=str(encoding),
                    parts=credits,
                    starts_at=starts_at,
                )
                for phone, recipient_id in unique.items()
            ]
        )
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

    return await play.answer(accept, lambda fault: trouble(config, fault))


def trouble(config: Config, fault: Fault) -> Response:
    """A number that is refused, or the code after which nobody knows whether the text was taken."""
    refusal = refuse(config, 101 if fault is Fault.REFUSE else 103)
    return JSON(refusal.body, status_code=refusal.status)


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


def announce(world: World, text: Text) -> list[Notice]:
    """One report per recipient, JSON with a capital `Status`."""
    report = {
        "request_id": text.id,
        "recipient_id": text.reference,
        "dest_addr": text.phone,
        "Status": BEEM.words[text.end],
    }
    return [Notice(kind="report", body=report)]


async def balance(request: Request) -> Response:
    """GET /public/v1/vendors/balance."""
    world = require_account(request)
    return JSON({"data": {"credit_balance": world.config.beem_balance - world.ledger.texts.spent_parts(BEEM.code)}})


async def delivery_reports(request: Request) -> Response:
    """GET /dlr/public/v1/delivery-reports: 404 while nothing is known yet, then an array of one."""
    world = require_account(request)
    phone, request_id = request.query_params.get("dest_addr"), request.query_params.get("request_id")
    if not phone or not request_id:
        raise refuse(world.config, 104)
    play = TextPlay.begin(world, BEEM, "query", phone=phone, reference=request_id, only_asks=True)

    async def tell() -> Response:
        text = world.ledger.texts.find(provider=BEEM.code, id=request_id, phone=phone)
        status = "" if text is None else BEEM.status(text, time.time())
        if not status:
            # The body that goes with the 404 is unconfirmed.
            raise Refusal(404, {"successful": False, "message": "No delivery report found"})
        return JSON([{"dest_addr": phone, "status": status, "request_id": request_id}])

    return await play.answer(tell, lambda fault: trouble(world.config, fault))


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/sms/v1/send", send, methods=["POST"]),
        Route(f"{PREFIX}/public/v1/vendors/balance", balance, methods=["GET"]),
        Route(f"{PREFIX}/dlr/public/v1/delivery-reports", delivery_reports, methods=["GET"]),
    ]


BEEM = SmsProvider(
    code="beem",
    name="Beem SMS",
    operations=("send", "query"),
    routes=routes,
    callback_url=lambda config: config.beem_callback_url,
    words={
        TextEnd.DELIVERED: "DELIVERED",
        TextEnd.UNDELIVERED: "UNDELIVERED",
        TextEnd.EXPIRED: "EXPIRED",  # unconfirmed
        TextEnd.PENDING: "PENDING",
    },
    announce=announce,
    # The vendor notes say "when we do not answer 200", so nothing else counts.
    is_received=lambda status: status == 200,
)
