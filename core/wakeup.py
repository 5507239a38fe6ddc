"""Waking those who wait for news of one thing, in whichever process they are: a Redis message per topic.

A lost message costs a moment, because whoever waits also looks for themselves.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

import redis
from django.conf import settings

from core.redis import RedisAway, ask

logger = logging.getLogger("faraja.wakeup")

_PREFIX = "faraja:wake:"


def wake(topic: str) -> None:
    """Wake whoever waits for `topic`, if Redis is there. To be called after the commit."""
    with suppress(RedisAway):
        ask(lambda client: client.publish(_PREFIX + topic, b"1"))


class Sleeper:
    """Sleeps until woken, or for the time given. Enter it before looking, or news between look and sleep is missed."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._pubsub: redis.client.PubSub | None = None

    def __enter__(self) -> Self:
        if settings.REDIS_URL:
            try:
                client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.2, socket_timeout=1)
                pubsub = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
                pubsub.subscribe(_PREFIX + self._topic)
                self._pubsub = pubsub
            except (redis.RedisError, OSError) as error:
                self._give_up(error)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._pubsub is not None:
            with suppress(redis.RedisError, OSError):
                self._pubsub.close()
                self._pubsub.connection_pool.disconnect()

    def sleep(self, seconds: float) -> None:
        """Return after `seconds`, or earlier when somebody called `wake`."""
        ends_at = time.monotonic() + seconds
        while (left := ends_at - time.monotonic()) > 0:
            if self._pubsub is None:
                time.sleep(left)
                return
            try:
                if self._pubsub.get_message(timeout=left) is not None:
                    return
            except (redis.RedisError, OSError) as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        logger.warning("nobody will wake, looking instead: %s", type(error).__name__)
        self._pubsub = None
