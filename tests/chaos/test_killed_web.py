"""Kill a web process (SIGKILL) in the middle of a request; the client tries again and finds the work done once."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from tests.e2e.kits import Kit, Person, wait_until
from tools.demo.frontend import new_phone

pytestmark = pytest.mark.stack


@pytest.fixture
def person(kit: Kit) -> Person:
    kit.forget_callbacks()  # that of an earlier payment, settled by asking, may not come between
    return kit.person()


def die(kit: Kit, point: str, request: Callable[[], httpx.Response]) -> None:
    """Send a request that never gets its answer, because a web process dies at `point`; then start the web again."""

    def unanswered() -> None:
        with pytest.raises(httpx.TransportError):
            request()

    kit.let_die("web", point, unanswered)


@pytest.mark.invariant("I3")
@pytest.mark.parametrize(("point", "is_replay"), [("idempotency_claimed", False), ("request_committed", True)])
def test_the_retry_of_a_payment_that_got_no_answer_gets_it(kit: Kit, person: Person, point: str, is_replay: bool):
    phone, key = new_phone(), secrets.token_hex(8)
    die(kit, point, lambda: person.start_payment(phone, key=key))

    retried = person.start_payment(phone, key=key)

    assert retried.status_code == 201
    assert ("Idempotent-Replayed" in retried.headers) is is_replay
    assert person.start_payment(phone, key=key).content == retried.content
    payment = retried.json()["data"]
    assert [each["id"] for each in person.http.get("/api/v1/payments/").json()["data"]["results"]] == [payment["id"]]
    ending = kit.ending(person, payment)
    assert (ending.status, ending.tries, ending.charges, ending.texts, ending.mails) == ("settled", 1, 1, 1, 1)


def test_a_callback_that_got_no_answer_comes_again_and_counts_once(kit: Kit, person: Person):
    payment, _exit_code = kit.let_die("web", "inbox_committed", person.started)

    (charge,) = wait_until(
        lambda: [each for each in kit.charges(payment) if each["callbacks_acknowledged"]], "a second callback"
    )

    assert charge["callbacks_sent"] >= 2
    ending = kit.ending(person, payment)
    assert (ending.status, ending.charges, ending.texts, ending.mails) == ("settled", 1, 1, 1)
    assert kit.books.read("SELECT seen FROM payments_inboxdelivery ORDER BY received_at DESC LIMIT 1") == [{"seen": 2}]


@pytest.mark.invariant("I40")
def test_a_refresh_that_got_no_answer_can_be_repeated(kit: Kit, person: Person):
    def refresh() -> httpx.Response:
        return person.http.post("/api/v1/auth/refresh/", json={"refresh": person.refresh})

    die(kit, "session_rotated", refresh)
    # On a busy computer the web is away for longer than the grace lasts; the client's patience is not what is tested.
    kit.books.date_refresh(person.email, datetime.now(UTC))

    retried, again = refresh(), refresh()

    assert (retried.status_code, again.status_code) == (200, 200)
    successor = retried.json()["data"]["refresh"]
    assert successor == again.json()["data"]["refresh"]
    assert person.http.post("/api/v1/auth/refresh/", json={"refresh": successor}).status_code == 200
