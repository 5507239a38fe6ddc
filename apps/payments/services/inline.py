"""Calls to a gateway that a request waits for, because the caller wants what they bring: the address of a page.

The call is made by another thread, so that the request can stop waiting; whoever is last records the answer. When the
process dies on the way, the outbox finds the attempt and asks what became of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from contextvars import copy_context
from functools import lru_cache, partial
from typing import TypeVar

from django.conf import settings
from django.db import connections

from services.http import GatewayUnavailable, OutcomeUnknown

logger = logging.getLogger("faraja.payments")
T = TypeVar("T")

# How often a waiting request says that it is still alive.
BEAT_SECONDS = 0.5


def call_patiently(
    call: Callable[[], T], conclude: Callable[[Callable[[], T]], None], *, still_here: Callable[[], object]
) -> bool:
    """Make `call` and hand what it returns or raises to `conclude`, waiting `settings.PAYMENT_INLINE_SECONDS` at most.

    `call` must not touch the database. `conclude` gets a function that returns or raises the outcome, and runs here, or
    later in another thread. `still_here` is called about twice a second while waiting. False, and nothing has happened,
    when as many calls are under way as this process may make.
    """
    slots = _slots(settings.PAYMENT_INLINE_CALLS)
    if not slots.acquire(blocking=False):
        return False
    try:
        future = _pool(settings.PAYMENT_INLINE_CALLS).submit(copy_context().run, _made(call))
    except BaseException:
        slots.release()
        raise
    future.add_done_callback(lambda _: slots.release())
    ends_at = time.monotonic() + settings.PAYMENT_INLINE_SECONDS
    while (left := ends_at - time.monotonic()) > 0:
        try:
            future.exception(timeout=min(left, BEAT_SECONDS))
        except StillRunning:
            still_here()
        else:
            _concluded(conclude, future)
            return True
    here, context = threading.get_ident(), copy_context()
    future.add_done_callback(partial(_conclude_late, conclude, context.run, here))
    return True


def _made(call: Callable[[], T]) -> Callable[[], T]:
    def make() -> T:
        try:
            return call()
        finally:
            connections.close_all()

    return make


def _conclude_late(
    conclude: Callable[[Callable[[], T]], None], run: Callable[..., None], requester: int, future: Future[T]
) -> None:
    run(_concluded, conclude, future)
    if threading.get_ident() != requester:
        connections.close_all()


def _concluded(conclude: Callable[[Callable[[], T]], None], future: Future[T]) -> None:
    """Nobody is told when it fails: the worker takes over what is not concluded."""
    try:
        conclude(future.result)
    except (GatewayUnavailable, OutcomeUnknown) as silence:
        logger.warning("no answer to an inline call: %s", type(silence).__name__)
    except Exception:
        logger.exception("an inline call went wrong")


@lru_cache(maxsize=1)
def _pool(size: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(size, thread_name_prefix="inline")


@lru_cache(maxsize=1)
def _slots(size: int) -> threading.BoundedSemaphore:
    return threading.BoundedSemaphore(size)
