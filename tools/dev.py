"""The process manager behind `make run`: everything starts with one command and ends with Ctrl-C.

python -m tools.dev --port 8000
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

import environ

from tools.processes import Guard, Process, Running, ToolError, answers, check_port, stop_all
from tools.services import Server, find_redis, given_redis, start_redis
from tools.stack import ROOT, Place, manage, stack, stack_env

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
COLOURS = {"web": "36", "worker": "33", "beat": "35", "relay": "33", "simulators": "32"}
DEMO_LOGIN = "demo@faraja.test / demo-password-1"
ADMIN_LOGIN = "admin@faraja.test / admin-password-1"


class Console:
    """Whole lines on standard output, from several threads, in colour where somebody looks."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._in_colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"

    def say(self, text: str = "") -> None:
        # Nobody reading any more is no reason to stop half way through an orderly end.
        with self._lock, contextlib.suppress(BrokenPipeError, ValueError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def log(self, name: str, line: str) -> None:
        prefix = f"{name:>10} |"
        if self._in_colour:
            prefix = f"\x1b[{COLOURS.get(name, '37')}m{prefix}\x1b[0m"
        self.say(f"{prefix} {line}")


class Stop(threading.Event):
    """Set when a person, the system or the end of the parent asks for the end. Installs the signal handlers."""

    def __init__(self, *, follow_parent: bool) -> None:
        super().__init__()
        self._parent = os.getppid() if follow_parent else None
        for signum in STOP_SIGNALS:
            signal.signal(signum, self._on_signal)

    def _on_signal(self, _signum: int, _frame: FrameType | None) -> None:
        self.set()

    def asked(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; whether it is time to stop."""
        if self._parent is not None and os.getppid() != self._parent:
            self.set()
        return self.wait(timeout)


def supervise(
    processes: Sequence[Process],
    *,
    guard: Guard,
    console: Console,
    stop: Stop,
    is_ready: Callable[[], bool],
    on_ready: Callable[[], None],
    beneath: Sequence[Running] = (),
    grace: float = 10.0,
) -> int:
    """Run `processes` until `stop` is asked for (0) or one of them ends (1, and the rest are stopped).

    `on_ready` is called once, when `is_ready` first says so. `beneath` runs already and outlives the rest (a broker):
    it is watched here and stopped by its owner. `grace` is the seconds a process gets to end itself.
    """
    running: list[Running] = []
    pumps = []
    try:
        for process in processes:
            started = Running(process, guard, output=subprocess.PIPE)
            running.append(started)
            pump = threading.Thread(target=_pump, args=(started, console), daemon=True)
            pump.start()
            pumps.append(pump)
        announced = False
        while not stop.asked(0.1):
            for watched in [*running, *beneath]:
                if not watched.is_running:
                    console.say(f"{watched.spec.name} ended ({_how(watched)}): stopping everything else.")
                    return 1
            if not announced and is_ready():
                announced = True
                on_ready()
        console.say("Stopping.")
        return 0
    finally:
        for name in stop_all(running, grace=grace):
            console.say(f"{name} did not stop in {grace:.0f} s and was killed.")
        for pump in pumps:
            pump.join(timeout=2)


def _how(process: Running) -> str:
    code = process.popen.returncode
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _pump(process: Running, console: Console) -> None:
    stdout = process.popen.stdout
    if stdout is None:
        raise RuntimeError("A supervised process writes to a pipe.")
    for line in stdout:
        console.log(process.spec.name, line.decode(errors="replace").rstrip())


@contextlib.contextmanager
def broker(place: Place, guard: Guard, console: Console) -> Iterator[tuple[Server, list[Running]] | None]:
    """The Redis of REDIS_URL, else the bundled Valkey for as long as the block runs, else None with a sentence."""
    if url := os.environ.get("REDIS_URL"):
        yield given_redis(url), []
        return
    program = find_redis()
    started = None
    try:
        if program is not None:
            started = start_redis(program, place.var, guard)
    except (ToolError, OSError) as error:
        console.say(str(error))
    if started is None:
        console.say(
            "No Redis-compatible server runs here (no wheel for this computer, no valkey-server or redis-server): one "
            "process works off the outbox in place of worker and beat, and each process has a cache of its own."
        )
        yield None
        return
    running, server = started
    try:
        yield server, [running]
    finally:
        stop_all([running])


def banner(place: Place, database: str, server: Server | None) -> str:
    """What a person needs to begin: addresses, logins, and what this run stands on."""
    base = place.base_url
    lines = [
        ("API docs", f"{base}/docs/"),
        ("ReDoc", f"{base}/redoc/"),
        ("Admin", f"{base}/admin/   {ADMIN_LOGIN}"),
        ("Demo login", DEMO_LOGIN),
        ("Simulators", f"{place.simulators_url}/simulator/"),
        ("Mail folder", str(place.mail_dir)),
        ("Database", _without_password(database)),
        ("Broker", str(server) if server else "none: one relay process, see above"),
    ]
    if database.startswith("sqlite"):
        lines.append(("Note", "SQLite has one wall between tenants, PostgreSQL two: see docs/architecture.md"))
    body = "\n".join(f"  {name:<12} {value}" for name, value in lines)
    return f"\nFaraja is running. Ctrl-C stops it.\n\n{body}\n"


def _without_password(url: str) -> str:
    scheme, _, rest = url.partition("://")
    credentials, at, place = rest.rpartition("@")
    return f"{scheme}://{credentials.partition(':')[0]}{at}{place}"


def run(port: int, *, var: Path, web_workers: int, console: Console, stop: Stop) -> int:
    """Everything from the checks to the last process; the exit code."""
    # As the settings do; what is set in the environment wins.
    if env_file := os.environ.get("ENV_FILE", str(ROOT / ".env")):
        environ.Env.read_env(env_file)
    check_port(port, purpose="the API")
    check_port(port + 1, purpose="the provider simulators")
    place = Place(port=port, simulators_port=port + 1, var=var)
    place.make_folders()
    with Guard() as guard, broker(place, guard, console) as found:
        server, beneath = found or (None, [])
        database = os.environ.get("DATABASE_URL") or place.default_database_url
        env = stack_env(os.environ, place, database_url=database, redis_url=server.url if server else None)
        for step in (("migrate", "--verbosity", "0"), ("seed_demo",)):
            if stop.is_set():
                return 0
            manage(env, *step)
        processes = stack(env, place, web_workers=web_workers, has_broker=server is not None)
        return supervise(
            processes,
            guard=guard,
            console=console,
            stop=stop,
            beneath=beneath,
            is_ready=lambda: answers(f"{place.base_url}/health/live"),
            on_ready=lambda: console.say(banner(place, database, server)),
        )


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.dev", description="Start everything on this computer.")
    parser.add_argument("--port", type=int, default=8000, help="the API's port; the simulators take the next one")
    parser.add_argument("--workers", type=int, default=1, help="web worker processes")
    parser.add_argument("--var", type=Path, default=ROOT / "var", help="the folder for everything that is written")
    arguments = parser.parse_args(argv)
    console = Console()
    # make is the parent a person sees: when it is killed, nobody is left to press Ctrl-C.
    stop = Stop(follow_parent="MAKELEVEL" in os.environ)
    try:
        return run(
            arguments.port, var=arguments.var.resolve(), web_workers=arguments.workers, console=console, stop=stop
        )
    except ToolError as error:
        if stop.is_set():  # a step that Ctrl-C interrupted did not fail
            return 0
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
