"""The simulators as a real process, and a receiver for their callbacks. Nothing here needs Django."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import httpx
import orjson
import pytest

from services.simulators.signing import checksum

ROOT = Path(__file__).parents[3]
CHECKSUM_KEY = "demo-checksum-key"
# Short enough to wait for, long enough apart to tell them from each other on a busy computer.
TIMINGS = {
    "SIMULATOR_APPROVE_AFTER": "0.3",
    "SIMULATOR_PUSH_TIMEOUT": "0.8",
    "SIMULATOR_LATE_CALLBACK": "1.5",
    "SIMULATOR_SETTLE_AFTER": "0.6",
    "SIMULATOR_ASK_TIMEOUT": "5.0",
    "SIMULATOR_HANG": "1.0",
    "SIMULATOR_SLOW": "0.3",
    "SIMULATOR_DELIVER_AFTER": "0.3",
    "SIMULATOR_CALLBACK_BACKOFF": "0.1",
}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(question: Callable[[], Any], *, seconds: float = 8.0) -> Any:
    """The first true answer, or a failure after `seconds`."""
    end = time.monotonic() + seconds
    while not (answer := question()):
        if time.monotonic() > end:
            pytest.fail(f"Still {answer!r} after {seconds} s.")
        time.sleep(0.02)
    return answer


@dataclass(kw_only=True)
class Received:
    path: str
    body: dict[str, Any]
    at: float
    raw: bytes
    headers: dict[str, str]


@dataclass(kw_only=True)
class Receiver:
    """Keeps every callback; answers after `delay` seconds, with `answers` first and with 200 after them."""

    url: str
    callbacks: list[Received] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    delay: float = 0.0
    arriving: set[Any] = field(default_factory=set)  # connections whose callback is not kept yet

    def forget(self) -> None:
        """Keep nothing of what was sent until now, not even what has been sent and not been read."""
        port = int(self.url.rpartition(":")[2])
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as last_in_the_queue:
            last_in_the_queue.request("GET", "/")
            last_in_the_queue.getresponse()
        end = time.monotonic() + 1
        while self.arriving and time.monotonic() < end:
            time.sleep(0.02)
        for connection in list(self.arriving):  # opened by a sender that was told to stop before it said anything
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        wait_for(lambda: not self.arriving)
        self.callbacks.clear()

    def about(self, reference: str) -> list[dict[str, Any]]:
        """ClickPesa's callbacks about one reference, in their order of arrival."""
        found = [callback.body for callback in list(self.callbacks) if "data" in callback.body]
        return [body for body in found if body["data"]["orderReference"] == reference]

    def reports(self, request_id: object) -> list[dict[str, Any]]:
        """Beem's callbacks about one call."""
        found = [callback.body for callback in list(self.callbacks)]
        return [body for body in found if body.get("request_id") == str(request_id)]


def fields_of(raw: bytes) -> dict[str, Any]:
    """What a callback says, in JSON or in a form."""
    body = orjson.loads(raw) if raw.startswith(b"{") else dict(parse_qsl(raw.decode(), keep_blank_values=True))
    return dict(body)


@pytest.fixture(scope="session")
def receiving() -> Iterator[Receiver]:
    port = free_port()
    receiver = Receiver(url=f"http://127.0.0.1:{port}")

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            raw = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            receiver.callbacks.append(
                Received(path=self.path, body=fields_of(raw), at=time.time(), raw=raw, headers=headers)
            )
            receiver.arriving.discard(self.request)
            time.sleep(receiver.delay)
            self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def process_request(self, request: Any, client_address: Any) -> None:
            receiver.arriving.add(request)
            super().process_request(request, client_address)

        def shutdown_request(self, request: Any) -> None:
            receiver.arriving.discard(request)
            super().shutdown_request(request)

    server = Server(("127.0.0.1", port), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield receiver
    server.shutdown()
    server.server_close()


@pytest.fixture
def receiver(receiving: Receiver) -> Iterator[Receiver]:
    receiving.callbacks.clear()
    receiving.answers.clear()
    receiving.delay = 0.0
    yield receiving
    receiving.answers.clear()
    receiving.delay = 0.0


@dataclass(kw_only=True)
class Simulator:
    """A running process and a client for it."""

    url: str
    process: subprocess.Popen[str]
    http: httpx.Client

    def charge(self, reference: str) -> dict[str, Any]:
        """The ledger's word about one reference."""
        [charge] = self.http.get("/simulator/clickpesa/charges", params={"reference": reference}).json()["charges"]
        return dict(charge)

    def control(self, path: str, **wish: Any) -> dict[str, Any]:
        """POST to a control endpoint."""
        answer = self.http.post(f"/simulator/{path}", json=wish)
        assert answer.is_success, answer.text
        return dict(answer.json())

    def steer(self, reference: str, action: str, **wish: Any) -> dict[str, Any]:
        """Do something with one of ClickPesa's charges."""
        return dict(self.control(f"charges/clickpesa/{reference}/{action}", **wish)["charge"])

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(10)


def launch(environ: Mapping[str, str], *, port: int) -> subprocess.Popen[str]:
    """Start `python -m services.simulators`; settings of the surrounding environment are left out."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SIMULATOR_")}
    return subprocess.Popen(
        [sys.executable, "-m", "services.simulators", "--port", str(port)],
        cwd=ROOT,
        env={**kept, **TIMINGS, **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextlib.contextmanager
def running(environ: Mapping[str, str]) -> Iterator[Simulator]:
    """A simulator that answers, stopped at the end."""
    port = free_port()
    process = launch(environ, port=port)
    # Nobody reads its pipes while it runs, so they must not fill up: a log line per callback is far below that.
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=10) as http:
        simulator = Simulator(url=f"http://127.0.0.1:{port}", process=process, http=http)

        def answers() -> bool:
            if process.poll() is not None:
                pytest.fail(f"The simulator ended: {process.communicate()}")
            with contextlib.suppress(httpx.HTTPError):
                return http.get("/simulator/health").is_success
            return False

        try:
            wait_for(answers, seconds=20)
            yield simulator
        finally:
            process.terminate()
            try:
                process.communicate(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                raise


@pytest.fixture(scope="session")
def mail_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mail")


@pytest.fixture(scope="session")
def shared_simulator(receiving: Receiver, mail_dir: Path) -> Iterator[Simulator]:
    environ = {
        "SIMULATOR_CLICKPESA_CALLBACK_URL": f"{receiving.url}/clickpesa",
        "SIMULATOR_BEEM_CALLBACK_URL": f"{receiving.url}/beem",
        "SIMULATOR_BEEM_PAY_CALLBACK_URL": f"{receiving.url}/beem_pay",
        "SIMULATOR_AFRICASTALKING_CALLBACK_URL": f"{receiving.url}/africastalking",
        "SIMULATOR_MAIL_DIR": str(mail_dir),
    }
    with running(environ) as simulator:
        yield simulator


@pytest.fixture
def simulator(shared_simulator: Simulator, receiver: Receiver) -> Simulator:
    """The shared process with an empty ledger, and nothing of the test before on its way."""
    shared_simulator.http.post("/simulator/reset").raise_for_status()
    receiver.forget()
    shared_simulator.control("customer", mode="auto")
    shared_simulator.control("faults/rates", rate=0, callback_rate=0)
    return shared_simulator


@dataclass(kw_only=True)
class ClickPesa:
    """A caller of the simulated ClickPesa, as plain HTTP."""

    simulator: Simulator
    token: str = ""

    def get_token(self, **headers: str) -> httpx.Response:
        return self.simulator.http.post("/clickpesa/third-parties/generate-token", headers=headers)

    def sign_in(self) -> None:
        self.token = self.get_token(**{"client-id": "demo-client", "api-key": "demo-api-key"}).json()["token"]

    def order(self, reference: str = "ORD1", phone: str = "255712345000", **changes: Any) -> dict[str, Any]:
        """A signed body for a push."""
        body = {"amount": "5000", "currency": "TZS", "orderReference": reference, "phoneNumber": phone, **changes}
        return {**body, "checksum": checksum(CHECKSUM_KEY, body)}

    def call(self, path: str, **body: Any) -> httpx.Response:
        """A signed POST to any of its paths."""
        return self.post(path, {**body, "checksum": checksum(CHECKSUM_KEY, body)}, below="")

    def get(self, path: str, **params: str) -> httpx.Response:
        return self.simulator.http.get(
            f"/clickpesa/third-parties/{path}", params=params, headers={"Authorization": self.token}
        )

    def post(self, operation: str, body: Any, *, below: str = "payments/") -> httpx.Response:
        return self.simulator.http.post(
            f"/clickpesa/third-parties/{below}{operation}",
            content=body if isinstance(body, bytes) else orjson.dumps(body),
            headers={"Authorization": self.token, "Content-Type": "application/json"},
        )

    def initiate(self, body: Any) -> httpx.Response:
        return self.post("initiate-ussd-push-request", body)

    def preview(self, body: Any) -> httpx.Response:
        return self.post("preview-ussd-push-request", body)

    def query(self, reference: str, **params: str) -> httpx.Response:
        return self.simulator.http.get(
            f"/clickpesa/third-parties/payments/{reference}", params=params, headers={"Authorization": self.token}
        )

    def status(self, reference: str) -> str:
        [payment] = self.query(reference).json()
        return str(payment["status"])


@pytest.fixture
def clickpesa(simulator: Simulator) -> ClickPesa:
    caller = ClickPesa(simulator=simulator)
    caller.sign_in()
    return caller
