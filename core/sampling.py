"""Telling of something that strangers can make happen as often as they like, without filling the log."""

from __future__ import annotations

import threading
import time


class HourlyLimit:
    """Admits a number of things per hour and process; the clock hour does not matter, only that one has passed."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._count, self._ends_at = 0, 0.0

    def admits(self) -> bool:
        """Count one more; whether it is still to be told."""
        with self._lock:
            now = time.monotonic()
            if now >= self._ends_at:
                self._count, self._ends_at = 0, now + 3600
            self._count += 1
            return self._count <= self._most
