"""The ASGI application that plays the providers: `services.simulators.app:app`."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.simulators import beem, clickpesa, control, oauth
from services.simulators.callbacks import CallbackSender, Target
from services.simulators.calls import CallLog
from services.simulators.config import Config, read_config
from services.simulators.ledger import Ledger
from services.simulators.world import JSON, Refusal, World


class LogCalls:
    """Notes every request to a provider in the log of calls; the control endpoints are not worth noting."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(f"{control.PREFIX}/"):
            await self._app(scope, receive, send)
            return
        started, status = time.time(), None

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        scope.setdefault("state", {})
        try:
            await self._app(scope, receive, watch)
        finally:
            query = scope["query_string"].decode(errors="replace")
            scope["app"].state.world.calls.add(
                direction="received",
                method=scope["method"],
                target=scope["path"] + (f"?{query}" if query else ""),
                status=status,
                started=started,
                body=scope["state"].get("body", b""),
            )


async def answer_refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - registered for this class only
    return JSON(error.body, status_code=error.status)


async def answer_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    # How either provider words an unknown path is unconfirmed.
    return JSON({"statusCode": error.status_code, "message": error.detail}, status_code=error.status_code)


def create_app(config: Config | None = None) -> Starlette:
    """The application. Settings come from the environment when none are given; they are read at its start."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        settings = config or read_config(os.environ)
        ledger, calls = Ledger(settings.ledger), CallLog()
        callbacks = CallbackSender(
            ledger=ledger,
            calls=calls,
            targets={
                clickpesa.PROVIDER: Target(
                    url=settings.clickpesa_callback_url, is_received=lambda status: 200 <= status < 300
                ),
                # The vendor notes say "when we do not answer 200", so nothing else counts.
                beem.PROVIDER: Target(url=settings.beem_callback_url, is_received=lambda status: status == 200),
            },
            backoff=settings.callback_backoff,
            timeout=settings.callback_timeout,
        )
        app.state.world = World(config=settings, ledger=ledger, calls=calls, callbacks=callbacks)
        callbacks.start()
        try:
            yield
        finally:
            await callbacks.stop()
            ledger.close()

    return Starlette(
        routes=[*clickpesa.routes(), *beem.routes(), *oauth.routes(), *control.routes()],
        lifespan=lifespan,
        middleware=[Middleware(LogCalls)],
        exception_handlers={Refusal: answer_refusal, HTTPException: answer_http_error},
    )


app = create_app()
