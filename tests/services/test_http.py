from __future__ import annotations

import logging
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

import services.http
from services.http import Answer, GatewayUnavailable, HttpClient, OutcomeUnknown
from tests.services.wire import Handler, answer, answering, hear, listening, refused_url

CERTIFICATE = Path(__file__).with_name("untrusted_localhost.pem")


@contextmanager
def client_of(handler: Handler, *, read_timeout: float = 2.0, deadline: float | None = None) -> Iterator[HttpClient]:
    with listening(handler) as url:
        yield HttpClient(url, read_timeout=read_timeout, deadline=deadline)


def over_tls(handler: Handler) -> Handler:
    """`handler`, behind a certificate for localhost that only its own copy vouches for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)

    def wrapped(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            handler(secure)

    return wrapped


def hangs_up(connection: socket.socket) -> None:
    hear(connection)


def stays_silent(connection: socket.socket) -> None:
    hear(connection)
    connection.recv(1)  # until the client gives up


def resets_in_the_body(connection: socket.socket) -> None:
    hear(connection)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"half":')
    time.sleep(0.05)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def speaks_no_http(connection: socket.socket) -> None:
    hear(connection)
    connection.sendall(b"+OK POP3 ready secret-banner\r\n\r\n")


def drips_headers(connection: socket.socket) -> None:
    hear(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX-Drip: ")
    while True:
        connection.sendall(b"a")
        time.sleep(0.05)


def drips_the_body(connection: socket.socket) -> None:
    hear(connection)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.05)


def drips_interim_answers(connection: socket.socket) -> None:
    hear(connection)
    while True:
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        time.sleep(0.05)


def test_a_refused_connection_means_that_nothing_was_sent():
    with pytest.raises(GatewayUnavailable):
        HttpClient(refused_url()).request("POST", "/charges", json={"amount": "1"})


def test_a_name_that_does_not_exist_means_that_nothing_was_sent():
    impossible = "a" * 64 + ".test"  # a label may have 63 characters, so no resolver is asked

    with pytest.raises(GatewayUnavailable):
        HttpClient(f"http://{impossible}").request("POST", "/charges", json={})


def test_a_server_that_speaks_no_tls_is_never_sent_a_request():
    heard = []

    def plain(connection: socket.socket) -> None:
        heard.append(connection.recv(65536))
        connection.sendall(answer(400))

    with listening(plain) as url, pytest.raises(GatewayUnavailable):
        HttpClient(url.replace("http://", "https://")).request("POST", "/charges", json={})

    assert b"charges" not in b"".join(heard)


def test_a_certificate_that_nobody_vouches_for_is_refused_before_anything_is_sent():
    heard = []

    def handler(connection: socket.socket) -> None:
        heard.append(hear(connection))

    with listening(over_tls(handler)) as url, pytest.raises(GatewayUnavailable):
        HttpClient(url.replace("http://127.0.0.1", "https://localhost")).request("POST", "/charges", json={})

    assert heard in ([], [None])


def test_over_tls_a_call_is_answered_and_the_deadline_holds(monkeypatch):
    trusting = ssl.create_default_context(cafile=str(CERTIFICATE))
    monkeypatch.setattr("services.http._tls", lambda: trusting)
    echo, heard = answering(answer(200, b'{"a": 1}'))

    with listening(over_tls(echo)) as url:
        client = HttpClient(url.replace("http://127.0.0.1", "https://localhost"))
        assert [client.request("POST", "/charges", json={}).json() for _call in range(2)] == [{"a": 1}] * 2
    started = time.monotonic()
    with listening(over_tls(drips_the_body)) as url:
        client = HttpClient(url.replace("http://127.0.0.1", "https://localhost"), deadline=0.6)
        with pytest.raises(OutcomeUnknown):
            client.request("POST", "/charges", json={})

    assert len(heard) == 2
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    "handler", [hangs_up, stays_silent, resets_in_the_body, speaks_no_http], ids=lambda handler: handler.__name__
)
def test_silence_after_the_request_left_is_an_unknown_outcome(handler):
    with client_of(handler, read_timeout=0.3) as client, pytest.raises(OutcomeUnknown):
        client.request("POST", "/charges", json={"amount": "1"})


@pytest.mark.parametrize(
    "handler", [hangs_up, stays_silent, resets_in_the_body, speaks_no_http], ids=lambda handler: handler.__name__
)
def test_silence_after_a_question_is_only_unavailable(handler):
    with client_of(handler, read_timeout=0.3) as client:
        with pytest.raises(GatewayUnavailable):
            client.request("GET", "/charges/1")
        with pytest.raises(GatewayUnavailable):
            client.request("POST", "/preview", json={}, is_question=True)


@pytest.mark.parametrize(
    "handler", [drips_headers, drips_the_body, drips_interim_answers], ids=lambda handler: handler.__name__
)
def test_a_peer_that_drips_bytes_cannot_outlast_the_deadline(handler):
    started = time.monotonic()

    with client_of(handler, read_timeout=0.5, deadline=0.6) as client, pytest.raises(OutcomeUnknown):
        client.request("POST", "/charges", json={})

    assert 0.5 < time.monotonic() - started < 1.5


def test_a_peer_that_reads_nothing_cannot_outlast_the_deadline():
    released = threading.Event()

    def reads_nothing(_connection: socket.socket) -> None:
        released.wait(10)

    started = time.monotonic()
    with client_of(reads_nothing, deadline=0.5) as client, pytest.raises(OutcomeUnknown):
        client.request("POST", "/charges", json={"text": "x" * 20_000_000})

    released.set()
    assert time.monotonic() - started < 2


def test_a_reset_while_the_request_is_still_leaving_is_an_unknown_outcome():
    def resets_at_once(connection: socket.socket) -> None:
        connection.recv(10)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    with client_of(resets_at_once) as client, pytest.raises(OutcomeUnknown):
        client.request("POST", "/charges", json={"text": "x" * 20_000_000})


def test_a_deadline_that_has_passed_before_connecting_sends_nothing():
    handler, heard = answering(answer())

    with client_of(handler, deadline=1e-9) as client, pytest.raises(GatewayUnavailable):
        client.request("POST", "/charges", json={})

    assert heard == []


def test_by_default_a_call_ends_five_seconds_after_its_read_timeout(monkeypatch):
    monkeypatch.setattr(services.http, "OVERHEAD", 0.2)
    started = time.monotonic()

    with client_of(drips_the_body) as client, pytest.raises(OutcomeUnknown):
        client.request("POST", "/charges", json={}, read_timeout=0.4)

    assert 0.5 < time.monotonic() - started < 1.5


def test_a_body_above_the_cap_is_not_read_to_its_end():
    body = b" " * (services.http.BODY_CAP + 1)
    handler, _heard = answering(answer(200, body), answer(200, body[:-1]))

    with client_of(handler) as client:
        with pytest.raises(OutcomeUnknown):
            client.request("POST", "/charges", json={})
        assert len(client.request("POST", "/charges", json={}).body) == services.http.BODY_CAP


def test_a_redirect_is_an_answer_and_is_not_followed():
    handler, heard = answering(answer(307, b"{}", "Location: /elsewhere"))

    with client_of(handler) as client:
        redirect = client.request("POST", "/charges", json={})

    assert redirect.status == 307
    assert [request.target for request in heard] == ["/charges"]
    with pytest.raises(OutcomeUnknown):
        redirect.refuse_unusable()


def test_nothing_is_tried_twice():
    calls = []

    def handler(connection: socket.socket) -> None:
        calls.append(hear(connection))

    with client_of(handler) as client, pytest.raises(OutcomeUnknown):
        client.request("POST", "/charges", json={})

    assert len(calls) == 1


def test_no_free_connection_means_that_nothing_was_sent(monkeypatch):
    monkeypatch.setattr(services.http, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(services.http, "POOL_TIMEOUT", 0.1)

    with client_of(stays_silent, read_timeout=1.0) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.request, "POST", "/charges", json={})
        time.sleep(0.2)
        with pytest.raises(GatewayUnavailable):
            client.request("POST", "/charges", json={})
        assert isinstance(first.exception(), OutcomeUnknown)


def test_many_threads_share_one_client_without_mixing_answers():
    def echo(connection: socket.socket) -> None:
        while (request := hear(connection)) is not None:
            connection.sendall(answer(200, request.body))

    with client_of(echo) as client, ThreadPoolExecutor(8) as pool:
        answers = pool.map(lambda number: client.request("POST", "/echo", json={"number": number}).json(), range(200))
        assert [body["number"] for body in answers] == list(range(200))


def test_a_connection_is_used_again_and_one_that_was_closed_meanwhile_is_not():
    connections = []

    def closes_after_two(connection: socket.socket) -> None:
        connections.append(connection)
        for _turn in range(2):
            if hear(connection) is not None:
                connection.sendall(answer())

    with client_of(closes_after_two) as client:
        for _call in range(4):
            assert client.request("POST", "/charges", json={}).status == 200
            time.sleep(0.05)

    assert len(connections) == 2


def test_the_environment_and_earlier_answers_change_nothing(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", refused_url())
    monkeypatch.setenv("ALL_PROXY", refused_url())
    handler, heard = answering(answer(200, b"{}", "Set-Cookie: session=1; Path=/"))

    with client_of(handler) as client:
        client.request("GET", "/a")
        client.request("GET", "/b")

    assert [request.headers.get("cookie") for request in heard] == [None, None]
    assert heard[0].headers["user-agent"] == "faraja"
    assert heard[0].headers["accept-encoding"] == "identity"


def test_a_request_carries_json_headers_and_query_and_escapes_what_stands_in_the_path():
    handler, heard = answering(answer())

    with listening(handler) as url:
        HttpClient(url + "/third-parties/").request(
            "POST",
            "/payments/{reference}/lines",
            path_values={"reference": "../a b?c#d"},
            json={"text": "Mkámbala \ud800"},
            headers={"Authorization": "Bearer t"},
            params={"phone": "+255 7"},
        )

    [request] = heard
    assert request.target == "/third-parties/payments/..%2Fa%20b%3Fc%23d/lines?phone=%2B255+7"
    assert request.json == {"text": "Mkámbala \ud800"}
    assert request.headers["authorization"] == "Bearer t"
    assert request.headers["content-type"] == "application/json"


def test_a_place_in_the_path_is_never_left_empty_by_mistake():
    with pytest.raises(KeyError, match="reference"):
        HttpClient(refused_url()).request("GET", "/payments/{reference}")


def test_a_call_leaves_one_line_and_no_secret_in_the_log(caplog):
    handler, _heard = answering(answer(200, b'{"phone": "255712345678"}', "X-Token: secret-answer-header"))
    caplog.set_level(logging.DEBUG)  # the root: whatever any library prints is caught too

    with listening(handler) as url:
        HttpClient(url + "/base").request(
            "POST",
            "/payments/{reference}",
            path_values={"reference": "ORD2026000123"},
            json={"phoneNumber": "255712345678"},
            headers={"Authorization": "Bearer secret-token"},
            params={"dest_addr": "255712345678"},
        )

    [line] = [record for record in caplog.records if record.name == "faraja.http"]
    facts = {name: getattr(line, name) for name in ("method", "host", "path", "status", "failure")}
    assert facts == {
        "method": "POST",
        "host": "127.0.0.1",
        "path": "/base/payments/{reference}",
        "status": 200,
        "failure": "",
    }
    assert isinstance(line.milliseconds, int)
    printed = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    for secret in ("secret", "255712345678", "ORD2026000123", "dest_addr"):
        assert secret not in printed


def test_a_failed_call_is_logged_by_the_name_of_its_failure(caplog):
    with client_of(speaks_no_http) as client, pytest.raises(OutcomeUnknown) as caught:
        client.request("POST", "/charges", json={})

    [line] = [record for record in caplog.records if record.name == "faraja.http"]
    assert (line.levelname, line.failure, line.status) == ("WARNING", "RemoteProtocolError", 0)
    # The library's error quotes what it received.
    assert "secret-banner" not in line.getMessage()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_a_surprise_is_logged_by_its_name_and_not_renamed(caplog, monkeypatch):
    def surprise(_chunks: object) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr("services.http._read_capped", surprise)
    handler, _heard = answering(answer())

    with client_of(handler) as client, pytest.raises(KeyboardInterrupt):
        client.request("POST", "/charges", json={})

    [line] = [record for record in caplog.records if record.name == "faraja.http"]
    assert line.failure == "KeyboardInterrupt"


def test_a_header_that_cannot_be_sent_is_refused_without_its_value():
    handler, heard = answering(answer())

    with client_of(handler) as client, pytest.raises(ValueError, match="Authorization") as caught:
        client.request("POST", "/charges", headers={"Authorization": "Bearer secret\r\nX-Injected: 1"})

    assert "secret" not in str(caught.value)
    assert heard == []


@pytest.mark.parametrize(
    "base_url",
    [
        "",
        "api.example.com",
        "ftp://example.com",
        "https://",
        "https://user:secret@example.com",
        "https://e.com/?secret=1",
        "https://e.com:secret",
    ],
)
def test_a_base_url_must_be_plain(base_url):
    with pytest.raises(ImproperlyConfigured) as caught:
        HttpClient(base_url)

    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 409, 422, 499])
def test_an_answer_given_on_purpose_is_usable(status):
    Answer(status=status, body=b'{"a": 1}').refuse_unusable()


@pytest.mark.parametrize("status", [400, 404])
def test_a_client_error_is_usable_without_json_too(status):
    Answer(status=status, body=b"<html>").refuse_unusable()


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, b""),
        (200, b"<html>"),
        (204, b""),
        (302, b"{}"),
        (408, b"{}"),
        (500, b'{"a": 1}'),
        (503, b""),
        (600, b"{}"),
        (101, b"{}"),
    ],
)
def test_an_answer_that_tells_nothing_is_silence(status, body):
    with pytest.raises(OutcomeUnknown):
        Answer(status=status, body=body).refuse_unusable()
    with pytest.raises(GatewayUnavailable):
        Answer(status=status, body=body, is_question=True).refuse_unusable()


@pytest.mark.parametrize(("header", "seconds"), [("30", 30), ("", None), ("Wed, 21 Oct 2026", None), ("9" * 30, None)])
def test_too_many_requests_means_later_and_says_when(header, seconds):
    with pytest.raises(GatewayUnavailable) as caught:
        Answer(status=429, body=b"{}", headers={"retry-after": header}).refuse_unusable()

    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(("path", "is_caught"), [("services/sms/providers/x.py", True), ("services/http.py", False)])
def test_a_second_way_out_is_caught_by_the_linter(path, is_caught):
    ruff = Path(sys.executable).with_name("ruff")
    command = [ruff, "check", "--no-cache", "--select", "TID251", "--stdin-filename", path, "-"]

    for library in ("httpx", "httpcore", "requests", "urllib.request"):
        checked = subprocess.run(command, input=f"import {library}\n", capture_output=True, text=True, check=False)
        assert ("TID251" in checked.stdout) is is_caught, checked.stdout + checked.stderr
