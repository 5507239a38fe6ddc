"""What every endpoint of the simulators shares, and small tools of HTTP that are no provider's in particular."""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import logging
import os
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from services.simulators.callbacks import CallbackSender
from services.simulators.calls import CallLog
from services.simulators.config import Config
from services.simulators.customer import Customer
from services.simulators.desk import Desk
from services.simulators.faults import FaultBook
from services.simulators.ledger.book import Ledger

if TYPE_CHECKING:
    from services.simulators.provider import PaymentProvider
    from services.simulators.texting import SmsProvider

logger = logging.getLogger("simulators")

BODY_LIMIT = 2_000_000


@dataclass(slots=True, kw_only=True)
class World:
    """One running simulator process."""

    config: Config
    ledger: Ledger
    calls: CallLog
    callbacks: CallbackSender
    faults: FaultBook
    customer: Customer
    providers: Mapping[str, PaymentProvider]
    sms_providers: Mapping[str, SmsProvider] = field(default_factory=dict)
    desk: Desk = field(default_factory=Desk)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def wait(self, seconds: float) -> None:
        """Sleep, but no longer than the process is meant to live."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.wait(), seconds)


def world_of(request: Request) -> World:
    return cast(World, request.app.state.world)


class Refusal(Exception):
    """An answer other than success, already in the provider's words."""

    def __init__(self, status: int, body: dict[str, Any]) -> None:
        self.status, self.body = status, body
        super().__init__(body)


def basic_pair(header: str) -> bytes | None:
    """`name:secret` of an Authorization header with the Basic scheme (RFC 7617), or None where it has no such pair."""
    scheme, _, encoded = header.partition(" ")
    try:
        given = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return given if scheme.lower() == "basic" and b":" in given else None


class JSON(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content)


class NotJSON(ValueError):
    """The request's body is too long, not JSON, or not a JSON object."""


async def read_bytes(request: Request) -> bytes:
    """The request's body, kept for the log of calls. `NotJSON` when it is too long or ends early."""
    chunks, size = [], 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > BODY_LIMIT:
                raise NotJSON("The body is too long.")
            chunks.append(chunk)
    except ClientDisconnect as error:
        raise NotJSON("The body ended early.") from error
    body: bytes = b"".join(chunks)
    request.state.body = body
    return body


async def read_object(request: Request) -> dict[str, Any]:
    """The request's JSON object, or `NotJSON`."""
    return parse_object(await read_bytes(request))


def parse_object(body: bytes) -> dict[str, Any]:
    """A JSON object, or `NotJSON`."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise NotJSON(str(error)) from error
    if not isinstance(value, dict):
        raise NotJSON("The body is not a JSON object.")
    return value


class NoAnswer(Response):
    """Silence: holds the connection for a while, then drops it without a word of HTTP."""

    def __init__(self, world: World, seconds: float) -> None:
        super().__init__()
        self._world, self._seconds = world, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def until_the_client_leaves() -> None:
            await receive()  # the body has been read, so no other message is left to come

        hold = asyncio.create_task(self._world.wait(self._seconds))
        left = asyncio.create_task(until_the_client_leaves())
        await asyncio.wait({hold, left}, return_when=asyncio.FIRST_COMPLETED)
        if not left.done():
            drop_connection(scope)
        hold.cancel()
        left.cancel()


def drop_connection(scope: Scope) -> None:
    """Shut the client's connection down beneath the server, which can only answer, never stay silent.

    ASGI has no message for this and granian answers 500 for an application that sends nothing, so the socket is
    found among this process's own by the client's address.
    """
    client = scope.get("client")
    if not client:
        return
    peer, found = (client[0], int(client[1])), False
    for name in os.listdir("/dev/fd"):
        with contextlib.suppress(OSError):  # the listing's own descriptor is gone by now, others may be
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            # The copy is ours to close; shutting it down ends the connection for both.
            connection = socket.socket(fileno=os.dup(int(name)))
            with connection:
                if connection.family in (socket.AF_INET, socket.AF_INET6) and connection.getpeername()[:2] == peer:
                    connection.shutdown(socket.SHUT_RDWR)
                    found = True
    if not found:
        logger.warning("The connection from %s:%s was not found, so it could not be dropped.", *peer)
