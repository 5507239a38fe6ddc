"""See every SMS that was sent, and play the people who answer one or want no more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.simulators import till
from services.simulators.calls import iso_time
from services.simulators.control import PREFIX, read_natural, read_wish, refuse, text_of
from services.simulators.ledger.ids import new_id
from services.simulators.ledger.texts import Text
from services.simulators.provider import Notice
from services.simulators.texting import SmsProvider
from services.simulators.world import JSON, World, world_of


async def list_texts(request: Request) -> Response:
    """Texts exactly as the providers received them, newest first: `?provider=`, `?phone=`, `?reference=`, `?limit=`.

    `hears` are the providers that pass on what people text back.
    """
    world, now = world_of(request), time.time()
    hears = [
        {"provider": each.code, "name": each.name} for each in world.sms_providers.values() if each.hear is not None
    ]
    return JSON({"texts": [text_as_data(world, text, now) for text in asked_for(request)], "hears": hears})


async def list_beem_texts(request: Request) -> Response:
    """Beem's alone, in its words."""
    now = time.time()
    beem = world_of(request).sms_providers["beem"]
    return JSON(
        {
            "messages": [
                {
                    "request_id": text.id,
                    "recipient_id": text.reference,
                    "phone": text.phone,
                    "sender": text.sender,
                    "text": text.body,
                    "encoding": int(text.encoding),
                    "credits": text.parts,
                    "status": beem.status(text, now) or None,
                    "at": iso_time(text.created_at),
                }
                for text in asked_for(request, provider="beem")
            ]
        }
    )


def asked_for(request: Request, provider: str = "") -> list[Text]:
    asked = request.query_params
    return world_of(request).ledger.texts.list_all(
        provider=provider or asked.get("provider", ""),
        phone=asked.get("phone", "").lstrip("+ "),  # a plus in a query string arrives as a space
        reference=asked.get("reference", ""),
        limit=read_natural(request, "limit", -1),
    )


def text_as_data(world: World, text: Text, now: float) -> dict[str, Any]:
    provider = world.sms_providers[text.provider]
    return {
        "provider": text.provider,
        "id": text.id,
        "reference": text.reference,
        "phone": text.phone,
        "sender": text.sender,
        "text": text.body,
        "encoding": text.encoding or None,
        "parts": text.parts,
        "state": "received" if text.is_inbound else text.ended(now) or "underway",
        "status": None if text.is_inbound else provider.status(text, now) or None,
        "is_inbound": text.is_inbound,
        "at": iso_time(text.created_at),
    }


async def answer_text(request: Request) -> Response:
    """`{"provider", "phone", "text", "to"?}`: somebody texts to us."""
    world, wish = world_of(request), await read_wish(request)
    provider = sms_provider_called(world, wish.get("provider"))
    if provider.hear is None:
        raise refuse(409, f"{provider.name} passes on no texts.")
    text = said(provider, wish, body=text_of(wish, "text"))
    tell(world, provider, text, provider.hear, [text])
    return JSON({"text": text_as_data(world, text, text.created_at)}, status_code=201)


async def opt_out(request: Request) -> Response:
    """`{"provider", "phone", "to"?}`: somebody tells the provider to stop, which tells us."""
    world, wish = world_of(request), await read_wish(request)
    provider = sms_provider_called(world, wish.get("provider"))
    if provider.opt_out is None:
        raise refuse(409, f"{provider.name} tells of no opt-outs.")
    tell(world, provider, said(provider, wish, body=""), provider.opt_out, [])
    return JSON({"status": "ok"}, status_code=201)


def sms_provider_called(world: World, code: object) -> SmsProvider:
    provider = world.sms_providers.get(code) if isinstance(code, str) else None
    if provider is None:
        raise refuse(404, f"There is no provider of SMS {code!r}; there are {', '.join(world.sms_providers)}.")
    return provider


def said(provider: SmsProvider, wish: dict[str, Any], *, body: str) -> Text:
    phone, now = text_of(wish, "phone").lstrip("+"), time.time()
    if not phone:
        raise refuse(400, "phone is needed.")
    return Text(
        provider=provider.code,
        id=new_id("IN", 12),
        phone=phone,
        sender=text_of(wish, "to") or "FARAJA",
        body=body,
        is_inbound=True,
        created_at=now,
        ends_at=now,
    )


def tell(
    world: World, provider: SmsProvider, text: Text, word: Callable[[World, Text], Notice], kept: list[Text]
) -> None:
    """Send the callback in the provider's words, if it has an address, and keep the text."""
    notice = word(world, text)
    tries = provider.callback_tries(world.config)
    planned = [till.new_callback(provider.code, text.id, notice, text.created_at, tries=tries)]
    has_address = bool(notice.url or provider.callback_url(world.config))
    world.callbacks.schedule(world.ledger.texts.accept(kept, planned if has_address else []))


def routes() -> Iterable[Route]:
    return [
        Route(f"{PREFIX}/texts", list_texts, methods=["GET"]),
        Route(f"{PREFIX}/beem/messages", list_beem_texts, methods=["GET"]),
        Route(f"{PREFIX}/texts/inbound", answer_text, methods=["POST"]),
        Route(f"{PREFIX}/texts/opt-out", opt_out, methods=["POST"]),
    ]
