"""Waiting for news of a payment, without a transaction and without a connection to the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import lru_cache
from uuid import UUID

from django.conf import settings
from django.db import connection

from apps.payments.derivation import PaymentStatus
from apps.payments.selectors.payments import Watched, find_status
from apps.payments.services.progress import waiting_topic
from core.wakeup import Sleeper

# Whoever is not woken looks this often.
LOOK_SECONDS = 1.0
UNDER_WAY = frozenset({PaymentStatus.CREATED, PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION})


def await_news(*, payment_id: UUID, seconds: float, is_news: Callable[[Watched], bool]) -> None:
    """Return when `is_news` says so, when the payment is not under way any more, or after `seconds`.

    At once when `settings.PAYMENT_WAITERS` requests of this process wait already: a thread that waits answers nobody.
    """
    places = _places(settings.PAYMENT_WAITERS)
    if not places.acquire(blocking=False):
        return
    try:
        _await(payment_id, seconds, is_news)
    finally:
        places.release()


def _await(payment_id: UUID, seconds: float, is_news: Callable[[Watched], bool]) -> None:
    ends_at = time.monotonic() + seconds
    with Sleeper(waiting_topic(payment_id)) as sleeper:
        while True:
            seen = find_status(payment_id=payment_id)
            if seen is None or seen.status not in UNDER_WAY or is_news(seen):
                return
            left = ends_at - time.monotonic()
            if left <= 0:
                return
            _let_go()
            sleeper.sleep(min(left, LOOK_SECONDS))


def _let_go() -> None:
    """Give the connection back: the server has far fewer of them than there may be people waiting."""
    if not connection.in_atomic_block:
        connection.close()


@lru_cache(maxsize=1)
def _places(number: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(number)
