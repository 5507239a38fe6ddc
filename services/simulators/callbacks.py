"""Sends callbacks in the background, each at its time, again until it is acknowledged or its tries are used up.

How often the providers really retry is documented by neither; at least once with a few retries is our choice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx

from services.simulators.calls import CallLog
from services.simulators.ledger import DueCallback, Ledger

logger = logging.getLogger("simulators")

MAX_AT_ONCE = 50  # open callback requests, so that a slow receiver is not buried


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a provider's callbacks go, and which answer status counts as received."""

    url: str
    is_received: Callable[[int], bool]


class CallbackSender:
    """Reads what is due from the ledger, so a restart forgets nothing; a callback cut short is sent again."""

    def __init__(
        self, *, ledger: Ledger, calls: CallLog, targets: Mapping[str, Target], backoff: float, timeout: float
    ) -> None:
        self._ledger, self._calls, self._targets, self._backoff = ledger, calls, targets, backoff
        # trust_env=False: a proxy named in the environment must not swallow calls to this computer.
        self._http = httpx.AsyncClient(timeout=timeout, trust_env=False)
        self._news = asyncio.Event()
        self._in_flight: dict[int, asyncio.Task[None]] = {}
        self._loop_task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._loop_task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End at once; what was not acknowledged stays due in the ledger."""
        tasks = [*self._in_flight.values(), *([self._loop_task] if self._loop_task else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._http.aclose()

    def look_again(self) -> None:
        """Call after adding callbacks to the ledger."""
        self._news.set()

    async def forget(self) -> None:
        """Give up what is in flight: the ledger was emptied."""
        tasks = list(self._in_flight.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def send_now(self, callback: DueCallback) -> asyncio.Task[None]:
        """Begin the first try at once; the task ends with it, whatever the answer. Later tries are in the background.

        Not a coroutine: the callback must count as in flight before anyone else looks for due ones.
        """
        return self._begin(callback)

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
            now = time.time()
            # Those in flight are still due in the ledger; asking for that many more finds the ones that are not.
            due = self._ledger.list_due(now=now, limit=len(self._in_flight) + MAX_AT_ONCE)
            for callback in due:
                if callback.id not in self._in_flight and len(self._in_flight) < MAX_AT_ONCE:
                    self._begin(callback)
            next_at = self._ledger.next_due_after(now)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), None if next_at is None else max(0.0, next_at - time.time()))

    async def _try(self, callback: DueCallback) -> None:
        target = self._targets[callback.provider]
        started, status = time.time(), None
        try:
            answer = await self._http.post(
                target.url, content=callback.body, headers={"Content-Type": "application/json"}
            )
            status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            logger.info("%s callback %s: no answer (%s)", callback.provider, callback.subject, type(error).__name__)
        else:
            logger.info("%s callback %s: answered %s", callback.provider, callback.subject, status)
        self._calls.add(
            direction="sent",
            method="POST",
            target=target.url,
            status=status,
            started=started,
            body=callback.body,
            note=f"{callback.provider} {callback.kind}",
        )
        acknowledged = status is not None and target.is_received(status)
        next_at = time.time() + self._backoff * 2**callback.tries
        self._ledger.record_try(callback.id, acknowledged=acknowledged, next_at=next_at)
