"""Azure's side of the wire for texts (vendor notes, section 2). What they do not say is marked "unconfirmed"."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from uuid import UUID, uuid4

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.azure import events
from services.simulators.azure.signing import PREFIX, refuse, require_signed
from services.simulators.control import PREFIX as CONTROL
from services.simulators.faults import Fault
from services.simulators.ledger.texts import Text, TextEnd
from services.simulators.provider import Notice
from services.simulators.scenarios import TextRefusal
from services.simulators.texting import SmsProvider, TextPlay, refusal_of
from services.simulators.world import JSON, NotJSON, World, parse_object, world_of

VERSIONS = ("2021-03-07", "2026-01-23")
RECIPIENT_LIMIT, LENGTH_LIMIT = 100, 2048
SENT = "sent"  # the kind of document that remembers a repeatability id

_PHONE = re.compile(r"\+[1-9][0-9]{7,14}")
# Which code goes with which end is documented; how the text of the details looks is unconfirmed.
DETAILS = {
    TextEnd.DELIVERED: "2000 Message delivered successfully.",
    TextEnd.UNDELIVERED: "4006 The destination is unreachable.",
    TextEnd.EXPIRED: "5002 No delivery confirmation was received in time.",
}
REFUSED_LATER = {
    TextRefusal.OPTED_OUT: "4007 The recipient has opted out.",
    TextRefusal.ROUTE: "4003 The destination is not supported.",
}


@dataclass(frozen=True, slots=True)
class Recipient:
    to: str
    id: str  # empty without repeatability
    first_sent: str

    @property
    def phone(self) -> str:
        return self.to.removeprefix("+")


async def send(request: Request) -> Response:
    """POST /sms: 202, with an answer for each recipient."""
    body = await require_signed(request)
    world = world_of(request)
    if request.query_params.get("api-version") not in VERSIONS:
        raise refuse(400, "UnsupportedApiVersion", "The api-version is not supported.")
    try:
        wish = parse_object(body)
    except NotJSON as error:
        raise refuse(400, "BadRequest", "The body is not a JSON object.") from error
    sender, message, recipients, is_reported, tag = check(world, wish)
    play = TextPlay.begin(world, AZURE, "send", phone=recipients[0].phone, reference=tag)
    if all(refusal_of(each.phone) is TextRefusal.LATER for each in recipients):
        busy = {"error": {"code": "TooManyRequests", "message": "Too many requests."}}
        return JSON(busy, status_code=429, headers={"Retry-After": "1"})

    async def accept() -> Response:
        return JSON(
            {"value": [await take(play, each, sender, message, is_reported, tag) for each in recipients]},
            status_code=202,
        )

    return await play.answer(accept, trouble)


async def take(
    play: TextPlay, recipient: Recipient, sender: str, message: str, is_reported: bool, tag: str
) -> dict[str, Any]:
    """The answer for one recipient. The same repeatability id again is the same text."""
    to, documents = recipient.to, play.world.ledger.documents
    if not _PHONE.fullmatch(to) or refusal_of(recipient.phone) is TextRefusal.NUMBER:
        return failure(to, 400, "Invalid To phone number format.")
    if refusal_of(recipient.phone) is TextRefusal.LATER:
        return failure(to, 429, "Too many requests.")
    wish = {"to": to, "from": sender, "message": message, "first_sent": recipient.first_sent}
    known = documents.get(AZURE.code, SENT, recipient.id) if recipient.id else None
    if known is not None and known["wish"] != wish:
        # That such a misuse is 409 is unconfirmed.
        return failure(to, 409, "The repeatability id was used for another request.") | {
            "repeatabilityResult": "rejected"
        }
    if known is None:
        known = {"wish": wish, "id": f"Outgoing_{uuid4()}_noam"}
        if recipient.id:
            documents.put(AZURE.code, SENT, recipient.id, known)
        text = play.text(
            id=known["id"],
            phone=recipient.phone,
            sender=sender,
            body=message,
            reference=tag,
            extra={"is_reported": is_reported},
        )
        await play.accept([text])
    answer = {"to": to, "messageId": known["id"], "httpStatusCode": 202, "successful": True}
    return answer | ({"repeatabilityResult": "accepted"} if recipient.id else {})


def failure(to: str, status: int, message: str) -> dict[str, Any]:
    return {"to": to, "httpStatusCode": status, "errorMessage": message, "successful": False}


def check(world: World, wish: dict[str, Any]) -> tuple[str, str, list[Recipient], bool, str]:
    """Sender, text, recipients, whether to report, and the tag; or a refusal of the whole call."""
    sender, message, options = wish.get("from"), wish.get("message"), wish.get("smsSendOptions") or {}
    if not isinstance(sender, str) or not isinstance(message, str) or not isinstance(options, dict):
        raise refuse(400, "BadRequest", "A required field is missing.")
    recipients = read_recipients(wish.get("smsRecipients"))
    if not message.strip() or len(message) > LENGTH_LIMIT:
        raise refuse(400, "BadRequest", f"The message must have 1 to {LENGTH_LIMIT} characters.")
    if sender not in world.config.azure.senders:
        raise refuse(404, "NotFound", "The From phone number is not one of the resource's.")
    is_reported, tag = options.get("enableDeliveryReport", False), options.get("tag") or ""
    if not isinstance(is_reported, bool) or not isinstance(tag, str):
        raise refuse(400, "BadRequest", "The options cannot be read.")
    return sender, message, recipients, is_reported, tag


def read_recipients(value: object) -> list[Recipient]:
    if not isinstance(value, list) or not 1 <= len(value) <= RECIPIENT_LIMIT:
        raise refuse(400, "BadRequest", f"There must be 1 to {RECIPIENT_LIMIT} entries in smsRecipients.")
    found = []
    for item in value:
        fields = item if isinstance(item, dict) else {}
        to, id_, first_sent = (fields.get(name) for name in ("to", "repeatabilityRequestId", "repeatabilityFirstSent"))
        if not isinstance(to, str) or (id_ is None) is not (first_sent is None):
            raise refuse(400, "BadRequest", "Repeatability fields must come together.")
        try:
            if id_ is not None:
                UUID(str(id_))
                parsedate_to_datetime(str(first_sent))
        except ValueError as error:
            raise refuse(400, "BadRequest", "The repeatability fields cannot be read.") from error
        found.append(Recipient(to, str(id_ or ""), str(first_sent or "")))
    return found


def trouble(fault: Fault) -> Response:
    if fault is Fault.REFUSE:
        return JSON({"error": {"code": "BadRequest", "message": "The request was refused."}}, status_code=400)
    return JSON({"error": {"code": "ServiceUnavailable", "message": "Try again."}}, status_code=503)


def announce(world: World, text: Text) -> list[Notice]:
    """The delivery report, where one was asked for. Of a text that stays on its way nothing is told."""
    if text.end is TextEnd.PENDING or not text.extra.get("is_reported"):
        return []
    refused = REFUSED_LATER.get(refusal_of(text.phone) or TextRefusal.NUMBER)
    at = events.moment(text.ends_at)
    is_delivered = text.end is TextEnd.DELIVERED and refused is None
    data = {
        "messageId": text.id,
        "from": text.sender,
        "to": f"+{text.phone}",
        "deliveryStatus": "Delivered" if is_delivered else "Failed",
        "deliveryStatusDetails": refused or DETAILS[text.end],
        "deliveryAttempts": [
            {
                "timestamp": at,
                "segmentsSucceeded": text.parts * is_delivered,
                "segmentsFailed": text.parts * (not is_delivered),
            }
        ],
        "receivedTimestamp": at,
        "tag": text.reference,
    }
    kind = "Microsoft.Communication.SMSDeliveryReportReceived"
    return [events.notice_of(world, kind=kind, subject=f"/phonenumber/{text.phone}", at=text.ends_at, data=data)]


def hear(world: World, text: Text) -> Notice:
    """A text to us."""
    data = {
        "messageId": f"Incoming_{text.id}",
        "from": f"+{text.phone}",
        "to": text.sender,
        "message": text.body,
        "receivedTimestamp": events.moment(text.created_at),
        "segmentCount": text.parts,
    }
    kind = "Microsoft.Communication.SMSReceived"
    return events.notice_of(world, kind=kind, subject=f"/phonenumber/{text.sender}", at=text.created_at, data=data)


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/sms", send, methods=["POST"]),
        Route(f"{CONTROL}/azure/batch", events.send_batch, methods=["POST"]),
        Route(f"{CONTROL}/azure/handshake", events.shake_hands, methods=["POST"]),
    ]


AZURE = SmsProvider(
    code=events.PROVIDER,
    name="Azure SMS",
    operations=("send",),
    routes=routes,
    callback_url=lambda config: config.azure.callback_url,
    words={
        TextEnd.DELIVERED: "Delivered",
        TextEnd.UNDELIVERED: "Failed",
        TextEnd.EXPIRED: "Failed",
        TextEnd.PENDING: "",
    },
    announce=announce,
    hear=hear,
    sign=events.sign,
    is_received=events.is_received,
)
