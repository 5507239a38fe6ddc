"""Two deployments for a real browser: production's settings behind TLS, and development's on plain http.

Names lead to this computer by a rule of the browser, so pages have origins and sites as they have them in life.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import httpx
import playwright
from playwright.sync_api import Browser, sync_playwright

from tests.chromium import find_chromium
from tests.e2e.kits import PASSWORD, Books, wait_until
from tests.templates import postgresql_template
from tools.processes import Guard, Process, Running, free_port, listens, stop_all
from tools.services import fresh_database
from tools.stack import ROOT, Stack, running_stack

CERTIFICATE = ROOT / "tests" / "services" / "untrusted_localhost.pem"
GUIDE = ROOT / "docs" / "sessions.md"
SITE = "faraja.test"
APP, API, BLOG, EVIL = f"app.{SITE}", f"api.{SITE}", f"blog.{SITE}", "evil.test"
ARGUMENTS = [
    "--no-sandbox",
    "--ignore-certificate-errors",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    rules = ",".join(f"MAP {name} 127.0.0.1" for name in (f"*.{SITE}", EVIL))
    with sync_playwright() as player:
        browser = player.chromium.launch(
            executable_path=find_chromium(), args=[*ARGUMENTS, f"--host-resolver-rules={rules}"]
        )
        yield browser
        browser.close()


def guide_client() -> str:
    """The client that the guide shows, as the JavaScript that is left when its types are taken away."""
    (typescript,) = re.findall(r"^```ts\n(.*?)^```", GUIDE.read_text(), re.M | re.S)
    node = Path(playwright.__file__).parent / "driver" / "node"
    strip = "import {stripTypeScriptTypes as strip} from 'node:module'; import {readFileSync} from 'node:fs';"
    done = subprocess.run(
        [node, "--no-warnings", "--input-type=module", "-e", f"{strip} console.log(strip(readFileSync(0, 'utf8')))"],
        input=typescript,
        capture_output=True,
        text=True,
        check=True,
    )
    return str(done.stdout)


class _Pages(BaseHTTPRequestHandler):
    """An empty page at every address, and the guide's client."""

    files: ClassVar[dict[str, tuple[str, str]]] = {}

    def do_GET(self) -> None:
        kind, text = self.files.get(self.path, ("text/html", "<!doctype html><title>A page</title>"))
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: object) -> None:
        """Nothing: the browser's requests are no news."""


@contextlib.contextmanager
def running_pages(files: dict[str, tuple[str, str]], *, is_tls: bool) -> Iterator[int]:
    """A server of pages under every name of this computer; its port."""
    handler = type("Pages", (_Pages,), {"files": files})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if is_tls:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(CERTIFICATE)
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class Gate:
    """Another port of the API, at which requests can be held back. Cookies do not know ports, so they are the same."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._open = threading.Event()
        self._open.set()
        self._arrived = threading.Event()
        self.to_lose = 0  # answers that will not get through; their connections end
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Until the end of the block nothing that is sent here goes on."""
        self._arrived.clear()
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def await_request(self) -> None:
        """Wait until something is being held."""
        assert self._arrived.wait(10), "Nothing came to the gate."

    def close(self) -> None:
        self._open.set()
        self._server.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _address = self._server.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
                for source, sink, is_held in ((near, far, True), (far, near, False)):
                    threading.Thread(target=self._pump, args=(source, sink, is_held), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, is_held: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if is_held and not self._open.is_set():
                    self._arrived.set()
                    self._open.wait()
                if not is_held and self.to_lose:
                    self.to_lose -= 1
                    break
                sink.sendall(data)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@dataclass(frozen=True, kw_only=True)
class Site:
    """One deployment: where the API is, and where the frontend's page."""

    api: str
    app: str
    prefix: dict[str, str]  # of the cookies' names

    @property
    def v1(self) -> str:
        return f"{self.api}/api/v1"


@dataclass(frozen=True, kw_only=True)
class Sites:
    """Both deployments on one database, and the strangers around them."""

    production: Site
    development: Site
    blog: str  # of the same site as production, and not on its list
    evil: str
    gate: Gate
    slow_v1: str  # production's API behind the gate
    books: Books
    stack: Stack

    def new_person(self) -> str:
        """The e-mail address of somebody who has registered."""
        email = f"asha-{secrets.token_hex(6)}@example.com"
        body = {"email": email, "password": PASSWORD}
        with httpx.Client(base_url=self.stack.base_url, timeout=15, trust_env=False) as http:
            answer = http.post("/api/v1/auth/register/", json=body)
        assert answer.status_code == 201, answer.text
        # Its session is not one of the browser's.
        self.books.read(
            "DELETE FROM accounts_authsession WHERE user_id = (SELECT id FROM accounts_user WHERE email = %s)", email
        )
        return email

    def sessions(self, email: str) -> list[dict[str, object]]:
        """The rows of a person's sessions, oldest first."""
        return self.books.read(
            "SELECT s.generation, s.transport, s.revoked_at, s.revoked_reason FROM accounts_authsession s"
            " JOIN accounts_user u ON u.id = s.user_id WHERE u.email = %s ORDER BY s.created_at",
            email,
        )

    def first_name(self, email: str) -> str:
        (row,) = self.books.read("SELECT first_name FROM accounts_user WHERE email = %s", email)
        return str(row["first_name"])

    def let_the_grace_end(self, email: str) -> None:
        """As if eleven seconds had passed since the last rotation."""
        self.books.read(
            "UPDATE accounts_authsession SET rotated_at = rotated_at - interval '11 seconds'"
            " WHERE user_id = (SELECT id FROM accounts_user WHERE email = %s)",
            email,
        )


@contextlib.contextmanager
def running_sites() -> Iterator[Sites]:
    """Both deployments, on a new database of the suite's PostgreSQL."""
    files = {"/session.js": ("text/javascript", guide_client())}
    with contextlib.ExitStack() as ends:
        tls_pages = ends.enter_context(running_pages(files, is_tls=True))
        pages = ends.enter_context(running_pages(files, is_tls=False))
        template = postgresql_template()
        url = ends.enter_context(fresh_database(os.environ["DATABASE_URL"], template=template or "template1"))
        app = f"https://{APP}:{tls_pages}"
        stack = ends.enter_context(
            running_stack(
                database_url=url,
                extra_env={"CORS_ALLOWED_ORIGINS": f"http://localhost:{pages},http://127.0.0.1:{pages}"},
                migrate=template is None,
                leave_out=("relay", "simulators"),
            )
        )
        port = ends.enter_context(_production_web(stack, allowed_origin=app))
        gate = Gate(port)
        ends.callback(gate.close)
        books = ends.enter_context(contextlib.closing(Books(url)))
        yield Sites(
            production=Site(
                api=f"https://{API}:{port}",
                app=app,
                prefix={"access": "__Host-", "refresh": "__Secure-", "csrf": "__Host-"},
            ),
            development=Site(
                api=stack.base_url.replace("127.0.0.1", "localhost"),
                app=f"http://localhost:{pages}",
                prefix={"access": "", "refresh": "", "csrf": ""},
            ),
            blog=f"https://{BLOG}:{tls_pages}",
            evil=f"https://{EVIL}:{tls_pages}",
            gate=gate,
            slow_v1=f"https://{API}:{gate.port}/api/v1",
            books=books,
            stack=stack,
        )


@contextlib.contextmanager
def _production_web(stack: Stack, *, allowed_origin: str) -> Iterator[int]:
    """The web with production's settings, TLS in front, on the stack's database; its port."""
    port = free_port()
    env = stack.env | {
        "DJANGO_SETTINGS_MODULE": "config.settings.prod",
        "SECRET_KEY": secrets.token_urlsafe(48),
        "JWT_SIGNING_KEY": secrets.token_urlsafe(48),
        "ALLOWED_HOSTS": API,
        "CORS_ALLOWED_ORIGINS": allowed_origin,
        "FRONTEND_URL": f"https://{APP}",
        "PUBLIC_URL": f"https://{API}",
        "EMAIL_URL": "consolemail://",
    }
    argv = [sys.executable, "-m", "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--blocking-threads", "4", "--no-ws"]
    argv += ["--ssl-certificate", str(CERTIFICATE), "--ssl-keyfile", str(CERTIFICATE), "config.wsgi:application"]
    spec = Process(name="production web", argv=argv, env=env, cwd=ROOT)
    with Guard() as guard, (stack.mail_dir / "production.log").open("wb") as log:
        web = Running(spec, guard, output=log)
        try:
            wait_until(lambda: listens(port) or not web.is_running, "production's web")
            yield port
        finally:
            stop_all([web])
