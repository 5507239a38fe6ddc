"""The one way to the outside world over HTTP: timeouts, size limits, redaction and error names, decided once."""

from __future__ import annotations

import json as json_module
import logging
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from string import Formatter
from typing import Any
from urllib.parse import quote, urlencode

import httpcore
import httpx
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from core.crash import crash_point
from core.exceptions import Unavailable
from services.reading import read_json

logger = logging.getLogger("faraja.http")
# At DEBUG the libraries print request and response headers, credentials included.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

CONNECT_TIMEOUT = WRITE_TIMEOUT = POOL_TIMEOUT = 2.0  # seconds each
READ_TIMEOUT = 10.0  # seconds of silence
OVERHEAD = 5.0  # seconds a whole call may take beyond its read timeout
BODY_CAP = 1024 * 1024  # bytes
MAX_CONNECTIONS = 20
# Below the five seconds after which Node servers hang up: a request that meets a closing connection may or may not
# have been read, and would end as OutcomeUnknown for nothing.
KEEP_ALIVE = 3.0


class GatewayUnavailable(Unavailable):
    """Nothing reached the provider, or nothing but a question did: trying again is safe."""

    code = "gateway_unavailable"
    message = _("The provider cannot be reached right now. Please try again.")


class OutcomeUnknown(Unavailable):
    """Something may have reached the provider and its answer did not reach us: ask before doing anything else."""

    code = "gateway_unavailable"
    message = _("The provider has not confirmed the outcome yet.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One callback as it arrived: the exact bytes, and headers with lower-case names.

    `url` is the address to which it came, as the provider knows it: with our public host, and with the query.
    """

    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a provider answered, whatever the status. Header names are lower-case.

    `is_question`: the call changed nothing at the provider, so silence after it is harmless.
    """

    status: int
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    is_question: bool = False

    def json(self) -> Any:
        """The body as JSON with exact numbers (see `read_json`), or None when it is not readable as such."""
        return read_json(self.body)

    @property
    def is_success(self) -> bool:
        """A 2xx."""
        return 200 <= self.status < 300

    def silence(self) -> Unavailable:
        """The error for an answer that tells us nothing: `GatewayUnavailable` for a question, else `OutcomeUnknown`."""
        return GatewayUnavailable() if self.is_question else OutcomeUnknown()

    def refuse_unusable(self) -> None:
        """Return only for an answer given on purpose: a 2xx with JSON in it, or a 4xx. Otherwise raise.

        429 is `GatewayUnavailable` (the provider declined to look, and says when to return). Redirects, 408, 5xx and an
        unreadable 2xx are silence: somebody answered, but nobody said what became of the request.
        """
        if self.status == 429:
            wait = self.headers.get("retry-after", "")
            # Seconds only; the date form and absurd waits are left to our own backoff.
            raise GatewayUnavailable(
                retry_after=int(wait) if wait.isascii() and wait.isdigit() and len(wait) < 6 else None
            )
        if self.is_success:
            if self.json() is None:
                raise self.silence()
        elif not 400 <= self.status < 500 or self.status == 408:
            raise self.silence()


class HttpClient:
    """Calls to one provider under `base_url`. Thread-safe; one per gateway instance, living as long as the process.

    `httpx.Client` is not used, only the engine beneath it: what the client adds (cookies, redirects, the environment's
    proxies, decompression, a log line with the whole URL) is what must not happen here, and its timeouts, which begin
    anew with every byte, cannot express a deadline.

    Each call may wait 2 s for a free connection, 2 s per address to connect, 2 s to write and `read_timeout` for each
    read; all of it ends at `deadline` seconds (default: `read_timeout` + 5), however slowly the peer drips. Only name
    lookup is beyond reach: the operating system's own limits apply to it. There are no retries. TLS is verified
    against certifi's roots; the environment is not consulted.
    """

    def __init__(self, base_url: str, *, read_timeout: float = READ_TIMEOUT, deadline: float | None = None) -> None:
        """Raise `ImproperlyConfigured` unless `base_url` is http(s)://host[:port][/path] and nothing more."""
        try:
            url = httpx.URL(base_url.rstrip("/"))
            is_plain = url.scheme in ("http", "https") and url.host and not (url.userinfo or url.query or url.fragment)
        except httpx.InvalidURL:
            is_plain = False
        if not is_plain:
            # Without the value: an address with a password in it would end up in a log.
            raise ImproperlyConfigured("A provider's base URL must look like https://host/path, without query or user.")
        self._url = url
        self._prefix = url.raw_path.decode("ascii").rstrip("/")
        self._read_timeout, self._deadline = read_timeout, deadline
        self._pool = httpcore.ConnectionPool(
            ssl_context=_tls(),
            max_connections=MAX_CONNECTIONS,
            keepalive_expiry=KEEP_ALIVE,
            network_backend=_Backend(),
        )

    def request(
        self,
        method: str,
        path: str,
        *,
        path_values: Mapping[str, str] | None = None,
        json: Any = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        params: Mapping[str, str] | None = None,
        read_timeout: float | None = None,
        is_question: bool | None = None,
    ) -> Answer:
        """One call, one answer of any status; a redirect is an answer too.

        `path` is a template such as `/payments/{reference}`, filled from `path_values` with everything but unreserved
        characters escaped; the template, not the filled path, is logged. The body is `json`, `form` (sent as an HTML
        form is), `content` (JSON from `json_bytes`, where the exact bytes are signed) or nothing.
        `is_question` (default: true for GET and HEAD) says that the call changes nothing at the provider.

        Raises `GatewayUnavailable` when no byte of the request can have left (name lookup, refused, TLS, no free
        connection) or the call is a question; `OutcomeUnknown` when one may have (time out, reset, broken protocol,
        a body above 1 MiB, the deadline). `ValueError` for a header that cannot be sent, without its value.
        """
        is_question = method in ("GET", "HEAD") if is_question is None else is_question
        read_timeout = self._read_timeout if read_timeout is None else read_timeout
        body, media_type = (content, "application/json") if content is not None else _encode(json, form)
        target = self.target(path, path_values=path_values, params=params).encode("ascii")
        outgoing = self._headers(headers, media_type)
        started = time.monotonic()
        call = _Call(ends_at=started + (self._deadline or read_timeout + OVERHEAD), path=path)
        token = _current.set(call)
        status, failure = 0, ""
        try:
            with self._pool.stream(
                method,
                httpcore.URL(scheme=self._url.raw_scheme, host=self._url.raw_host, port=self._url.port, target=target),
                headers=outgoing,
                content=body,
                extensions={
                    "timeout": {
                        "pool": min(POOL_TIMEOUT, call.left()),
                        "connect": CONNECT_TIMEOUT,
                        "write": WRITE_TIMEOUT,
                        "read": read_timeout,
                    }
                },
            ) as response:
                status = response.status
                return Answer(
                    status=status,
                    body=_read_capped(response.iter_stream()),
                    headers={
                        name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers
                    },
                    is_question=is_question,
                )
        except _FAILURES as error:
            failure = type(error).__name__
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            _current.reset(token)
            self._log(method, path, status, failure, milliseconds=round((time.monotonic() - started) * 1000))
        # Outside the except block, so that the library's error, which may quote what was received, is not chained.
        raise GatewayUnavailable if is_question or not call.is_sent else OutcomeUnknown

    def target(
        self, path: str, *, path_values: Mapping[str, str] | None = None, params: Mapping[str, str] | None = None
    ) -> str:
        """Path and query exactly as `request` sends them, for providers to whom they are signed."""
        filled = "".join(
            literal + (quote((path_values or {})[name], safe="") if name else "")
            for literal, name, _spec, _conversion in Formatter().parse(path)
        )
        return self._prefix + filled + ("?" + urlencode(params) if params else "")

    def _headers(self, headers: Mapping[str, str] | None, media_type: str) -> list[tuple[bytes, bytes]]:
        # "identity": a compressed body would need a second cap, on what it unfolds to.
        outgoing = {"User-Agent": "faraja", "Accept": "application/json", "Accept-Encoding": "identity"}
        if media_type:
            outgoing["Content-Type"] = media_type
        for name, value in (headers or {}).items():
            if not is_header_safe(value):
                raise ValueError(f"The value of the header {name} cannot be sent.")
            outgoing[name] = value
        return [(name.encode("ascii"), value.encode("ascii")) for name, value in outgoing.items()]

    def _log(self, method: str, path: str, status: int, failure: str, *, milliseconds: int) -> None:
        """One line per call. Never a header, a body, a query value or what stands in the path's places."""
        line = {"method": method, "host": self._url.host, "path": self._prefix + path, "status": status}
        logger.log(
            logging.WARNING if failure or status >= 500 else logging.INFO,
            "%s %s%s %s %d ms",
            method,
            line["host"],
            line["path"],
            failure or status,
            milliseconds,
            extra={**line, "failure": failure, "milliseconds": milliseconds},
        )


def is_header_safe(value: str) -> bool:
    """Whether `value` can stand in a request header: printable ASCII, not padded."""
    return value.isascii() and value.isprintable() and value == value.strip()


@dataclass(slots=True)
class _Call:
    """What the sockets need to know about the call they serve."""

    ends_at: float
    path: str
    is_sent: bool = False
    is_awaiting_answer: bool = False

    def left(self) -> float:
        return self.ends_at - time.monotonic()

    def allow(self, timeout: float | None, late: type[Exception]) -> float:
        """Seconds that one step may take; raise `late` when the call has none left."""
        left = self.left()
        if left <= 0:
            raise late("deadline")
        return left if timeout is None else min(timeout, left)


# A connection is used by the thread whose call it serves, so the call travels with the thread.
_current: ContextVar[_Call] = ContextVar("faraja_http_call")


@cache
def _tls() -> ssl.SSLContext:
    """One for all: reading the roots takes longer than a call."""
    return httpx.create_ssl_context(trust_env=False)


class _Oversize(Exception):
    pass


_FAILURES = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ConnectionNotAvailable,
    OSError,
    _Oversize,
)


class _Stream(httpcore.NetworkStream):
    """A socket that knows when its call must end, and notes when the first byte of a request may have left."""

    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        call = _current.get()
        if not call.is_awaiting_answer:
            call.is_awaiting_answer = True
            crash_point(f"request_sent{call.path}")
        return self._stream.read(max_bytes, timeout=call.allow(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        call = _current.get()
        ends_at = time.monotonic() + call.allow(timeout, httpcore.WriteTimeout)
        sock: socket.socket = self._stream.get_extra_info("socket")
        # The library's own loop would give every partial write the full timeout again.
        while buffer:
            left = ends_at - time.monotonic()
            if left <= 0:
                raise httpcore.WriteTimeout("deadline")
            call.is_sent = True
            try:
                sock.settimeout(left)
                buffer = buffer[sock.send(buffer) :]
            except TimeoutError as error:
                raise httpcore.WriteTimeout("timeout") from error
            except OSError as error:
                raise httpcore.WriteError("reset") from error

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        allowed = _current.get().allow(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout=allowed))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError("name lookup") from error
        failure: Exception = httpcore.ConnectError("no address")
        # One address at a time, so that several dead ones together cannot outlast the call.
        for address in dict.fromkeys(str(sockaddr[0]) for *_kind, sockaddr in found):
            allowed = _current.get().allow(timeout, httpcore.ConnectTimeout)
            try:
                return _Stream(super().connect_tcp(address, port, allowed, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


def _encode(json: Any, form: Mapping[str, str] | None) -> tuple[bytes | None, str]:
    """The body and its media type."""
    if form is not None:
        return urlencode(form).encode("ascii"), "application/x-www-form-urlencoded"
    if json is None:
        return None, ""
    return json_bytes(json), "application/json"


def json_bytes(value: Any) -> bytes:
    """The bytes that go out for `value`. `ValueError` for floats that JSON lacks."""
    # ASCII with escapes can carry any text, lone surrogates included.
    return json_module.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


def _read_capped(chunks: Iterable[bytes]) -> bytes:
    body = bytearray()
    for chunk in chunks:
        body += chunk
        if len(body) > BODY_CAP:
            raise _Oversize
    return bytes(body)
