"""The ASGI application that plays the providers: `services.simulators.app:app`."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.simulators import (
    control,
    control_customer,
    control_faults,
    control_payments,
    control_texts,
    hosted,
    oauth,
)
from services.simulators.africastalking import AFRICASTALKING
from services.simulators.azure.email import AZURE_EMAIL, AzureEmail
from services.simulators.azure.texts import AZURE
from services.simulators.beem import BEEM
from services.simulators.beem_payments.provider import BEEM_PAY
from services.simulators.callbacks import CallbackSender, Target
from services.simulators.calls import CallLog
from services.simulators.clickpesa.provider import CLICKPESA
from services.simulators.config import Config, read_config
from services.simulators.customer import Customer, Mode
from services.simulators.faults import FaultBook, Rates
from services.simulators.ledger.book import Ledger
from services.simulators.ledger.callbacks import DueCallback
from services.simulators.nextsms import NEXTSMS
from services.simulators.polar.provider import POLAR
from services.simulators.provider import PaymentProvider
from services.simulators.selcom.provider import SELCOM
from services.simulators.texting import SmsProvider
from services.simulators.twilio.provider import TWILIO
from services.simulators.world import JSON, Refusal, World

# Everything the core knows about a payment provider; a new one is added here.
PROVIDERS: tuple[PaymentProvider, ...] = (CLICKPESA, SELCOM, BEEM_PAY, POLAR)
# The same for a provider of SMS.
SMS_PROVIDERS: tuple[SmsProvider, ...] = (BEEM, AFRICASTALKING, TWILIO, NEXTSMS, AZURE)
# The same for a provider of e-mail.
EMAIL_PROVIDERS: tuple[AzureEmail, ...] = (AZURE_EMAIL,)
EVERYONE: tuple[PaymentProvider | SmsProvider | AzureEmail, ...] = (*PROVIDERS, *SMS_PROVIDERS, *EMAIL_PROVIDERS)


def is_ours(path: str) -> bool:
    """What no provider has, and so is not worth a line among the calls."""
    return path in ("/", control.PREFIX, "/favicon.ico") or path.startswith(f"{control.PREFIX}/")


class LogCalls:
    """Notes every request to a provider in the log of calls; the control endpoints are not worth noting."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or is_ours(scope["path"]):
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


def target_of(provider: PaymentProvider | SmsProvider | AzureEmail, config: Config) -> Target:
    def sign(callback: DueCallback, now: float) -> tuple[bytes, Mapping[str, str]]:
        signed = provider.sign(config, callback, now)
        return signed.body, signed.headers

    return Target(url=provider.callback_url(config), is_received=provider.is_received, sign=sign)


def create_app(config: Config | None = None) -> Starlette:
    """The application. Settings come from the environment when none are given; they are read at its start."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        settings = config or read_config(os.environ)
        ledger, calls = Ledger(settings.ledger), CallLog()
        callbacks = CallbackSender(
            ledger=ledger,
            calls=calls,
            targets={provider.code: target_of(provider, settings) for provider in EVERYONE},
            backoff=settings.callback_backoff,
            timeout=settings.callback_timeout,
        )
        app.state.world = World(
            config=settings,
            ledger=ledger,
            calls=calls,
            callbacks=callbacks,
            faults=FaultBook(
                rates=Rates(
                    rate=settings.fault_rate, callback_rate=settings.callback_fault_rate, seed=settings.fault_seed
                ),
                never_lost=frozenset(
                    [each.code for each in PROVIDERS if not each.has_query]
                    + [each.code for each in SMS_PROVIDERS if "query" not in each.operations]
                ),
            ),
            customer=Customer(Mode(settings.customer)),
            providers={provider.code: provider for provider in PROVIDERS},
            sms_providers={provider.code: provider for provider in SMS_PROVIDERS},
        )
        callbacks.start()
        try:
            yield
        finally:
            await callbacks.stop()
            ledger.close()

    return Starlette(
        routes=[
            *(route for provider in PROVIDERS for route in provider.routes()),
            *(route for provider in SMS_PROVIDERS for route in provider.routes()),
            *(route for provider in EMAIL_PROVIDERS for route in provider.routes()),
            *oauth.routes(),
            *hosted.routes(),
            *control.routes(),
            *control_payments.routes(),
            *control_customer.routes(),
            *control_faults.routes(),
            *control_texts.routes(),
        ],
        lifespan=lifespan,
        middleware=[Middleware(LogCalls)],
        exception_handlers={Refusal: answer_refusal, HTTPException: answer_http_error},
    )


app = create_app()
