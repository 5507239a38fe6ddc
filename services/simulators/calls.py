"""A bounded log of what was received and what was sent, for people who wonder what happened."""

from __future__ import annotations

import time
from collections import deque
from itertools import takewhile
from typing import Any

KEEP = 500
BODY_LIMIT = 4000


class CallLog:
    """The newest calls, in memory. Headers are never kept, because they carry credentials."""

    def __init__(self) -> None:
        self._calls: deque[dict[str, Any]] = deque(maxlen=KEEP)
        self._numbers = 0

    def add(
        self,
        *,
        direction: str,
        method: str,
        target: str,
        status: int | None,
        started: float,
        body: bytes,
        note: str = "",
        event: str = "",
    ) -> None:
        """`status` is None when there was no answer; `started` is a Unix time. `event` names what a callback tells."""
        self._numbers += 1
        self._calls.appendleft(
            {
                "number": self._numbers,
                "direction": direction,
                "method": method,
                "target": target,
                "status": status,
                "at": iso_time(started),
                "milliseconds": round((time.time() - started) * 1000, 1),
                "body": body[:BODY_LIMIT].decode(errors="replace"),
                "note": note,
                "event": event,
            }
        )

    def newest(self, *, since: int = 0) -> list[dict[str, Any]]:
        """Newest first; with `since`, only those with a higher number."""
        return list(takewhile(lambda call: call["number"] > since, self._calls))

    def clear(self) -> None:
        self._calls.clear()


def iso_time(moment: float) -> str:
    """A Unix time as ClickPesa prints it: `2026-03-04T08:23:10.000Z`."""
    whole, milliseconds = divmod(int(moment * 1000), 1000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)) + f".{milliseconds:03d}Z"
