"""Eight refreshes at once with one token: real connections, real threads, on whichever database the suite has."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from apps.accounts.models import AuthSession
from apps.accounts.services.sessions import refresh_session
from apps.accounts.tokens import read_refresh
from tests.factories.accounts import make_member


@pytest.mark.invariant("I39")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("clients", [2, 8])
def test_simultaneous_refreshes_get_the_same_successor(clients, figure, record_figure):
    rounds = figure(quick=10, full=200)
    refresh = make_member().tokens.refresh
    for _ in range(rounds):
        barrier = threading.Barrier(clients)

        def one(token: str = refresh, barrier: threading.Barrier = barrier) -> str:
            try:
                barrier.wait()
                return refresh_session(claims=read_refresh(token))[1].refresh
            finally:
                connections.close_all()

        with ThreadPoolExecutor(clients) as pool:
            successors = {future.result() for future in [pool.submit(one) for _ in range(clients)]}

        assert len(successors) == 1
        refresh = successors.pop()

    session = AuthSession.objects.get()
    assert session.generation == rounds + 1
    assert session.revoked_at is None
    record_figure(f"{rounds} rounds of {clients} threads, 0 exceptions, 1 successor each")
