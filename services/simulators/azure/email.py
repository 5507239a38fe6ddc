"""Azure Communication Services, e-mail: sending, the operation behind it, and Event Grid's events.

Source of every shape: the Azure vendor notes (sections 1, 3 and 5). Whether Azure drops a second mail under one
Operation-Id is unconfirmed; here it does not, so whoever repeats without asking sends twice. What was taken stands
among the mails, as the files of development do. The name in the address says what happens:

- `drop`: the operation fails with EmailDropped; `bounce`, `spam`, `suppressed`: the event says so;
- `refused`: 400; `throttled`: 429; `error`: 503, nothing taken; `silent`: taken, and no answer.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators.azure.proof import PREFIX, require_proof
from services.simulators.config import Config
from services.simulators.faults import Fault
from services.simulators.ledger.callbacks import DueCallback, NewCallback
from services.simulators.play import answer_with
from services.simulators.provider import Signed, any_2xx
from services.simulators.world import JSON, NotJSON, Refusal, World, parse_object, read_bytes, world_of

CODE = "azure_email"
REPORT = "Microsoft.Communication.EmailDeliveryReportReceived"
RESOURCE = "/subscriptions/demo/resourceGroups/demo/providers/Microsoft.Communication/communicationServices/faraja"
FAULTS = {
    "refused": Fault.REFUSE,
    "throttled": Fault.REFUSE,
    "error": Fault.ERROR_BEFORE,
    "silent": Fault.SILENCE_AFTER,
}
EVENTS = {"bounce": "Bounced", "spam": "FilteredSpam", "suppressed": "Suppressed"}
MAX_RECIPIENTS = 50


def refuse(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, {"error": {"code": code, "message": message}})


async def send(request: Request) -> Response:
    """POST /emails:send. The answer means that the mail is wanted, and no more."""
    world = world_of(request)
    body = await _proven_body(request, world)
    try:
        mail = parse_object(body)
    except NotJSON:
        raise refuse(400, "InvalidRequest", "The body is not a JSON object.") from None
    addresses = check(mail)
    operation = read_operation_id(request)

    async def accept() -> Response:
        await store(world, operation, mail, addresses)
        location = f"{request.url.scheme}://{request.headers['host']}{PREFIX}/emails/operations/{operation}"
        version = request.query_params.get("api-version", "")
        answer = JSON({"id": operation, "status": "Running", "error": None}, status_code=202)
        answer.headers["Operation-Location"] = f"{location}?api-version={version}"
        answer.headers["retry-after"] = str(round(world.config.deliver_after))
        return answer

    def trouble(fault: Fault) -> Response:
        if fault is not Fault.REFUSE:
            return JSON({"error": {"code": "ServiceUnavailable", "message": "Try later."}}, status_code=503)
        if "throttled" in addresses[0]:
            told = {"error": {"code": "TooManyRequests", "message": "The limit is reached."}}
            return JSON(told, status_code=429, headers={"Retry-After": "1"})
        return JSON({"error": {"code": "InvalidRecipient", "message": "Invalid recipient."}}, status_code=400)

    name = addresses[0].partition("@")[0]
    fault = next((fault for word, fault in FAULTS.items() if word in name), None)
    return await answer_with(world, fault, accept, trouble)


async def show_operation(request: Request) -> Response:
    """GET /emails/operations/{id}. Running while the mail is on its way."""
    world = world_of(request)
    await _proven_body(request, world)
    operation = request.path_params["operation"]
    found = world.ledger.documents.get(CODE, "operation", operation)
    if found is None:
        raise refuse(404, "OperationNotFound", "There is no such operation.")
    if time.time() < found["ends_at"]:
        return JSON({"id": operation, "status": "Running", "error": None})
    if "drop" in found["to"][0]:
        error = {"code": "EmailDropped", "message": "All recipients are suppressed."}
        return JSON({"id": operation, "status": "Failed", "error": error})
    return JSON({"id": operation, "status": "Succeeded", "error": None})


async def _proven_body(request: Request, world: World) -> bytes:
    try:
        body = await read_bytes(request)
    except NotJSON:
        raise refuse(413, "RequestEntityTooLarge", "The body is too long.") from None
    require_proof(request, body, world.config.azure_email.access_key)
    return body


def read_operation_id(request: Request) -> str:
    """The caller's, or one of ours. Azure wants a UUID."""
    told = request.headers.get("operation-id")
    if told is None:
        return str(uuid.uuid4())
    try:
        return str(uuid.UUID(told))
    except ValueError:
        raise refuse(400, "InvalidOperationId", "Operation-Id must be a UUID.") from None


def check(mail: Mapping[str, Any]) -> list[str]:
    """The addresses of a mail that can be sent; otherwise a 400."""
    content, recipients = mail.get("content"), mail.get("recipients")
    sender = mail.get("senderAddress")
    if not isinstance(sender, str) or sender.count("@") != 1 or "<" in sender:
        raise refuse(400, "InvalidSenderUserName", "senderAddress must be an address and nothing more.")
    if not isinstance(content, dict) or not isinstance(content.get("subject"), str):
        raise refuse(400, "InvalidRequest", "content.subject is required.")
    if not (content.get("plainText") or content.get("html")):
        raise refuse(400, "InvalidRequest", "content needs plainText or html.")
    found: list[str] = []
    for kind in ("to", "cc", "bcc"):
        given = recipients.get(kind) if isinstance(recipients, dict) else None
        for each in given or []:
            address = each.get("address") if isinstance(each, dict) else None
            if not isinstance(address, str) or address.count("@") != 1:
                raise refuse(400, "InvalidRecipient", "A recipient's address cannot be read.")
            found.append(address)
    if not 0 < len(found) <= MAX_RECIPIENTS:
        raise refuse(400, "InvalidRequest", f"A mail has 1 to {MAX_RECIPIENTS} recipients.")
    return found


async def store(world: World, operation: str, mail: Mapping[str, Any], addresses: list[str]) -> None:
    """Keep the mail as a file and the operation in the ledger, and plan an event for each recipient."""
    now, delay = time.time(), world.config.deliver_after
    write_file(world, operation, mail, addresses)
    stored = {"to": addresses, "ends_at": now + delay}
    world.ledger.documents.put(CODE, "operation", operation, stored)
    if not world.config.azure_email.callback_url or "drop" in addresses[0]:
        return
    events = [
        NewCallback(
            provider=CODE,
            subject=operation,
            kind=REPORT,
            body=orjson.dumps([event(operation, mail["senderAddress"], address, now + delay)]),
            headers={"aeg-event-type": "Notification", "aeg-subscription-name": "DEMO", "aeg-data-version": "1.0"},
            due_at=now + delay,
            tries=world.config.callback_tries,
        )
        for address in addresses
    ]
    world.callbacks.schedule(world.ledger.callbacks.add(events))


def event(operation: str, sender: str, recipient: str, at: float) -> dict[str, Any]:
    """One event in the Event Grid schema, as a batch of one carries it."""
    name = recipient.partition("@")[0]
    status = next((status for word, status in EVENTS.items() if word in name), "Delivered")
    time_ = datetime.fromtimestamp(at, UTC).isoformat()
    return {
        "id": str(uuid.uuid4()),
        "topic": RESOURCE,
        "subject": f"sender/{sender}/message/{operation}",
        "eventType": REPORT,
        "dataVersion": "1.0",
        "metadataVersion": "1",
        "eventTime": time_,
        "data": {
            "sender": sender,
            "recipient": recipient,
            "messageId": operation,
            "internetMessageId": f"<{operation}@azurecomm.net>",
            "status": status,
            "deliveryStatusDetails": {"statusMessage": status, "recipientMailServerHostName": "mx.example.org"},
            "deliveryAttemptTimeStamp": time_,
        },
    }


def write_file(world: World, operation: str, mail: Mapping[str, Any], addresses: list[str]) -> None:
    """The mail as Django's file backend would have written it, so that it stands among the others."""
    message = EmailMessage(policy=policy.SMTP)
    message["From"], message["To"] = mail["senderAddress"], ", ".join(addresses)
    message["Subject"] = " ".join(mail["content"]["subject"].split())
    message["Message-ID"] = f"<{operation}@azurecomm.net>"
    message["Date"] = datetime.now(UTC)
    message.set_content(mail["content"].get("plainText") or "")
    if mail["content"].get("html"):
        message.add_alternative(mail["content"]["html"], subtype="html")
    folder = world.config.mail_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"azure-{uuid.uuid4().hex}.log").write_bytes(message.as_bytes() + b"\n" + b"-" * 79 + b"\n")


class AzureEmail:
    """What the core needs to know to send this provider's callbacks."""

    code = CODE
    name = "Azure e-mail"

    def routes(self) -> Iterable[Route]:
        yield Route(f"{PREFIX}/emails:send", send, methods=["POST"])
        yield Route(f"{PREFIX}/emails/operations/{{operation}}", show_operation, methods=["GET"])

    def callback_url(self, config: Config) -> str:
        return config.azure_email.callback_url

    def is_received(self, status: int) -> bool:
        return any_2xx(status)

    def sign(self, config: Config, callback: DueCallback, now: float) -> Signed:
        """Event Grid signs nothing: the secret is in the address."""
        return Signed(body=callback.body, headers=callback.headers)


AZURE_EMAIL = AzureEmail()
