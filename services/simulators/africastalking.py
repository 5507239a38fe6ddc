"""Africa's Talking's side of the wire: sending through the classic form endpoint, the balance, reports and replies.

Source of every shape and code: the vendor notes (section 1). What they do not say is marked "unconfirmed" here.
"""

from __future__ import annotations

import hmac
import re
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.simulators.config import Config
from services.simulators.faults import Fault
from services.simulators.ledger.callbacks import DueCallback
from services.simulators.ledger.texts import Text, TextEnd
from services.simulators.provider import Notice, Signed
from services.simulators.scenarios import TextRefusal
from services.simulators.texting import SmsProvider, TextPlay, count_parts, refusal_of
from services.simulators.world import JSON, NotJSON, World, read_bytes, world_of

PREFIX = "/africastalking"
# `statusCode` of a recipient, and the word that goes with it.
STATUS = {
    101: "Success",
    102: "Queued",  # unconfirmed: the word for what was only queued
    403: "InvalidPhoneNumber",
    405: "InsufficientBalance",
    406: "UserInBlacklist",
    407: "CouldNotRoute",
    500: "InternalServerError",
}
REFUSED = {TextRefusal.NUMBER: 403, TextRefusal.OPTED_OUT: 406, TextRefusal.ROUTE: 407, TextRefusal.LATER: 500}
PRICE = 0.8  # KES for each part
NETWORK = "99999"  # the sandbox's

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}")


def unlocked(request: Request, username: str) -> Response | None:
    """None for a caller with the account's key and name; otherwise the answer. It is plain text (unconfirmed)."""
    account = world_of(request).config.africastalking
    given = request.headers.get("apikey", "")
    if hmac.compare_digest(given.encode(), account.api_key.encode()) and username == account.username:
        return None
    return PlainTextResponse("The supplied authentication is invalid", status_code=401)


async def send(request: Request) -> Response:
    """POST /version1/messaging. There is no idempotency key: the same call twice is two texts."""
    world = world_of(request)
    try:
        form = dict(parse_qsl((await read_bytes(request)).decode(), keep_blank_values=True, strict_parsing=True))
    except (NotJSON, ValueError):
        form = {}
    locked = unlocked(request, form.get("username", ""))
    if locked is not None:
        return locked
    for name in ("to", "message"):
        if not form.get(name, "").strip():  # the words and the status are unconfirmed
            return PlainTextResponse(f"Request is missing required form field '{name}'", status_code=400)
    account, message, sender = world.config.africastalking, form["message"], form.get("from", "")
    if sender and sender not in account.senders:
        # Unconfirmed; 402 for each recipient is documented too.
        return JSON({"SMSMessageData": {"Message": "InvalidSenderId", "Recipients": []}}, status_code=201)

    phones = list(dict.fromkeys(phone.strip() for phone in form["to"].split(",")))
    play = TextPlay.begin(world, AFRICASTALKING, "send", phone=phones[0].removeprefix("+"))

    async def accept() -> Response:
        parts, left = count_parts(message), account.balance - world.ledger.texts.spent_parts(AFRICASTALKING.code)
        recipients, texts = [], []
        for phone in phones:
            code = judge(phone)
            if code is None and left < parts:
                code = 405
            if code is not None:
                recipients.append(refused(phone, code))
                continue
            left -= parts
            # The same shape as the identifiers in the documentation: a prefix and a hash.
            texts.append(
                play.text(
                    id=f"ATXid_{uuid.uuid4().hex}",
                    phone=phone.removeprefix("+"),
                    sender=sender or "AFRICASTKNG",
                    body=message,
                    parts=parts,
                )
            )
            number = 102 if form.get("enqueue") == "1" else 101
            recipients.append(
                {
                    "statusCode": number,
                    "number": phone,
                    "status": STATUS[number],
                    "cost": f"KES {PRICE * parts:.4f}",
                    "messageId": texts[-1].id,
                }
            )
        await play.accept(texts)
        return answered(recipients)

    def trouble(fault: Fault) -> Response:
        if fault is Fault.REFUSE:
            return answered([refused(phone, 407) for phone in phones])
        return PlainTextResponse("Internal Server Error", status_code=500)

    return await play.answer(accept, trouble)


def judge(phone: str) -> int | None:
    """The code for what is wrong with a recipient, or None."""
    if not _PHONE.fullmatch(phone):
        return 403
    reason = refusal_of(phone.removeprefix("+"))
    return None if reason is None else REFUSED[reason]


def refused(phone: str, code: int) -> dict[str, Any]:
    return {"statusCode": code, "number": phone, "status": STATUS[code], "cost": "0", "messageId": "None"}


def answered(recipients: list[dict[str, Any]]) -> Response:
    """201 with exactly `application/json`, which the official client compares as it stands."""
    taken = [each for each in recipients if each["messageId"] != "None"]
    cost = sum(float(each["cost"].removeprefix("KES ")) for each in taken)
    message = f"Sent to {len(taken)}/{len(recipients)} Total Cost: KES {cost:.4f}"
    return JSON({"SMSMessageData": {"Message": message, "Recipients": recipients}}, status_code=201)


async def account(request: Request) -> Response:
    """GET /version1/user: the balance."""
    world, username = world_of(request), request.query_params.get("username", "")
    locked = unlocked(request, username)
    if locked is not None:
        return locked
    play = TextPlay.begin(world, AFRICASTALKING, "account", reference=username, only_asks=True)

    async def tell() -> Response:
        parts = world.config.africastalking.balance - world.ledger.texts.spent_parts(AFRICASTALKING.code)
        return JSON({"UserData": {"balance": f"KES {PRICE * parts:.4f}"}})

    return await play.answer(tell, lambda fault: PlainTextResponse("Internal Server Error", status_code=500))


def announce(world: World, text: Text) -> list[Notice]:
    """One report when it has ended."""
    report = {
        "id": text.id,
        "status": AFRICASTALKING.words[text.end],
        "phoneNumber": f"+{text.phone}",
        "networkCode": NETWORK,
    }
    if text.end is TextEnd.UNDELIVERED:
        report["failureReason"] = "DeliveryFailure"
    return [Notice(kind="report", body=report)]


def hear(world: World, text: Text) -> Notice:
    """A text that somebody sends to us."""
    body = {
        "date": datetime.fromtimestamp(text.created_at, UTC).strftime("%Y-%m-%d %H:%M:%S"),
        "from": f"+{text.phone}",
        "id": text.id,
        "linkId": "",
        "text": text.body,
        "to": text.sender,
        "cost": "",
        "networkCode": NETWORK,
    }
    return Notice(kind="inbound", body=body)


def opt_out(world: World, text: Text) -> Notice:
    """Somebody wants no more texts from this sender."""
    return Notice(kind="opt_out", body={"senderId": text.sender, "phoneNumber": f"+{text.phone}"})


def as_form(config: Config, callback: DueCallback, now: float) -> Signed:
    """Callbacks are forms, and nothing signs them: a forgery looks the same."""
    return Signed(
        body=urlencode(orjson.loads(callback.body)).encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/version1/messaging", send, methods=["POST"]),
        Route(f"{PREFIX}/version1/user", account, methods=["GET"]),
    ]


AFRICASTALKING = SmsProvider(
    code="africastalking",
    name="Africa's Talking",
    operations=("send", "account"),
    routes=routes,
    callback_url=lambda config: config.africastalking.callback_url,
    words={
        TextEnd.DELIVERED: "Success",
        TextEnd.UNDELIVERED: "Failed",
        TextEnd.EXPIRED: "Expired",
        TextEnd.PENDING: "Buffered",
    },
    announce=announce,
    hear=hear,
    opt_out=opt_out,
    sign=as_form,
)
