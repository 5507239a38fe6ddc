"""Twilio's side of the wire: sending a text, fetching and listing texts, status callbacks and what people answer.

Source of every shape and code: the vendor notes (section 3 of the document on other SMS providers) and the Python
library 9.13.0, which reads and writes them. What neither says is marked "unconfirmed".
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.config import Config
from services.simulators.faults import Fault
from services.simulators.ledger.callbacks import DueCallback, Trust
from services.simulators.ledger.texts import Text, TextEnd
from services.simulators.provider import Notice, Signed
from services.simulators.texting import SmsProvider, TextPlay, refusal_of
from services.simulators.twilio import wire
from services.simulators.twilio.signing import signature
from services.simulators.world import JSON, NotJSON, World, read_bytes

PREFIX = "/twilio"
ACCOUNT = f"{PREFIX}/{wire.VERSION}/Accounts/{{account}}"
LONGEST = 1600  # characters
FORM = "application/x-www-form-urlencoded"

_PHONE = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)


async def create(request: Request) -> Response:
    """POST Messages.json. There is no idempotency key: the same call twice is two texts."""
    world = wire.require_account(request)
    wish = await read_form(request)
    to, body, callback = wish.get("To", ""), wish.get("Body", ""), wish.get("StatusCallback", "")
    sender = wish.get("MessagingServiceSid") or wish.get("From", "")
    check(world.config, to=to, sender=sender, body=body, callback=callback)
    phone = to.removeprefix("+")
    play = TextPlay.begin(world, TWILIO, "send", phone=phone)

    async def accept() -> Response:
        text = play.text(id=wire.new_sid(), phone=phone, sender=sender, body=body, extra={"status_callback": callback})
        await play.accept([text])
        status = "accepted" if sender.startswith("MG") else "queued"
        return JSON(wire.resource(world.config, text, text.created_at, status=status), status_code=201)

    return await play.answer(accept, trouble)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of the form. What Twilio says to a body that is none is unconfirmed: here it has no fields."""
    try:
        body = await read_bytes(request)
        return dict(parse_qsl(body.decode("ascii"), errors="strict"))
    except (NotJSON, ValueError):
        return {}


def check(config: Config, *, to: str, sender: str, body: str, callback: str) -> None:
    """Raise the first code for what is wrong. The order of the looks is unconfirmed."""
    if not to:
        raise wire.refuse(21604)
    if not sender:
        raise wire.refuse(21603)
    if not body.strip():
        raise wire.refuse(21602)
    if len(body) > LONGEST:
        raise wire.refuse(21617)
    code = wire.MAGIC_TO.get(to) or wire.MAGIC_FROM.get(sender)
    if not code and not _PHONE.fullmatch(to):
        code = 21211
    refusal = refusal_of(to.removeprefix("+"))
    if not code and refusal:
        code = wire.REFUSED[refusal]
    if not code and sender not in (*config.twilio.senders, wire.MAGIC_SENDER):
        code = 21606
    if not code and callback and urlsplit(callback).scheme not in ("http", "https"):
        code = 21609
    if code:
        raise wire.refuse(code, to=to)


def trouble(fault: Fault) -> Response:
    """A number that is refused, or a failure that says nothing about the text."""
    refusal = wire.refuse(21211 if fault is Fault.REFUSE else 20500)
    return JSON(refusal.body, status_code=refusal.status)


async def fetch(request: Request) -> Response:
    """GET Messages/{sid}.json."""
    world, sid = wire.require_account(request), request.path_params["sid"]
    play = TextPlay.begin(world, TWILIO, "query", reference=sid, only_asks=True)

    async def tell() -> Response:
        text = world.ledger.texts.find(provider=TWILIO.code, id=sid)
        if text is None:
            raise wire.refuse(20404)
        return JSON(wire.resource(world.config, text, time.time()))

    return await play.answer(tell, trouble)


async def list_all(request: Request) -> Response:
    """GET Messages.json: newest first, with the filters To, From, DateSent and its two sides, in pages."""
    world = wire.require_account(request)
    asked = dict(request.query_params)
    to = asked.get("To", "")
    play = TextPlay.begin(world, TWILIO, "query", reference=to, phone=to.removeprefix("+"), only_asks=True)
    size, page = natural(asked.get("PageSize"), 50, most=1000), natural(asked.get("Page"), 0, most=10**6)

    async def tell() -> Response:
        now = time.time()
        texts = [text for text in world.ledger.texts.list_all(provider=TWILIO.code) if is_sent_when(text, asked)]
        found = [wire.resource(world.config, text, now) for text in texts]
        found = [each for each in found if to in ("", each["to"]) and asked.get("From", "") in ("", each["from"])]
        start = page * size
        path = f"/{wire.VERSION}/Accounts/{world.config.twilio.account_sid}/Messages.json"

        def uri(number: int) -> str:
            return f"{path}?{urlencode({**asked, 'PageSize': size, 'Page': number})}"

        return JSON(
            {
                "messages": found[start : start + size],
                "page": page,
                "page_size": size,
                "start": start,
                "end": max(start, min(start + size, len(found)) - 1),
                "uri": uri(page),
                "first_page_uri": uri(0),
                "next_page_uri": uri(page + 1) if start + size < len(found) else None,
                "previous_page_uri": uri(page - 1) if page else None,
            }
        )

    return await play.answer(tell, trouble)


def natural(text: str | None, default: int, *, most: int) -> int:
    """A whole number of the query; what Twilio says to another is unconfirmed."""
    return min(int(text), most) if text and text.isascii() and text.isdigit() and len(text) < 8 else default


def is_sent_when(text: Text, asked: dict[str, str]) -> bool:
    """Whether the day of sending (UTC) is the one asked for: on it, up to it, from it on."""
    day = datetime.fromtimestamp(text.created_at, UTC).date().isoformat()
    wanted = {name: asked.get(f"DateSent{name}", "")[:10] for name in ("", "<", ">")}
    return (
        wanted[""] in ("", day) and (not wanted["<"] or day <= wanted["<"]) and (not wanted[">"] or day >= wanted[">"])
    )


# Callbacks


def announce(world: World, text: Text) -> list[Notice]:
    """`sent` at once, and the end; nothing where the call named no address."""
    url = str(text.extra.get("status_callback", ""))
    if not url:
        return []
    started = Notice(kind="sent", body=told(world.config, text, wire.UNDERWAY), url=url, at_start=True)
    if text.end is TextEnd.PENDING:
        return [started]
    ended = told(world.config, text, wire.WORDS[text.end])
    if text.end in wire.ERRORS:
        ended["ErrorCode"] = str(wire.ERRORS[text.end])
    return [started, Notice(kind=ended["MessageStatus"], body=ended, url=url)]


def told(config: Config, text: Text, status: str) -> dict[str, Any]:
    return {
        "MessageSid": text.id,
        "SmsSid": text.id,
        "AccountSid": config.twilio.account_sid,
        "MessageStatus": status,
        "SmsStatus": status,
        "To": f"+{text.phone}",
        "From": text.sender,
        "ApiVersion": wire.VERSION,
    }


def hear(world: World, text: Text) -> Notice:
    """A text to one of our numbers, to the address set for it."""
    sid = "SM" + hashlib.sha256(text.id.encode()).hexdigest()[:32]
    body = {
        "MessageSid": sid,
        "SmsSid": sid,
        "SmsMessageSid": sid,
        "AccountSid": world.config.twilio.account_sid,
        "SmsStatus": "received",
        "From": f"+{text.phone}",
        "To": text.sender,
        "Body": text.body,
        "NumMedia": "0",
        "NumSegments": str(text.parts),
        "ApiVersion": wire.VERSION,
    }
    return Notice(kind="inbound", body=body)


def sign(config: Config, callback: DueCallback, now: float) -> Signed:
    """A form, and a signature over it and over the address."""
    fields = {name: str(value) for name, value in orjson.loads(callback.body).items()}
    headers = {"Content-Type": FORM}
    if callback.trust is not Trust.UNSIGNED:
        account, url = config.twilio, callback.url or config.twilio.callback_url
        is_new = account.signature == "sha256"
        secret = account.signing_secret if is_new else account.auth_token
        if is_new:
            headers["X-Twilio-Webhooks-Signature-Settings"] = "key=webhooks_sharedkey_demo,algorithm=HMAC_SHA256"
        if callback.trust is Trust.WRONGLY_SIGNED:
            secret = secret[::-1] + "x"
        parameters = {name: [value] for name, value in fields.items()}
        headers["X-Twilio-Signature"] = signature(secret, url, parameters, algorithm=account.signature)
    return Signed(body=urlencode(fields).encode(), headers=headers)


def routes() -> Iterable[Route]:
    return [
        Route(f"{ACCOUNT}/Messages.json", create, methods=["POST"]),
        Route(f"{ACCOUNT}/Messages.json", list_all, methods=["GET"]),
        Route(f"{ACCOUNT}/Messages/{{sid}}.json", fetch, methods=["GET"]),
    ]


TWILIO = SmsProvider(
    code="twilio",
    name="Twilio",
    operations=("send", "query"),
    routes=routes,
    callback_url=lambda config: config.twilio.callback_url,
    words=wire.WORDS,
    underway=wire.UNDERWAY,
    announce=announce,
    hear=hear,
    sign=sign,
)
