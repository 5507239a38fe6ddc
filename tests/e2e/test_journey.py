"""The main job on whole processes: the demo, and every way a payment can go, side by side in one kit.

What each phone number does stands in docs/simulators.md. The kits run the simulators in a hurry (`tests.e2e.kits`).
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.kits import Ending, Kit, Person, wait_until
from tests.tools.conftest import ROOT
from tools.demo.frontend import new_phone
from tools.processes import free_port

pytestmark = pytest.mark.stack

ASKED_ONCE = {"tries": 1, "pushes": 1, "is_history_intact": True, "dead_events": ()}
PAID_ONCE = ASKED_ONCE | {"status": "settled", "charges": 1, "texts": 1, "mails": 1}
NOT_PAID = ASKED_ONCE | {"status": "failed", "charges": 0, "texts": 0, "mails": 0}
UNHEARD = {name: value for name, value in NOT_PAID.items() if name != "tries"} | {"status": "expired", "pushes": 0}
# The last digits of the payer's phone, and how the payment must end.
ENDINGS = {
    "": PAID_ONCE,
    "101": NOT_PAID,  # declined
    "102": NOT_PAID,  # never answered, found out by asking
    "103": PAID_ONCE,  # callback twice
    "104": PAID_ONCE,  # callback long after
    "105": PAID_ONCE,  # accepted, then silence
    "106": PAID_ONCE,  # no callback
    "107": UNHEARD,  # 500, nothing accepted; asked until it expired
    "108": PAID_ONCE,  # accepted, then 500
    "109": NOT_PAID,  # forged callbacks
    "110": PAID_ONCE | {"status": "review", "texts": 0, "mails": 0},  # another amount than asked for
    "111": PAID_ONCE,  # callback before the answer
    "112": PAID_ONCE,  # SUCCESS, later SETTLED
}


@dataclass(frozen=True)
class Scene:
    """All scenarios of one kit, started together by one person."""

    kit: Kit
    person: Person
    payments: dict[str, dict[str, Any]]

    def ending(self, phone: str) -> Ending:
        """How the payment of this phone ended, once the kit has nothing left to do."""
        return self.kit.ending(self.person, self.payments[phone])


@pytest.fixture(scope="module")
def scene(kit: Kit) -> Scene:
    person = kit.person()
    scene = Scene(kit, person, {phone: person.started(new_phone(phone)) for phone in ENDINGS})
    give_up(scene, scene.payments["107"])
    return scene


def give_up(scene: Scene, payment: dict[str, Any]) -> None:
    """Let the half hour of a payment end now that the gateway has been asked a second time, and the questions too."""
    kit, person = scene.kit, scene.person
    wait_until(lambda: kit.charges(payment) and kit.charges(payment)[0]["submitted"] > 1, "a second try")
    kit.books.read(
        "UPDATE outbox_outboxevent SET next_at = %s WHERE name = 'payment.expiring' AND CAST(payload AS text) LIKE %s",
        kit.books.time(datetime.now(UTC)),
        f"%{payment['id']}%",
    )
    person.await_status(payment, "expired")
    # The question that is on its way finds another number than its own, and plans none after it.
    kit.books.read(
        "UPDATE payments_attempt SET polls = polls + 1000 WHERE payment_id = %s",
        kit.books.id(payment["id"]),
        tenant_id=person.tenant_id,
    )


@pytest.mark.parametrize("phone", ENDINGS)
def test_a_payment_ends_as_the_phone_number_says(scene: Scene, phone: str):
    ending = scene.ending(phone)

    assert {name: getattr(ending, name) for name in ENDINGS[phone]} == ENDINGS[phone]


@pytest.mark.parametrize(
    ("phone", "answered"),
    [("", [200]), ("103", [200, 200]), ("104", [200]), ("106", []), ("109", [401, 401]), ("110", [200])],
)
def test_each_callback_is_answered_once_and_a_forged_one_is_refused(scene: Scene, phone: str, answered: list[int]):
    payment = scene.payments[phone]

    calls = wait_until(
        lambda: (found := scene.kit.callbacks(payment)) is not None and len(found) >= len(answered) and [found],
        f"{len(answered)} callbacks",
    )[0]

    assert [call["status"] for call in calls] == answered


def test_a_stranger_sees_nothing_of_it(scene: Scene):
    stranger = scene.kit.person()

    answers = [
        stranger.http.get(f"/api/v1/payments/{payment_id}/")
        for payment_id in (scene.payments[""]["id"], "00000000-0000-4000-8000-000000000000")
    ]

    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].json() == answers[1].json()
    assert stranger.http.get("/api/v1/payments/").json()["data"]["results"] == []


def demo(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tools.demo", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def addresses(kit: Kit) -> tuple[str, ...]:
    return "--base-url", kit.stack.base_url, "--simulators-url", kit.stack.simulators_url


def test_the_demo_finds_everything_as_it_expects(kit: Kit):
    done = demo(*addresses(kit))

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("Everything was as expected.\n")


def test_without_a_worker_the_demo_says_so_and_ends(kit: Kit):
    kit.stack.kill("worker")
    started = time.monotonic()
    try:
        done = demo(*addresses(kit), "--patience", "2")
    finally:
        kit.stack.start("worker")

    assert done.returncode == 1
    assert "no push has reached the payment simulator: no worker is running" in done.stderr
    assert time.monotonic() - started < 20


def test_with_no_server_about_the_demo_brings_its_own():
    done = demo("--base-url", f"http://127.0.0.1:{free_port()}")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "starts a server of its own" in done.stdout


class Impostor(http.server.BaseHTTPRequestHandler):
    """Something else that listens on the port: healthy by its own account, and of no use."""

    is_faraja = False

    def do_GET(self) -> None:
        self.answer(200, {"status": "success" if self.is_faraja else "ok", "data": None})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(500, {"status": "error", "message": "Broken.", "data": None, "code": "internal_error"})

    def answer(self, status: int, body: Any) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def impostor(request: pytest.FixtureRequest) -> Iterator[str]:
    handler = type("Handler", (Impostor,), {"is_faraja": request.param})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("impostor", [False], indirect=True)
def test_another_program_on_the_port_is_one_sentence(impostor: str):
    done = demo("--base-url", impostor)

    assert done.returncode == 1
    assert "is not Faraja" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("impostor", [True], indirect=True)
def test_the_first_answer_that_differs_ends_the_demo(impostor: str):
    done = demo("--base-url", impostor, "--simulators-url", impostor)

    assert done.returncode == 1
    assert done.stderr == "\nDIFFERENT  Expected: it is answered 201. It was: 500.\n"
