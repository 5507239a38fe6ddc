"""What no provider has: endpoints to see what really happened, for developers of frontends and for tests."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import scenarios
from services.simulators.calls import iso_time
from services.simulators.ledger import ChargeRecord, Text
from services.simulators.mail import Mail, list_mail
from services.simulators.world import JSON, world_of

PREFIX = "/simulator"


async def health(request: Request) -> Response:
    return JSON({"status": "ok", "simulators": ["clickpesa", "beem", "google", "github", "churchsuite"]})


async def list_scenarios(request: Request) -> Response:
    """The table of scenarios as data."""
    return JSON(scenarios.as_data())


async def list_charges(request: Request) -> Response:
    """The ClickPesa ledger, with `?reference=` for one reference."""
    now = time.time()
    records = world_of(request).ledger.list_records(request.query_params.get("reference"))
    return JSON({"charges": [charge_as_data(record, now) for record in records]})


def charge_as_data(record: ChargeRecord, now: float) -> dict[str, Any]:
    """`submitted` counts initiate calls, `pushes` those that were accepted, `accepted` how often money was taken."""
    charge = record.charge
    data: dict[str, Any] = {
        "reference": record.reference,
        "id": None,
        "scenario": None,
        "status": None,
        "phone": record.phone,
        "amount": int(record.amount) if record.amount.isascii() and record.amount.isdigit() else None,
        "collected": 0,
        "currency": None,
        "submitted": record.submitted,
        "pushes": 0,
        "accepted": 0,
        "callbacks_sent": record.callbacks_sent,
        "callbacks_acknowledged": record.callbacks_acknowledged,
        "created_at": None,
        "ends_at": None,
    }
    if charge is None:
        return data
    is_paid = charge.is_paid(now)
    return data | {
        "id": charge.id,
        "scenario": charge.scenario,
        "status": charge.status(now),
        "phone": charge.phone,
        "amount": charge.amount,
        "collected": charge.collected if is_paid else 0,
        "currency": charge.currency,
        "pushes": 1,
        "accepted": int(is_paid),
        "created_at": iso_time(charge.created_at),
        "ends_at": iso_time(charge.ends_at),
    }


async def list_messages(request: Request) -> Response:
    """Texts exactly as Beem received them, newest first, with `?phone=` for one recipient."""
    now = time.time()
    phone = request.query_params.get("phone")
    # A plus in a query string arrives as a space.
    texts = world_of(request).ledger.list_texts(phone.lstrip("+ ") if phone else None)
    return JSON({"messages": [text_as_data(text, now) for text in texts]})


def text_as_data(text: Text, now: float) -> dict[str, Any]:
    return {
        "request_id": str(text.request_id),
        "recipient_id": text.recipient_id,
        "phone": text.phone,
        "sender": text.sender,
        "text": text.body,
        "encoding": text.encoding,
        "credits": text.credits,
        "status": text.status(now),
        "at": iso_time(text.created_at),
    }


def list_messages_by_mail(request: Request) -> Response:
    """E-mail written to files, newest first, with `?to=` for one address. A thread's work: it reads files."""
    mails = list_mail(world_of(request).config.mail_dir, request.query_params.get("to"))
    return JSON({"messages": [mail_as_data(mail) for mail in mails]})


def mail_as_data(mail: Mail) -> dict[str, Any]:
    return {
        "from": mail.sender,
        "to": list(mail.to),
        "subject": mail.subject,
        "text": mail.text,
        "at": iso_time(mail.at) if mail.at else None,
        "file": mail.file,
    }


async def list_calls(request: Request) -> Response:
    """Requests received and callbacks sent, newest first."""
    return JSON({"calls": world_of(request).calls.newest()})


async def reset(request: Request) -> Response:
    """Empty the ledger and the log of calls. Callbacks that were waiting are not sent any more."""
    world = world_of(request)
    world.ledger.reset()
    await world.callbacks.forget()
    world.calls.clear()
    world.desk.codes.clear()
    world.desk.tokens.clear()
    return JSON({"status": "ok"})


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/health", health, methods=["GET"]),
        Route(f"{PREFIX}/scenarios", list_scenarios, methods=["GET"]),
        Route(f"{PREFIX}/clickpesa/charges", list_charges, methods=["GET"]),
        Route(f"{PREFIX}/beem/messages", list_messages, methods=["GET"]),
        Route(f"{PREFIX}/mail", list_messages_by_mail, methods=["GET"]),
        Route(f"{PREFIX}/calls", list_calls, methods=["GET"]),
        Route(f"{PREFIX}/reset", reset, methods=["POST"]),
    ]
