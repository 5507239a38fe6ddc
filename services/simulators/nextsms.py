"""NextSMS's side of the wire: sending, reports that can be read once, the log that can be read again, the balance.

Source of every shape and word: the vendor notes (section 2 of the document on other SMS providers), which rest on one
copy of the documentation and three client libraries. What they do not say is marked "unconfirmed". Scheduled and
repeated sending is not played.
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.faults import Fault
from services.simulators.ledger.ids import new_id
from services.simulators.ledger.texts import Text, TextEnd
from services.simulators.scenarios import TextRefusal
from services.simulators.texting import SmsProvider, TextPlay, count_parts, refusal_of
from services.simulators.world import JSON, NotJSON, Refusal, World, basic_pair, read_object, world_of

PREFIX = "/nextsms/api/sms"
SERVED = "served report"
MOST = 500  # reports or lines of the log in one answer
LONGEST = 25  # parts
HERE = timezone(timedelta(hours=3))

# Group and name; the numbers stand in one of two published tables, which disagree.
STATUS: dict[str, tuple[int, str, int, str]] = {
    "PENDING_ENROUTE": (1, "PENDING", 7, "Message sent to next instance"),
    "DELIVERED_TO_HANDSET": (3, "DELIVERED", 5, "Message delivered to handset"),
    "UNDELIVERABLE_NOT_DELIVERED": (2, "UNDELIVERABLE", 9, "Message sent not delivered"),
    "EXPIRED_EXPIRED": (4, "EXPIRED", 15, "Message expired"),
    "REJECTED_SENDER": (5, "REJECTED", 14, "Invalid Sender ID"),
    "REJECTED_NOT_ENOUGH_CREDITS": (5, "REJECTED", 12, "Not enough credits"),
    "REJECTED_MESSAGE_TOO_LONG": (5, "REJECTED", 56, "Message too long"),
    "REJECTED_INVALID_DESTINATION": (5, "REJECTED", 52, "Invalid destination"),
    "REJECTED_DND": (5, "REJECTED", 20, "Number is on the Do Not Disturb list"),
    "REJECTED_ROUTE_NOT_AVAILABLE": (5, "REJECTED", 8, "Route not available"),
    "REJECTED_FLOODING_FILTER": (5, "REJECTED", 23, "Rejected by the flooding filter"),
    "MISSING_TO": (5, "REJECTED", 51, "Missing TO parameter"),
}
WORDS = {
    TextEnd.DELIVERED: "DELIVERED_TO_HANDSET",
    TextEnd.UNDELIVERED: "UNDELIVERABLE_NOT_DELIVERED",
    TextEnd.EXPIRED: "EXPIRED_EXPIRED",
    TextEnd.PENDING: "PENDING_ENROUTE",
}
REFUSED = {
    TextRefusal.NUMBER: "REJECTED_INVALID_DESTINATION",
    TextRefusal.OPTED_OUT: "REJECTED_DND",
    TextRefusal.ROUTE: "REJECTED_ROUTE_NOT_AVAILABLE",
    TextRefusal.LATER: "REJECTED_FLOODING_FILTER",
}

_PHONE = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)


def status_of(name: str) -> dict[str, Any]:
    group, group_name, number, description = STATUS[name]
    return {"groupId": group, "groupName": group_name, "id": number, "name": name, "description": description}


def require_account(request: Request) -> World:
    """The world, for a Bearer token at the second version or HTTP Basic at the first. The 401's body is unconfirmed."""
    world = world_of(request)
    config, header = world.config.nextsms, request.headers.get("authorization", "")
    if request.path_params["version"] == "v2":
        given, expected = header.encode(errors="replace"), f"Bearer {config.token}".encode()
    else:
        given, expected = basic_pair(header) or b"", f"{config.username}:{config.password}".encode()
    if not hmac.compare_digest(given, expected):
        raise Refusal(401, {"message": "Unauthorized"})
    return world


async def send_single(request: Request) -> Response:
    """POST text/single: one text to one number or to several. There is no idempotency key."""
    return await _send(request, lambda body: [body])


async def send_multi(request: Request) -> Response:
    """POST text/multi: several texts under one reference."""
    return await _send(request, lambda body: body.get("messages"))


async def _send(request: Request, messages_of: Callable[[dict[str, Any]], Any]) -> Response:
    world = require_account(request)
    try:
        body = await read_object(request)
    except NotJSON as error:
        raise Refusal(400, {"message": "Bad Request"}) from error  # unconfirmed
    messages = messages_of(body)
    if not isinstance(messages, list) or not messages or not all(isinstance(each, dict) for each in messages):
        raise Refusal(400, {"message": "Bad Request"})
    reference = str(body.get("reference") or "")
    wishes = [
        (phone, str(each.get("from") or ""), str(each.get("text") or ""))
        for each in messages
        for phone in phones_in(each.get("to"))
    ]
    is_test = request.path_params.get("test") == "test"
    first = wishes[0][0] if wishes else ""
    play = TextPlay.begin(world, NEXTSMS, "send", phone=first)

    async def accept() -> Response:
        answers, texts = [], []
        for phone, sender, message in wishes:
            refusal = why_not(world, phone, sender, message)
            text = play.text(id=new_id("NX", 18), phone=phone, sender=sender, body=message, reference=reference)
            answer: dict[str, Any] = {"to": phone, "status": status_of(refusal or "PENDING_ENROUTE")}
            if not refusal:
                answer["smsCount"] = text.parts
                texts += [] if is_test else [text]
                if world.config.nextsms.names_messages:
                    answer["messageId"] = text.id
            answers.append(answer)
        await play.accept(texts)
        return JSON({"messages": answers})

    def trouble(fault: Fault) -> Response:
        if fault is Fault.REFUSE:
            return JSON({"messages": [{"to": first, "status": status_of("REJECTED_INVALID_DESTINATION")}]})
        return JSON({"message": "Internal Server Error"}, status_code=500)

    return await play.answer(accept, trouble)


def phones_in(to: object) -> list[str]:
    """`to` is one number or a list of them."""
    return [each if isinstance(each, str) else "" for each in (to if isinstance(to, list) else [to])]


def why_not(world: World, phone: str, sender: str, message: str) -> str:
    """The word for what is wrong with a text, if anything is. The order of the looks is unconfirmed."""
    if not phone:
        return "MISSING_TO"
    refusal = refusal_of(phone)
    if refusal:
        return REFUSED[refusal]
    if not _PHONE.fullmatch(phone):
        return "REJECTED_INVALID_DESTINATION"
    if sender not in world.config.nextsms.senders:
        return "REJECTED_SENDER"
    parts = count_parts(message)
    if not message.strip() or parts > LONGEST:  # which word an empty text gets is unconfirmed
        return "REJECTED_MESSAGE_TOO_LONG"
    if world.ledger.texts.spent_parts(NEXTSMS.code) + parts > world.config.nextsms.balance:
        return "REJECTED_NOT_ENOUGH_CREDITS"
    return ""


async def reports(request: Request) -> Response:
    """GET reports: what has ended, each recipient's report once; by `messageId`, `reference`, `sender`, `size`."""
    world, asked = require_account(request), request.query_params
    play = TextPlay.begin(
        world, NEXTSMS, "query", reference=asked.get("messageId") or asked.get("reference", ""), only_asks=True
    )

    async def tell() -> Response:
        now, served = time.time(), []
        for text in reversed(world.ledger.texts.list_all(provider=NEXTSMS.code, reference=asked.get("reference", ""))):
            is_asked = asked.get("messageId", "") in ("", text.id) and asked.get("sender", "") in ("", text.sender)
            has_ended = text.end is not TextEnd.PENDING and text.ended(now) is not None
            if is_asked and has_ended and world.ledger.documents.get(NEXTSMS.code, SERVED, text.id) is None:
                served.append(text)
        served = served[: most_asked(asked.get("size"))]
        for text in served:
            world.ledger.documents.put(NEXTSMS.code, SERVED, text.id, {})
        return JSON({"results": [line_of(text, now) for text in served]})

    return await play.answer(tell, _failure)


async def logs(request: Request) -> Response:
    """GET logs: everything that was taken, newest first (unconfirmed), again and again; `from`, `limit`, `offset`."""
    world, asked = require_account(request), request.query_params
    play = TextPlay.begin(world, NEXTSMS, "logs", only_asks=True)

    async def tell() -> Response:
        now, texts = time.time(), world.ledger.texts.list_all(provider=NEXTSMS.code)
        found = [text for text in texts if asked.get("from", "") in ("", text.sender)]
        start = most_asked(asked.get("offset"), default=0, most=10**6)
        lines = [
            {**line_of(text, now), "from": text.sender, "text": text.body}
            for text in found[start : start + most_asked(asked.get("limit"))]
        ]
        return JSON({"results": lines})

    return await play.answer(tell, _failure)


async def balance(request: Request) -> Response:
    """GET balance, in texts of one part."""
    world = require_account(request)
    play = TextPlay.begin(world, NEXTSMS, "balance", only_asks=True)

    async def tell() -> Response:
        spent = world.ledger.texts.spent_parts(NEXTSMS.code)
        return JSON({"sms_balance": world.config.nextsms.balance - spent})

    return await play.answer(tell, _failure)


def line_of(text: Text, now: float) -> dict[str, Any]:
    """One text in the reports and in the log. How times are written is unconfirmed."""
    return {
        "messageId": text.id,
        "sentAt": moment(text.created_at),
        "doneAt": moment(text.ends_at) if text.ended(now) else None,
        "to": text.phone,
        "smsCount": text.parts,
        "status": status_of(NEXTSMS.status(text, now)),
        "error": None,
    }


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, HERE).isoformat(timespec="milliseconds")


def most_asked(text: str | None, *, default: int = MOST, most: int = MOST) -> int:
    return min(int(text), most) if text and text.isascii() and text.isdigit() and len(text) < 8 else default


def _failure(fault: Fault) -> Response:
    return JSON({"message": "Internal Server Error"}, status_code=500)


def routes() -> Iterable[Route]:
    version = f"{PREFIX}/{{version}}"
    return [
        Route(f"{version}/text/single", send_single, methods=["POST"]),
        Route(f"{version}/text/multi", send_multi, methods=["POST"]),
        Route(f"{version}/{{test}}/text/single", send_single, methods=["POST"]),
        Route(f"{version}/{{test}}/text/multi", send_multi, methods=["POST"]),
        Route(f"{version}/reports", reports, methods=["GET"]),
        Route(f"{version}/logs", logs, methods=["GET"]),
        Route(f"{version}/balance", balance, methods=["GET"]),
    ]


NEXTSMS = SmsProvider(
    code="nextsms",
    name="NextSMS",
    operations=("send", "query", "logs", "balance"),
    routes=routes,
    callback_url=lambda config: "",
    words=WORDS,
    underway="PENDING_ENROUTE",
)
