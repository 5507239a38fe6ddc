"""Redis is a doorbell, not a safe: without it requests stay fast, and the outbox is drained all the same."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.kits import Kit, Person

pytestmark = pytest.mark.stack
FAST = 1.0  # seconds; the bell gives up after 0.2, the first time


@pytest.fixture
def kit(sqlite_kit: Kit) -> Iterator[Kit]:
    yield sqlite_kit.whole()
    sqlite_kit.whole()


@pytest.fixture
def person(kit: Kit) -> Person:
    return kit.person()


def kill_redis(kit: Kit) -> None:
    kit.redis.kill()


def test_a_payment_settles_although_redis_dies_meanwhile(kit: Kit, person: Person):
    payment = person.started()
    kill_redis(kit)

    ending = kit.ending(person, payment)

    assert (ending.status, ending.charges, ending.texts, ending.mails) == ("settled", 1, 1, 1)
    assert ending.dead_events == ()


def test_a_payment_settles_although_redis_was_never_there(kit: Kit, person: Person):
    kill_redis(kit)
    kit.stack.kill("worker")
    kit.stack.start("worker")

    payment = person.started()

    ending = kit.ending(person, payment)
    assert (ending.status, ending.charges, ending.texts, ending.mails) == ("settled", 1, 1, 1)


def test_requests_stay_fast_without_redis(kit: Kit, person: Person):
    kill_redis(kit)
    spans = []
    for _ in range(5):
        started = time.monotonic()
        person.started()
        spans.append(time.monotonic() - started)

    assert max(spans) < FAST
    ready = person.http.get("/health/ready")
    assert (ready.status_code, ready.json()["data"]) == (200, {"degraded": ["redis"]})
    kit.await_quiet(person.tenant_id)


def test_when_redis_comes_back_the_worker_uses_it_again(kit: Kit, person: Person):
    kill_redis(kit)
    settled_without = person.started()
    person.await_status(settled_without, "settled")

    kit.start_redis()

    payment = person.started()
    ending = kit.ending(person, payment)
    assert (ending.status, ending.charges, ending.texts) == ("settled", 1, 1)
    assert person.http.get("/health/ready").json()["data"] == {"degraded": []}
