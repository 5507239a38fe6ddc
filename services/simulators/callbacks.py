"""Sends callbacks in the background, each at its time, again until it is acknowledged or its tries are used up.

What waits is kept in order of time in memory, so nothing ever searches the ledger for it; the ledger remembers it over
a restart. How often the providers really retry is documented by few; at least once with a few retries is our choice.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import httpx

from services.simulators.calls import CallLog
from services.simulators.ledger.book import Ledger
from services.simulators.ledger.callbacks import DueCallback

logger = logging.getLogger("simulators")

MAX_AT_ONCE = 50  # open callback requests, so that a slow receiver is not buried


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a provider's callbacks go by default, which answer status counts as received, and what goes on the wire.

    `sign` gives body and headers for one try, at the moment of sending.
    """

    url: str
    is_received: Callable[[int], bool]
    sign: Callable[[DueCallback, float], tuple[bytes, Mapping[str, str]]]


class CallbackSender:
    """Begins with what the ledger holds, so a restart forgets nothing; a callback cut short is sent again."""

    def __init__(
        self, *, ledger: Ledger, calls: CallLog, targets: Mapping[str, Target], backoff: float, timeout: float
    ) -> None:
        self._ledger, self._calls, self._targets, self._backoff = ledger, calls, targets, backoff
        # trust_env=False: a proxy named in the environment must not swallow calls to this computer.
        self._http = httpx.AsyncClient(timeout=timeout, trust_env=False)
        self._news = asyncio.Event()
        self._due: list[tuple[float, int, str]] = []  # when, which, and its queue
        # Those of each queue behind the one that is in `_due` or in flight.
        self._queues: dict[str, deque[tuple[float, int]]] = {}
        self._in_flight: dict[int, asyncio.Task[None]] = {}
        self._loop_task: asyncio.Task[None] | None = None

    def start(self) -> None:
        for due_at, number, queue in self._ledger.callbacks.list_waiting():
            self._enter(due_at, number, queue)
        self._loop_task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End at once; what was not acknowledged stays due in the ledger."""
        tasks = [*self._in_flight.values(), *([self._loop_task] if self._loop_task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.aclose()

    def schedule(self, callbacks: Iterable[DueCallback]) -> None:
        """Call with what the ledger has just stored."""
        for callback in callbacks:
            self._enter(callback.due_at, callback.id, callback.queue)
        self._news.set()

    async def send_now(self, callbacks: Iterable[DueCallback]) -> None:
        """Make the first try of each, one after the other, whatever the answers. Later tries are in the background.

        Instead of `schedule`. These callbacks leave their queues: they wait for nobody, and nobody for them.
        """
        for callback in callbacks:
            await asyncio.wait([self._begin(replace(callback, queue=""))])

    async def forget(self) -> None:
        """Give up what waits and what is in flight: the ledger was emptied."""
        self._due.clear()
        self._queues.clear()
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _enter(self, due_at: float, number: int, queue: str) -> None:
        if queue:
            line = self._queues.get(queue)
            if line is not None:
                line.append((due_at, number))
                return
            self._queues[queue] = deque()
        heapq.heappush(self._due, (due_at, number, queue))

    def _leave(self, queue: str) -> None:
        """The first of `queue` is done with: the next one's turn."""
        line = self._queues.get(queue)
        if line:
            due_at, number = line.popleft()
            heapq.heappush(self._due, (due_at, number, queue))
        elif line is not None:
            del self._queues[queue]

    def _begin(self, callback: DueCallback) -> asyncio.Task[None]:
        task = asyncio.create_task(self._try(callback))
        self._in_flight[callback.id] = task
        task.add_done_callback(lambda _: self._finished(callback.id))
        return task

    def _finished(self, callback_id: int) -> None:
        self._in_flight.pop(callback_id, None)
        self._news.set()

    async def _run(self) -> None:
        while True:
            self._news.clear()
            while self._due and self._due[0][0] <= time.time() and len(self._in_flight) < MAX_AT_ONCE:
                _, number, queue = heapq.heappop(self._due)
                callback = self._ledger.callbacks.find(number)
                if callback is None:  # withdrawn meanwhile
                    self._leave(queue)
                else:
                    self._begin(callback)
            # At the limit, the end of a request is the next news.
            next_at = self._due[0][0] if self._due and len(self._in_flight) < MAX_AT_ONCE else None
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), None if next_at is None else max(0.0, next_at - time.time()))

    async def _try(self, callback: DueCallback) -> None:
        target = self._targets[callback.provider]
        url = callback.url or target.url
        started, status = time.time(), None
        body, headers = target.sign(callback, started)
        try:
            answer = await self._http.post(
                url, content=body, headers={"Content-Type": "application/json", **callback.headers, **headers}
            )
            status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            logger.info("%s callback %s: no answer (%s)", callback.provider, callback.subject, type(error).__name__)
        else:
            logger.info("%s callback %s: answered %s", callback.provider, callback.subject, status)
        self._calls.add(
            direction="sent",
            method="POST",
            target=url,
            status=status,
            started=started,
            body=body,
            note=f"{callback.provider} {callback.trust}",
            event=callback.kind,
        )
        acknowledged = status is not None and target.is_received(status)
        next_at = time.time() + self._backoff * 2**callback.tries
        self._ledger.callbacks.record_try(callback.id, acknowledged=acknowledged, next_at=next_at)
        if acknowledged or callback.tries_left <= 1:
            self._leave(callback.queue)
        else:
            heapq.heappush(self._due, (next_at, callback.id, callback.queue))
