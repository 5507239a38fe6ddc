"""A TCP proxy whose routes can be cut: it stands before PostgreSQL, Redis and the providers.

`python -m tools.chaos.proxy --control 9100 postgres=9101:5432 redis=9102:6379` forwards two ports, and obeys lines such
as `redis blackhole` on the control port, each answered by `ok`. It is a process of its own, so that whoever plays the
clients does not wait for it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import socket
import struct
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from typing import cast

from tools.processes import ToolError


class Mode(StrEnum):
    """What a route does with its connections."""

    UP = "up"
    DOWN = "down"
    """Connections are refused, and those there are end."""
    BLACKHOLE = "blackhole"
    """Connections are accepted, and nothing ever comes of them; what there is falls silent."""
    RESET = "reset"
    """Connections are accepted and reset, those there are too."""


@dataclass(slots=True)
class Route:
    """One port that is forwarded to another on this computer."""

    name: str
    port: int
    target: int
    mode: Mode = Mode.UP
    ends: set[_End] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: _Client(self), "127.0.0.1", self.port, backlog=512)

    async def become(self, mode: Mode) -> None:
        """Change the mode, for the connections there are as well."""
        self.mode = mode
        if mode is Mode.DOWN and self.server is not None:
            self.server.close()
            self.server = None
        elif mode is not Mode.DOWN and self.server is None:
            await self.listen()
        for end in list(self.ends):
            if mode in (Mode.DOWN, Mode.RESET):
                end.reset()
            elif mode is Mode.BLACKHOLE:
                end.silence()
            else:
                end.speak()


class _End(asyncio.Protocol):
    """One side of a connection through the proxy."""

    def __init__(self, route: Route) -> None:
        self.route = route
        self.peer: _End | None = None
        self.transport: asyncio.Transport | None = None
        self._early = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.route.ends.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.route.ends.discard(self)
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.close()

    def data_received(self, data: bytes) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)
        else:
            self._early += data

    def eof_received(self) -> bool:
        return False

    def flush(self) -> None:
        """Pass on what came before the other side was there."""
        if self._early and self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(bytes(self._early))
            self._early.clear()

    def silence(self) -> None:
        if self.transport is not None and self.transport.is_reading():
            self.transport.pause_reading()

    def speak(self) -> None:
        if self.transport is not None and not self.transport.is_closing() and not self.transport.is_reading():
            self.transport.resume_reading()

    def reset(self) -> None:
        if self.transport is not None:
            with contextlib.suppress(OSError):
                connection = self.transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.transport.abort()


class _Client(_End):
    """The side of whoever connected to the proxy."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.route.mode in (Mode.DOWN, Mode.RESET):
            self.reset()
            return
        if self.route.mode is Mode.BLACKHOLE:
            self.silence()
        self._connecting = asyncio.get_running_loop().create_task(self._connect())

    async def _connect(self) -> None:
        while self.route.mode is Mode.BLACKHOLE:  # the other side hears of it once the route is up again
            await asyncio.sleep(0.05)
        loop = asyncio.get_running_loop()
        try:
            _transport, other = await loop.create_connection(lambda: _End(self.route), "127.0.0.1", self.route.target)
        except OSError:
            self.reset()
            return
        other.peer, self.peer = self, other
        if self.transport is None or self.transport.is_closing():
            other.reset()
        self.flush()
        other.flush()


async def serve(routes: list[Route], control: int) -> None:
    """Forward until a signal."""
    by_name = {route.name: route for route in routes}

    talks: set[asyncio.Task[None]] = set()

    async def obey(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.CancelledError, ConnectionError):
            while line := await reader.readline():
                name, _, mode = line.decode().strip().partition(" ")
                await by_name[name].become(Mode(mode))
                writer.write(b"ok\n")
                await writer.drain()
        writer.close()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(obey(reader, writer))
        talks.add(task)
        task.add_done_callback(talks.discard)

    for route in routes:
        await route.listen()
    server = await asyncio.start_server(meet, "127.0.0.1", control)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await stop.wait()
    finally:
        server.close()
        for talk in talks:
            talk.cancel()


class Cutter:
    """Tells a running proxy what to do."""

    def __init__(self, control: int) -> None:
        self._connection = socket.create_connection(("127.0.0.1", control), timeout=10)
        self._answers = self._connection.makefile("rb")

    def set(self, name: str, mode: Mode) -> None:
        """Put a route into a mode; returns once it is."""
        self._connection.sendall(f"{name} {mode}\n".encode())
        if self._answers.readline() != b"ok\n":
            raise ToolError("The proxy did not obey.")

    def close(self) -> None:
        self._connection.close()


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.chaos.proxy", description=__doc__)
    parser.add_argument("--control", type=int, required=True)
    parser.add_argument("routes", nargs="+", help="name=port:target")
    options = parser.parse_args(arguments)
    routes = []
    for text in options.routes:
        name, _, ports = text.partition("=")
        port, _, target = ports.partition(":")
        routes.append(Route(name, int(port), int(target)))
    asyncio.run(serve(routes, options.control))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
