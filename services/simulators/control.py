"""What no provider has: endpoints to see what really happened, for developers of frontends and for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse, Response
from starlette.routing import Route

from services.simulators import scenarios
from services.simulators.calls import iso_time
from services.simulators.mail import Mail, list_mail
from services.simulators.provider import PaymentProvider
from services.simulators.world import JSON, NotJSON, Refusal, World, parse_object, read_bytes, world_of

PREFIX = "/simulator"
PAGE = Path(__file__).with_name("page.html")


def show_page(request: Request) -> Response:
    """The page on which a developer plays the customer and watches calls and callbacks go by."""
    return FileResponse(PAGE, media_type="text/html", headers={"Cache-Control": "no-store"})


async def to_page(request: Request) -> Response:
    return RedirectResponse(f"{PREFIX}/")


async def health(request: Request) -> Response:
    world = world_of(request)
    played = [*world.providers, *world.sms_providers, "google", "github", "churchsuite"]
    return JSON({"status": "ok", "simulators": played})


async def list_scenarios(request: Request) -> Response:
    """The table of scenarios as data."""
    return JSON(scenarios.as_data())


def refuse(status: int, message: str) -> Refusal:
    return Refusal(status, {"message": message})


async def read_wish(request: Request) -> dict[str, Any]:
    """The JSON object sent, or an empty one when nothing was."""
    try:
        body = await read_bytes(request)
        return parse_object(body) if body else {}
    except NotJSON as error:
        raise refuse(400, str(error)) from error


def provider_called(world: World, code: object) -> PaymentProvider:
    provider = world.providers.get(code) if isinstance(code, str) else None
    if provider is None:
        raise refuse(404, f"There is no payment provider {code!r}; there are {', '.join(world.providers)}.")
    return provider


def text_of(wish: Mapping[str, Any], name: str) -> str:
    value = wish.get(name, "")
    if not isinstance(value, str):
        raise refuse(400, f"{name} must be a string.")
    return value


def read_natural(request: Request, name: str, default: int) -> int:
    """A whole number in the query string. Raises a refusal."""
    text = request.query_params.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 16):
        raise refuse(400, f"{name} must be a whole number.")
    return int(text) if text else default


def list_messages_by_mail(request: Request) -> Response:
    """E-mail written to files, newest first: `?to=` for one address, `?limit=`. A thread's work: it reads files."""
    mails = list_mail(world_of(request).config.mail_dir, request.query_params.get("to"))
    mails = mails[: read_natural(request, "limit", len(mails))]
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
    """Requests received and callbacks sent, newest first; `?since=` only those with a higher `number`."""
    return JSON({"calls": world_of(request).calls.newest(since=read_natural(request, "since", 0))})


async def reset(request: Request) -> Response:
    """Empty the ledger, the log of calls and the scripts of faults. Callbacks that waited are not sent any more."""
    world = world_of(request)
    world.ledger.reset()
    await world.callbacks.forget()
    world.calls.clear()
    world.faults.clear()
    world.desk.codes.clear()
    world.desk.tokens.clear()
    return JSON({"status": "ok"})


def routes() -> Iterable[Route]:
    return [
        Route("/", to_page, methods=["GET"]),
        Route(f"{PREFIX}/", show_page, methods=["GET"]),
        Route(f"{PREFIX}/health", health, methods=["GET"]),
        Route(f"{PREFIX}/scenarios", list_scenarios, methods=["GET"]),
        Route(f"{PREFIX}/mail", list_messages_by_mail, methods=["GET"]),
        Route(f"{PREFIX}/calls", list_calls, methods=["GET"]),
        Route(f"{PREFIX}/reset", reset, methods=["POST"]),
    ]
