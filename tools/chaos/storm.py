"""What goes wrong in a chaos run, and when: everything follows from a seed."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable

from tools.chaos.proxy import Mode
from tools.chaos.stage import WORKERS, Stage


class Storm:
    """Kills and cuts, one after the other, in a thread of its own, until `end`."""

    def __init__(self, stage: Stage, *, seed: int, pause: float) -> None:
        """`pause` is the mean number of seconds between two blows."""
        self._stage, self._chance, self._pause = stage, random.Random(seed), pause
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="storm", daemon=True)
        self._error: Exception | None = None
        self.blows: list[str] = []

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Let it calm down: everything is up again when this returns. What went wrong with the storm is raised."""
        self._stop.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            self._rage()
        except Exception as error:  # noqa: BLE001  raised again by `end`
            self._error = error

    def _rage(self) -> None:
        # Every kind of blow comes in each round, in another order: a short run meets all of them, too.
        while not self._stop.is_set():
            blows: list[Callable[[], None]] = [
                lambda: self._kill(WORKERS[0]),
                lambda: self._kill(WORKERS[1]),
                lambda: self._cut("postgres", Mode.RESET, 1.0),
                lambda: self._cut("redis", Mode.BLACKHOLE, 2.0),
                lambda: self._cut("gateways", Mode.BLACKHOLE, 2.0),
                lambda: self._cut("gateways", Mode.DOWN, 2.0),
                lambda: self._cut("redis", Mode.DOWN, 2.0),
                lambda: self._cut("postgres", Mode.DOWN, 1.5),
                lambda: self._cut("gateways", Mode.RESET, 1.0),
            ]
            self._chance.shuffle(blows)
            for blow in blows:
                if self._stop.wait(self._chance.uniform(0.5, 1.5) * self._pause):
                    return
                blow()

    def _kill(self, worker: str) -> None:
        self.blows.append(f"kill {worker}")
        self._stage.kill_worker(worker)

    def _cut(self, route: str, mode: Mode, seconds: float) -> None:
        self.blows.append(f"{route} {mode}")
        self._stage.cutter.set(route, mode)
        time.sleep(seconds)
        self._stage.cutter.set(route, Mode.UP)
