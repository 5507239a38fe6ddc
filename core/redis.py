"""The Redis that a request may ask: a fifth of a second at most, and after a failure nobody asks for five seconds.

Whoever asks has a way to go on without an answer. One late answer is no failure: a busy computer or a lost packet is
behind it more often than a dead server, so the question is put once more before Redis counts as away. After the pause
one caller tries, once, while the others still go on without, so that a server that swallows packets holds up one
request in five seconds, not all of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from typing import NoReturn, TypeVar

import redis
from django.conf import settings

logger = logging.getLogger("faraja.redis")

TIMEOUT = 0.2
PAUSE_AFTER_FAILURE = 5.0
T = TypeVar("T")


class RedisAway(Exception):
    """No Redis is configured, or it did not answer in time just now."""


def is_configured() -> bool:
    """Whether REDIS_URL names a server; it may be away all the same."""
    return bool(settings.REDIS_URL)


def ask(question: Callable[[redis.Redis], T], *, may_repeat: bool = True) -> T:
    """The answer of `question(client)`, or `RedisAway`. The question may have been carried out even so.

    With `may_repeat` it may also have been carried out twice.
    """
    if not settings.REDIS_URL:
        raise RedisAway
    return _link(settings.REDIS_URL).ask(question, may_repeat=may_repeat)


@lru_cache(maxsize=8)
def _link(url: str) -> _Link:
    return _Link(url)


class _Link:
    """One server, and whether it is worth asking now."""

    def __init__(self, url: str) -> None:
        self._client = redis.Redis.from_url(
            url, socket_connect_timeout=TIMEOUT, socket_timeout=TIMEOUT, retry_on_timeout=False, retry=None
        )
        self._lock = threading.Lock()
        self._quiet_until: float | None = None  # None: the last answer was good

    def ask(self, question: Callable[[redis.Redis], T], *, may_repeat: bool = True) -> T:
        was_good = self._quiet_until is None
        if not self._is_worth_asking():
            raise RedisAway
        try:
            answer = question(self._client)
        except redis.TimeoutError as error:
            if not was_good:
                self._pause(error)
            if not may_repeat:
                raise RedisAway from error  # whether Redis is away, the next question finds out
            answer = self._ask_again(question)
        except redis.RedisError as error:
            self._pause(error)
        self._quiet_until = None
        return answer

    def _ask_again(self, question: Callable[[redis.Redis], T]) -> T:
        try:
            return question(self._client)
        except redis.RedisError as error:
            self._pause(error)

    def _pause(self, error: Exception) -> NoReturn:
        self._quiet_until = time.monotonic() + PAUSE_AFTER_FAILURE
        logger.warning("Redis away: %s", type(error).__name__)
        raise RedisAway from error

    def _is_worth_asking(self) -> bool:
        with self._lock:
            if self._quiet_until is None:
                return True
            now = time.monotonic()
            if now < self._quiet_until:
                return False
            self._quiet_until = now + PAUSE_AFTER_FAILURE  # this caller tries; the others wait for what it finds
            return True
