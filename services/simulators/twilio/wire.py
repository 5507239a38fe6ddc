"""How Twilio words things: errors, message resources, who may call."""

from __future__ import annotations

import hmac
import secrets
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request

from services.simulators.config import Config
from services.simulators.ledger.texts import Text, TextEnd
from services.simulators.scenarios import TextRefusal
from services.simulators.world import Refusal, World, basic_pair, world_of

VERSION = "2010-04-01"
# The HTTP statuses that are not 400 are unconfirmed, but for 401.
HTTP_STATUS = {20003: 401, 20404: 404, 20429: 429, 20500: 500, 21408: 403, 21611: 429}
MEANING = {
    20003: "Authenticate",
    20404: "The requested resource was not found",
    20429: "Too Many Requests",
    20500: "Internal Server Error",
    21211: "The 'To' number {to} is not a valid phone number.",
    21212: "The 'From' number is not a valid phone number, shortcode, or alphanumeric sender ID.",
    21408: "Permission to send an SMS has not been enabled for the region indicated by the 'To' number: {to}.",
    21602: "Message body is required.",
    21603: "A 'From' phone number is required.",
    21604: "A 'To' phone number is required.",
    21606: "The 'From' phone number provided is not a valid message-capable Twilio phone number for this destination.",
    21609: "The 'StatusCallback' URL is not a valid URL.",
    21610: "Attempt to send to unsubscribed recipient {to}.",
    21611: "This 'From' number has exceeded the maximum number of queued messages.",
    21612: "Message cannot be sent with the current combination of 'To' and/or 'From' parameters.",
    21614: "'To' number {to} is not a valid mobile number.",
    21617: "The concatenated message body exceeds the 1600 character limit.",
}
# Twilio's numbers for tests; from memory, unconfirmed.
MAGIC_TO = {
    "+15005550001": 21211,
    "+15005550002": 21612,
    "+15005550003": 21408,
    "+15005550004": 21610,
    "+15005550009": 21614,
}
MAGIC_FROM = {"+15005550001": 21212, "+15005550007": 21606, "+15005550008": 21611}
MAGIC_SENDER = "+15005550006"
REFUSED = {
    TextRefusal.NUMBER: 21211,
    TextRefusal.OPTED_OUT: 21610,
    TextRefusal.ROUTE: 21612,
    TextRefusal.LATER: 21611,
}
WORDS = {
    TextEnd.DELIVERED: "delivered",
    TextEnd.UNDELIVERED: "undelivered",
    TextEnd.EXPIRED: "failed",  # with 30036; which of the two unhappy words goes with it is unconfirmed
    TextEnd.PENDING: "sent",
}
UNDERWAY = "sent"
ERRORS = {TextEnd.UNDELIVERED: 30003, TextEnd.EXPIRED: 30036}


def refuse(code: int, *, to: str = "") -> Refusal:
    status = HTTP_STATUS.get(code, 400)
    return Refusal(
        status,
        {
            "code": code,
            "message": MEANING[code].format(to=to),
            "more_info": f"https://www.twilio.com/docs/errors/{code}",
            "status": status,
        },
    )


def require_account(request: Request) -> World:
    """The world, for the account's token or API key in HTTP Basic on the account's own path; else 20003 or 20404."""
    world = world_of(request)
    config = world.config.twilio
    given = basic_pair(request.headers.get("authorization", ""))
    pairs = [(config.account_sid, config.auth_token), (config.api_key, config.api_secret)]
    known = [hmac.compare_digest(given or b"", f"{name}:{secret}".encode()) for name, secret in pairs]
    if not any(known):
        raise refuse(20003)
    if request.path_params["account"] != config.account_sid:
        raise refuse(20404)  # which code is unconfirmed
    return world


def new_sid() -> str:
    return "SM" + secrets.token_hex(16)


def moment(at: float) -> str:
    """RFC 2822, in UTC."""
    return format_datetime(datetime.fromtimestamp(int(at), UTC))


def resource(config: Config, text: Text, now: float, *, status: str = "") -> dict[str, Any]:
    """One message as the REST interface prints it; `status` for the answer that creates it."""
    account, ended = config.twilio.account_sid, text.ended(now)
    error = None if ended is None or status else ERRORS.get(ended)
    phone, ours = f"+{text.phone}", text.sender
    is_chosen = not ours.startswith("MG")  # a service chooses the sender after it accepted
    sid = text.id
    return {
        "account_sid": account,
        "api_version": VERSION,
        "body": text.body,
        "date_created": moment(text.created_at),
        "date_sent": None if status else moment(text.created_at),
        "date_updated": moment(text.created_at if ended is None else text.ends_at),
        "direction": "inbound" if text.is_inbound else "outbound-api",
        "error_code": error,
        "error_message": None,
        "from": phone if text.is_inbound else (ours if is_chosen else None),
        "messaging_service_sid": None if is_chosen else ours,
        "num_media": "0",
        "num_segments": str(text.parts) if is_chosen else "0",
        "price": None,
        "price_unit": "USD",
        "sid": sid,
        "status": "received" if text.is_inbound else status or (UNDERWAY if ended is None else WORDS[ended]),
        "subresource_uris": {"media": f"/{VERSION}/Accounts/{account}/Messages/{sid}/Media.json"},
        "to": ours if text.is_inbound else phone,
        "uri": f"/{VERSION}/Accounts/{account}/Messages/{sid}.json",
    }
