"""One connection serves everybody, one after another, and nothing of one is left for the next (I59)."""

from __future__ import annotations

import logging
import random
import threading
import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import close_old_connections, connections
from django.utils import timezone
from rest_framework.test import APIClient

from core.outbox import relay
from core.outbox.models import OutboxEvent
from core.tenancy import find_current_tenant_id
from tests.core import crossings
from tests.factories.accounts import Member, make_member
from tests.factories.payments import make_payment
from tests.figures import Figure, RecordFigure

CONNECTIONS, TENANTS = 4, 8
# How a request ends, and how often in a hundred.
ENDS = {"well": 84, "refused": 5, "defect": 4, "broken": 3, "timeout": 2, "killed": 2}


class Visitor:
    """One thread with one connection, on which everybody's requests and tasks take turns."""

    def __init__(self, members: list[Member], requests: int, seed: int) -> None:
        self.random = random.Random(seed)
        self.clients = [(str(member.tenant_id), member.client()) for member in members]
        self.requests, self.crossings, self.ends = requests, list[Any](), Counter[str]()
        self.backends: set[int] = set()
        self.nobody = APIClient(raise_request_exception=False)  # other threads' exceptions reach every client
        for _, client in self.clients:
            client.raise_request_exception = False

    def work(self) -> None:
        try:
            for number in range(self.requests):
                # As a server does before each request; a connection that was killed is replaced here.
                close_old_connections()
                tenant, client = self.random.choice(self.clients)
                (end,) = self.random.choices(list(ENDS), list(ENDS.values()))
                self.ask(tenant, client, end)
                if number % 10 == 0:
                    self.run_a_task(end)
                    self.ask_as_nobody()
                if find_current_tenant_id() is not None:
                    self.crossings.append(("a scope was left behind after", end))
        finally:
            connections.close_all()

    def ask(self, tenant: str, client: Any, end: str) -> None:
        response = client.get(f"/sight/{end}/")
        self.ends[f"{end} {response.status_code}"] += 1
        if response.status_code == 200:
            data = response.json()["data"]
            self.backends.add(data["backend"])
            if data["tenant"] != tenant or set(data["seen"]) != {tenant}:
                self.crossings.append((tenant, data))

    def ask_as_nobody(self) -> None:
        close_old_connections()
        data = self.nobody.get("/open/").json()["data"]
        if data != {"tenant": None, "seen": []}:
            self.crossings.append(("nobody", data))

    def run_a_task(self, end: str) -> None:
        close_old_connections()
        tenant, _client = self.random.choice(self.clients)
        token = uuid.uuid4()
        event = OutboxEvent.objects.create(
            name="crossing",
            subscriber="tests.core.crossings.note",
            tenant_id=tenant,
            payload={"end": end, "meant": tenant},
            lease_token=token,
            lease_until=timezone.now() + timedelta(minutes=1),
        )
        relay.deliver(event.pk, token)


@pytest.mark.invariant("I59")
@pytest.mark.postgresql
@pytest.mark.urls("tests.core.crossings")
@pytest.mark.django_db(transaction=True)
def test_nothing_of_one_tenant_is_left_on_a_connection_for_the_next(figure: Figure, record_figure: RecordFigure):
    """Refusals, defects, broken SQL, timeouts and killed connections in between."""
    requests = figure(quick=200, full=20_000)
    members = [make_member() for _ in range(TENANTS)]
    for member in members:
        make_payment(member)
    crossings.noted.clear()
    visitors = [Visitor(members, requests // CONNECTIONS, seed) for seed in range(CONNECTIONS)]

    logging.disable(logging.CRITICAL)  # thousands of tracebacks that are meant
    try:
        threads = [threading.Thread(target=visitor.work) for visitor in visitors]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        logging.disable(logging.NOTSET)

    ends = sum((visitor.ends for visitor in visitors), Counter[str]())
    assert sum(ends.values()) == requests
    assert {name.rpartition(" ")[0]: name.rpartition(" ")[2] for name in ends} == {
        "well": "200",
        "refused": "422",
        "defect": "500",
        "broken": "500",
        "timeout": "503",
        "killed": "503",
    }
    assert [crossing for visitor in visitors for crossing in visitor.crossings] == []
    assert [(meant, seen) for meant, seen in crossings.noted if set(seen) != {meant}] == []
    assert len(crossings.noted) >= requests + requests // 10
    # Each thread kept its connection until one was killed.
    killed = ends["killed 503"]
    backends = set().union(*(visitor.backends for visitor in visitors))
    assert len(backends) <= CONNECTIONS + killed
    tasks = len(crossings.noted) - requests
    record_figure(
        f"{requests:,} requests and {tasks:,} tasks of {TENANTS} tenants over {CONNECTIONS} connections, "
        f"{killed} of them killed, 0 crossings"
    )
