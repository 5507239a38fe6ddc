"""Refreshing over HTTP, against whole processes: many at once, lost answers, and stolen tokens."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from tests.e2e.kits import Kit, Person

pytestmark = pytest.mark.stack
AT_ONCE = 8
ROUNDS = 10
AFTER_GRACE = timedelta(seconds=11)


@pytest.fixture
def clients(kit: Kit) -> Iterator[list[httpx.Client]]:
    """Connections that are open already, so that the requests really meet."""
    clients = [httpx.Client(base_url=kit.stack.base_url, timeout=15, trust_env=False) for _ in range(AT_ONCE)]
    for client in clients:
        client.get("/health/live")
    yield clients
    for client in clients:
        client.close()


def refresh(client: httpx.Client, token: str) -> httpx.Response:
    return client.post("/api/v1/auth/refresh/", json={"refresh": token})


def refused(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


@pytest.mark.invariant("I39")
def test_eight_refreshes_at_once_get_the_same_successor(kit: Kit, clients: list[httpx.Client]):
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(ROUNDS):
            person = kit.person()  # another one each time: a session may refresh sixty times a minute
            barrier = threading.Barrier(AT_ONCE)

            def race(
                client: httpx.Client, person: Person = person, barrier: threading.Barrier = barrier
            ) -> httpx.Response:
                barrier.wait(60)
                return refresh(client, person.refresh)

            answers = list(pool.map(race, clients))

            assert [answer.status_code for answer in answers] == [200] * AT_ONCE
            (successor,) = {answer.json()["data"]["refresh"] for answer in answers}
            assert successor != person.refresh
            # The family lives: every access token that was handed out works, and so does the successor.
            for client, answer in zip(clients, answers, strict=True):
                token = answer.json()["data"]["access"]
                me = client.get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {token}"})
                assert me.json()["data"]["email"] == person.email
            assert refresh(person.http, successor).status_code == 200


@pytest.mark.invariant("I41")
def test_an_older_generation_ends_the_family(kit: Kit):
    person = kit.person()
    first = person.refresh
    second = refresh(person.http, first).json()["data"]["refresh"]
    third = refresh(person.http, second).json()["data"]

    stolen = refresh(person.http, first)

    assert refused(stolen) == (401, "refresh_reused")
    assert refused(refresh(person.http, third["refresh"])) == (401, "refresh_reused")
    me = person.http.get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {third['access']}"})
    assert refused(me) == (401, "refresh_reused")


@pytest.mark.invariant("I41")
def test_the_predecessor_ends_the_family_once_the_grace_is_over(kit: Kit):
    person = kit.person()
    successor = refresh(person.http, person.refresh).json()["data"]["refresh"]
    assert refresh(person.http, person.refresh).json()["data"]["refresh"] == successor
    kit.books.date_refresh(person.email, datetime.now(UTC) - AFTER_GRACE)

    stolen = refresh(person.http, person.refresh)

    assert refused(stolen) == (401, "refresh_reused")
    assert refused(refresh(person.http, successor)) == (401, "refresh_reused")
