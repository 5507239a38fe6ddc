"""A worker's thread whose connection to the database was cut goes on with the next task."""

from __future__ import annotations

import threading
import uuid

import pytest
from django.db import OperationalError, connection, connections

from core.outbox.tasks import deliver_event_task


def deliver_a_stranger() -> None:
    """As a pool's thread does: an event that nobody has is asked for, and not there."""
    deliver_event_task.apply(args=(1, str(uuid.uuid4()))).get()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_was_cut_between_two_deliveries_costs_neither():
    """Nothing has failed yet that could tell: the first statement of the delivery finds out."""
    problems: list[BaseException] = []

    def work() -> None:
        try:
            deliver_a_stranger()
            with connections["default"].cursor() as cursor:
                cursor.execute("SELECT pg_backend_pid()")
                mine.append(cursor.fetchone()[0])
            ready.set()
            cut.wait(10)
            deliver_a_stranger()
        except BaseException as error:  # noqa: BLE001  told by the assertion
            problems.append(error)
        finally:
            connections.close_all()

    mine: list[int] = []
    ready, cut = threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(10)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [mine[0]])
    cut.set()
    thread.join(10)

    assert not problems


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_thread_whose_connection_was_cut_fails_no_further_task():
    outcomes: list[str] = []

    def work() -> None:
        deliver_a_stranger()
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            mine.append(cursor.fetchone()[0])
        ready.set()
        cut.wait(10)
        with pytest.raises(OperationalError), connections["default"].cursor() as cursor:
            cursor.execute("SELECT 1")  # in the middle of a task
        deliver_a_stranger()
        outcomes.append("delivered")
        connections.close_all()

    mine: list[int] = []
    ready, cut = threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    assert ready.wait(60)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [mine[0]])
    cut.set()
    thread.join(10)

    assert outcomes == ["delivered"]
