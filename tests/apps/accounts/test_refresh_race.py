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


@pytest.mark.django_db(transaction=True)
def test_eight_simultaneous_refreshes_get_the_same_successor():
    rounds, clients = 20, 8
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
