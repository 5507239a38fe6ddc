"""The connection between a worker and its broker, when the broker goes away."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from kombu import Consumer, Exchange, Queue
from kombu.common import ignore_errors

from config.celery import app
from tools.processes import Guard
from tools.services import find_redis, start_redis

pytestmark = pytest.mark.skipif(app.conf.broker_transport is None, reason="needs REDIS_URL")


def test_a_worker_with_unfinished_work_lets_go_of_a_lost_broker_without_an_error(tmp_path: Path):
    program = find_redis()
    assert program is not None
    with Guard() as guard:
        redis, server = start_redis(program, tmp_path, guard)
        connection = app.connection_for_read(server.url)
        queue = Queue("work", routing_key="work")
        held = []
        with connection.Producer() as producer:
            producer.publish({}, exchange="", routing_key="work", declare=[queue])
        connection.Consumer(queue, callbacks=[lambda _body, message: held.append(message)]).consume()
        # Like a worker's mailbox. Its channel is cleared away first, and without a broker it cannot be.
        mailbox = Queue("mailbox", Exchange("mailbox", type="fanout"), auto_delete=True)
        Consumer(connection.channel(), mailbox).consume()
        with contextlib.suppress(TimeoutError):
            while True:  # until it holds one message and listens for the next
                connection.drain_events(timeout=0.2)
        assert len(held) == 1
        redis.kill()

        # As Celery's consumer does it after a lost connection.
        with contextlib.suppress(Exception):
            connection.collect(socket_timeout=1)
        ignore_errors(connection, connection.close)

        assert not connection.connected


def test_a_channel_makes_one_client_for_all_its_messages():
    with app.connection_for_write() as connection:
        channel: Any = connection.channel()

        with channel.conn_or_acquire() as first, channel.conn_or_acquire() as second:
            assert first is second
        assert first.ping()
        channel._disconnect_pools()
        with channel.conn_or_acquire() as third:
            assert third is not first, "its pool is gone"
