"""The stage of a chaos run: a whole kit whose database, broker and providers stand behind a proxy that can be cut."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from tools.chaos.proxy import Cutter
from tools.processes import Guard, Process, Running, free_port, listens, stop_all
from tools.services import fresh_database, services
from tools.stack import ROOT, Place, Stack, manage, stack, stack_env

WORKERS = ("worker", "worker-2")
# Everything waits a shorter time than in production, so that a run takes minutes; nothing else differs.
HURRY = {
    "PAYMENT_POLL_SECONDS": ",".join(["3"] * 100),
    "OUTBOX_LEASE_SECONDS": "5",
    "SIMULATOR_APPROVE_AFTER": "0.5",
    "SIMULATOR_PUSH_TIMEOUT": "3",
    "SIMULATOR_LATE_CALLBACK": "5",
    "SIMULATOR_HANG": "2",
    "SIMULATOR_CALLBACK_TRIES": "10",
    "SIMULATOR_CALLBACK_BACKOFF": "0.3",
    # Selcom has no word for a push that nobody answered; the kit would wait half an hour for its own.
    "SIMULATOR_SELCOM_EXPIRED_STATUS": "REJECTED",
    "PAYMENTS_PER_MINUTE": "1000000",
    "LOG_LEVEL": "WARNING",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A running kit, and the hands that break it. `database_url` and `simulators_url` lead past the proxy."""

    kit: Stack
    cutter: Cutter
    database_url: str
    simulators_url: str
    env: Mapping[str, str]

    @property
    def base_url(self) -> str:
        return self.kit.base_url

    def kill_worker(self, name: str) -> None:
        """SIGKILL, and a new start without waiting for it."""
        if self.kit.is_running(name):
            self.kit.kill(name)
        self.kit.start(name, wait=False)


@contextlib.contextmanager
def set_stage(extra_env: Mapping[str, str]) -> Iterator[Stage]:
    """Start everything; stop and sweep it away at the end. `extra_env` is for every process of the kit."""
    with services() as found, fresh_database(found.database.url) as database_url, Guard() as guard:
        var = Path(tempfile.mkdtemp(prefix="faraja-chaos-"))
        guard.remove(var)
        place = Place(port=free_port(), simulators_port=free_port(), var=var)
        place.make_folders()
        ports = {name: _lasting_port() for name in ("postgres", "redis", "gateways")}
        targets = {
            "postgres": urlsplit(database_url).port or 5432,
            "redis": urlsplit(found.broker.url).port or 6379,
            "gateways": place.simulators_port,
        }
        control = free_port()
        proxy = _start_proxy(control, ports, targets, guard)
        env = stack_env(
            {**os.environ, "ENV_FILE": ""},
            place,
            database_url=through(database_url, ports["postgres"]),
            redis_url=through(found.broker.url, ports["redis"]),
        )
        env |= {**HURRY, "SIMULATORS_URL": f"http://127.0.0.1:{ports['gateways']}", **extra_env}
        manage({**env, "DATABASE_URL": database_url}, "migrate", "--verbosity", "0")
        processes = [process for process in stack(env, place, web_workers=2) if process.name != "beat"]
        [worker] = [process for process in processes if process.name == WORKERS[0]]
        kit = Stack(place, [*processes, replace(worker, name=WORKERS[1])], guard)
        cutter = Cutter(control)
        try:
            for name in kit.names:
                kit.start(name, wait=False)
            for name in kit.names:
                kit.wait_ready(name)
            yield Stage(kit=kit, cutter=cutter, database_url=database_url, simulators_url=place.simulators_url, env=env)
        finally:
            kit.stop()
            cutter.close()
            stop_all([proxy])


def _lasting_port() -> int:
    """A free port that no outgoing connection is ever given: a route that was down has to come back on it."""
    while True:
        port = random.randrange(20_000, 32_000)
        if not listens(port):
            return port


def through(url: str, port: int) -> str:
    """`url` with another port."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition(":")[0] if parts.port else parts.netloc
    return parts._replace(netloc=f"{host}:{port}").geturl()


def _start_proxy(control: int, ports: Mapping[str, int], targets: Mapping[str, int], guard: Guard) -> Running:
    routes = [f"{name}={ports[name]}:{targets[name]}" for name in ports]
    argv = [sys.executable, "-m", "tools.chaos.proxy", "--control", str(control), *routes]
    running = Running(Process(name="proxy", argv=argv, cwd=ROOT), guard)
    end = time.monotonic() + 20
    while not all(listens(port) for port in (control, *ports.values())):
        if time.monotonic() > end or not running.is_running:
            raise TimeoutError("The proxy did not start.")
        time.sleep(0.05)
    return running
