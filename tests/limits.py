"""What tests of rate limits share: a burst of simultaneous calls, and Redis servers that fail in their own way."""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import TypeVar

from django.db import connections

from core import redis as shared_redis

T = TypeVar("T")
TIMEOUT = shared_redis.TIMEOUT
PATIENT = 30.0  # seconds


def at_once(count: int, call: Callable[[int], T]) -> list[T]:
    """The results of `call(0) ... call(count - 1)`, started together in threads with connections of their own."""
    barrier = threading.Barrier(count)

    def one(number: int) -> T:
        try:
            barrier.wait(timeout=30)
            return call(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def fresh_address() -> str:
    """An address that no other test (or earlier run on the same Redis) has used."""
    return str(IPv4Address(random.randrange(11 << 24, 126 << 24)))


@contextmanager
def redis_may_take(seconds: float) -> Iterator[None]:
    """How long Redis may take for an answer before it counts as away, for as long as the block runs."""
    before, shared_redis.TIMEOUT = shared_redis.TIMEOUT, seconds
    shared_redis._link.cache_clear()
    try:
        yield
    finally:
        shared_redis.TIMEOUT = before
        shared_redis._link.cache_clear()


@contextmanager
def redis_that_refuses() -> Iterator[str]:
    """The URL of a port on which nothing listens for as long as the block runs."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"redis://127.0.0.1:{bound.getsockname()[1]}/0"


class BlackHole:
    """Accepts connections and never says a word."""

    def __init__(self, listener: socket.socket) -> None:
        self.url = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
        self.visitors: list[socket.socket] = []
        self._listener = listener
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                self.visitors.append(self._listener.accept()[0])
            except OSError:
                return


@contextmanager
def redis_that_is_a_black_hole() -> Iterator[BlackHole]:
    """A server that swallows what it is sent, for as long as the block runs; nobody is patient with it."""
    with redis_may_take(TIMEOUT), socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        hole = BlackHole(listener)
        try:
            yield hole
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for visitor in hole.visitors:
                visitor.close()
