"""Kill a process (SIGKILL) in the middle of the journey, start it again, and count: one charge, one text, one receipt.

A lane is the kit of an engine, in which one point after the other is tried; both work at once, because waiting is what
takes the time. A point `name:n` is the n-th time that the process comes to `crash_point("name")`.
"""

from __future__ import annotations

import contextlib
import random
import signal
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

import pytest

from tests.e2e.kits import Ending, Kit, Person
from tools.demo.frontend import new_phone

pytestmark = pytest.mark.stack

# Where the worker dies. The comments say what usually comes at that moment; the outcome may not depend on it.
POINTS = (
    "lease_taken:1",  # the payment was started
    "lease_taken:2",  # its callback came
    "lease_taken:3",  # it settled
    "lease_taken:4",  # two messages are queued
    "submitting_committed",
    "request_sent/generate-token",
    "request_sent/payments/initiate-ussd-push-request",
    "request_sent/send",  # the text
    "reply_read",
    "reply_recorded",
    "effect_done:1",  # submitted
    "effect_done:2",  # callback processed
    "effect_done:3",  # receipt queued
    "effect_done:4",  # one message sent
    "effect_done:5",  # both
    "message_submitting:1",
    "message_submitting:2",
    "sms_accepted",
    "email_accepted",
)
PUSH = "request_sent/payments/initiate-ussd-push-request"
# The same with a phone whose callback gets lost: nothing but asking the gateway can tell what became of the push.
POINTS_WITHOUT_CALLBACK = (PUSH, "reply_read")
# SQLite shares all the code but the locks: the places where somebody else has acted and we do not know it yet.
POINTS_ON_SQLITE = ("submitting_committed", PUSH, "reply_read", "effect_done:1", "sms_accepted")
ROUNDS = 3
LIMIT = 600.0  # seconds for one outcome, all the crashes before it included

# From here on an e-mail may be on its way when the worker dies; it is sent again under the same Message-ID.
MAIL_MAY_REPEAT = ("lease_taken:4", "request_sent/send", "effect_done:4", "effect_done:5", "message_", "sms_", "email_")


@dataclass(frozen=True, kw_only=True)
class Crash:
    """One death of the worker: at a named point, or `delay` seconds after the payment was started."""

    engine: str
    point: str = ""
    delay: float = 0.0
    phone: str = ""  # its last digits, for another scenario than approval with a callback


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the worker died, and how the payment ended after another was started."""

    exit_code: int
    ending: Ending


def crashes() -> list[Any]:
    found = [_param(Crash(engine="postgresql", point=point), point) for point in POINTS]
    for engine in ("postgresql", "sqlite"):
        for point in POINTS_WITHOUT_CALLBACK:
            found.append(_param(Crash(engine=engine, point=point, phone="106"), f"{point} without callback"))
    found += [_param(Crash(engine="sqlite", point=point), point) for point in POINTS_ON_SQLITE]
    for number in range(ROUNDS):
        moment = random.uniform(0, 1)  # a failing test shows it among its arguments
        found.append(_param(Crash(engine="sqlite", delay=moment), f"random moment {number + 1}"))
    return found


def _param(crash: Crash, name: str) -> Any:
    marks = [pytest.mark.postgresql] if crash.engine == "postgresql" else []
    return pytest.param(crash, id=f"{crash.engine}-{name}", marks=marks)


def die_and_recover(kit: Kit, person: Person, crash: Crash) -> Outcome:
    """Let a worker die on a payment, start another, and wait until nothing is left to do."""
    phone = new_phone(crash.phone)
    if crash.point == "request_sent/generate-token":
        kit.stack.kill("worker")  # a token lasts for an hour, and the present worker may have one
        kit.stack.start("worker")
    if crash.point:
        payment, exit_code = kit.let_die("worker", crash.point, lambda: person.started(phone))
    else:
        payment, exit_code = person.started(phone), -signal.SIGKILL
        time.sleep(crash.delay)
        kit.stack.kill("worker")
        kit.stack.start("worker")
    person.await_status(payment, "settled")
    return Outcome(exit_code=exit_code, ending=kit.ending(person, payment))


class Lanes:
    """Kits that work off the crashes of their engine, each as fast as it can."""

    def __init__(self, wanted: Iterable[Crash]) -> None:
        self._outcomes: dict[Crash, Future[Outcome]] = {crash: Future() for crash in wanted}
        self._waiting: dict[str, SimpleQueue[Crash]] = defaultdict(SimpleQueue)
        for crash in self._outcomes:
            self._waiting[crash.engine].put(crash)

    def has(self, engine: str) -> bool:
        return not self._waiting[engine].empty()

    def work(self, engine: str, kit: Kit) -> None:
        """Take one crash after the other until none is left."""
        person = kit.person()
        with contextlib.suppress(Empty):
            while True:
                crash = self._waiting[engine].get_nowait()
                try:
                    self._outcomes[crash].set_result(die_and_recover(kit.whole(), person, crash))
                except Exception as error:  # noqa: BLE001  it belongs to the test of this crash
                    self._outcomes[crash].set_exception(error)

    def stop(self) -> None:
        """Take nothing more: the tests that waited for it are gone."""
        for waiting in self._waiting.values():
            with contextlib.suppress(Empty):
                while True:
                    waiting.get_nowait()

    def outcome(self, crash: Crash) -> Outcome:
        return self._outcomes[crash].result(timeout=LIMIT)


@pytest.fixture(scope="module")
def lanes(request: pytest.FixtureRequest) -> Iterator[Lanes]:
    """At work on the crashes that this run has chosen."""
    chosen: list[Any] = [
        item.callspec.params["crash"]
        for item in request.session.items
        if isinstance(item, pytest.Function) and item.path == request.path
    ]
    lanes = Lanes(chosen)
    kits = {
        engine: request.getfixturevalue(f"{engine}_kit") for engine in ("postgresql", "sqlite") if lanes.has(engine)
    }
    with ThreadPoolExecutor() as pool:
        for engine, kit in kits.items():
            pool.submit(lanes.work, engine, kit)
        yield lanes
        lanes.stop()


@pytest.mark.invariant("I8")
@pytest.mark.parametrize("crash", crashes())
def test_a_killed_worker_charges_once_and_tells_once(lanes: Lanes, crash: Crash):
    outcome = lanes.outcome(crash)

    ending = outcome.ending
    assert outcome.exit_code == -signal.SIGKILL
    assert (ending.status, ending.pushes, ending.charges, ending.texts) == ("settled", 1, 1, 1)
    # Who finds a push that may have been sent asks; only one that was cut off on its way is sent again, under the same
    # reference.
    assert ending.tries == 1 or (ending.tries == 2 and crash.point in ("", PUSH))
    assert ending.is_history_intact
    assert ending.dead_events == ()
    assert len(ending.mail_ids) == 1
    assert ending.mails <= (2 if not crash.point or crash.point.startswith(MAIL_MAY_REPEAT) else 1)
