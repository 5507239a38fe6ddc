"""Real servers on real sockets for the adapters: one does as a handler says, one plays recordings."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

PROVIDERS = Path(__file__).parents[1] / "providers"


@dataclass(frozen=True, kw_only=True)
class Heard:
    """One request as it arrived; header names in lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body) if self.body else None

    @property
    def is_form(self) -> bool:
        return self.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")

    @property
    def form(self) -> dict[str, str]:
        """The fields of a form, none of which may come twice."""
        fields = parse_qsl(self.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
        assert len(fields) == len(dict(fields)), "a field of the form came twice"
        return dict(fields)


Handler = Callable[[socket.socket], None]


@contextmanager
def listening(handler: Handler) -> Iterator[str]:
    """A TCP server on a free port; each connection is given to `handler` in a thread of its own. Yields its URL."""
    server = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []

    def serve(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            handler(connection)

    def accept() -> None:
        with suppress(OSError):
            while True:
                connection, _address = server.accept()
                connections.append(connection)
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


def refused_url() -> str:
    """The URL of a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


def hear(connection: socket.socket) -> Heard | None:
    """Read one whole request, or None when the client has hung up."""
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            return None
        data += chunk
    head, body = data.split(b"\r\n\r\n", 1)
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, _version = first.split(" ")
    headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
    while len(body) < int(headers.get("content-length", "0")):
        chunk = connection.recv(65536)
        if not chunk:
            return None
        body += chunk
    return Heard(method=method, target=target, headers=headers, body=body)


def answer(status: int = 200, body: bytes = b"{}", *headers: str) -> bytes:
    """The bytes of one HTTP answer."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def recorded_answer(recorded: dict[str, Any]) -> bytes:
    """The bytes of a recorded answer: `text` as it stands, or `json` printed."""
    text = recorded["text"] if "text" in recorded else json.dumps(recorded["json"], ensure_ascii=False)
    headers = [f"{name}: {value}" for name, value in recorded.get("headers", {}).items()]
    return answer(recorded["status"], text.encode(), *headers)


def answering(*answers: bytes) -> tuple[Handler, list[Heard]]:
    """A handler that gives these answers in turn, then the last one for ever, and the list of what it has heard."""
    heard: list[Heard] = []
    left = list(answers)

    def handler(connection: socket.socket) -> None:
        while (request := hear(connection)) is not None:
            heard.append(request)
            connection.sendall(left.pop(0) if len(left) > 1 else left[0])

    return handler, heard


@dataclass
class Player:
    """Plays recorded exchanges in their order and compares every request with the recorded one."""

    exchanges: list[dict[str, Any]]
    differences: list[str] = field(default_factory=list)
    heard: list[Heard] = field(default_factory=list)

    def __call__(self, connection: socket.socket) -> None:
        while (request := hear(connection)) is not None:
            self.heard.append(request)
            if not self.exchanges:
                self.differences.append(f"unexpected: {request.method} {request.target}")
                return
            exchange = self.exchanges.pop(0)
            self._compare(exchange["request"], request)
            if exchange["answer"] == "hang up":
                return
            connection.sendall(recorded_answer(exchange["answer"]))

    def _compare(self, recorded: dict[str, Any], request: Heard) -> None:
        url = urlsplit(request.target)
        actual = {
            "method": request.method,
            "path": url.path,
            "query": dict(parse_qsl(url.query, strict_parsing=True)) if url.query else {},
            "json": None if request.is_form else request.json,
            "form": request.form if request.is_form else None,
            "headers": {name: request.headers.get(name.lower()) for name in recorded.get("headers", {})},
        }
        expected = {"query": {}, "json": None, "form": None, "headers": {}, **recorded}
        self.differences += [
            f"{part}: recorded {expected[part]!r}, sent {actual[part]!r}"
            for part in actual
            if expected[part] != actual[part]
        ]


@contextmanager
def playing(*exchanges: dict[str, Any]) -> Iterator[tuple[str, Player]]:
    """A server that plays `exchanges`; on leaving, every one must have been used and every request have matched."""
    player = Player(list(exchanges))
    with listening(player) as url:
        yield url, player
    assert player.differences == []
    assert player.exchanges == [], "recorded exchanges that were never asked for"


def load(provider: str, name: str) -> Any:
    """One file of `tests/providers/<provider>/`. A provider without it fails here, by name."""
    path = PROVIDERS / provider / f"{name}.json"
    assert path.exists(), f"The provider {provider} has no recorded {name}: add tests/providers/{provider}/{name}.json"
    return json.loads(path.read_text(encoding="utf-8"))


def exchanges(provider: str, *names: str) -> list[dict[str, Any]]:
    """The exchanges of these recordings in a row; a recording may name another one to be played in its place."""
    found: list[dict[str, Any]] = []
    for name in names:
        for exchange in load(provider, name)["exchanges"]:
            found += exchanges(provider, exchange) if isinstance(exchange, str) else [exchange]
    return found


def delivery_body(recorded: dict[str, Any]) -> bytes:
    """The bytes of a recorded callback: `text` as it stands, or `json` printed."""
    return (recorded["text"] if "text" in recorded else json.dumps(recorded["json"], ensure_ascii=False)).encode()
