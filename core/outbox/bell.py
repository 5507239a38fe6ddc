"""The doorbell between whoever publishes and the relay: a Redis message. If it is lost, the row is not.

Ringing may never hold up a request: `core.redis` gives it a fifth of a second.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import suppress

import redis
from django.conf import settings

from core.redis import RedisAway, ask

logger = logging.getLogger("faraja.outbox")

CHANNEL = "faraja:outbox"


def ring() -> None:
    """Wake the relay, if there is a bell and it works."""
    with suppress(RedisAway):
        ask(lambda client: client.publish(CHANNEL, b"1"))


class Listener:
    """The relay's ear: `wait` returns when the bell rings, when `seconds` have passed, or when `stop` is set."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._pubsub: redis.client.PubSub | None = None

    @property
    def is_listening(self) -> bool:
        """Whether each ring since the last `wait` will end the next one."""
        return self._pubsub is not None

    def wait(self, seconds: float) -> None:
        if not settings.REDIS_URL:
            self._stop.wait(seconds)
            return
        try:
            if self._pubsub is None:
                client = redis.Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1, socket_timeout=5)
                self._pubsub = client.pubsub(ignore_subscribe_messages=True)  # type: ignore[no-untyped-call]
                self._pubsub.subscribe(CHANNEL)
            deadline = time.monotonic() + seconds
            while not self._stop.is_set() and (left := deadline - time.monotonic()) > 0:
                if self._pubsub.get_message(timeout=min(left, 0.5)) is not None:
                    self._drain()
                    return
        except (redis.RedisError, OSError) as error:
            logger.warning("doorbell away, polling instead: %s", type(error).__name__)
            self._pubsub = None
            self._stop.wait(seconds)

    def _drain(self) -> None:
        """Many rings, one look."""
        while self._pubsub is not None and self._pubsub.get_message(timeout=0) is not None:
            pass
