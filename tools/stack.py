"""The whole kit as processes: web, worker, beat and the provider simulators, for `make run`, `make demo` and the tests.

with running_stack(database_url=..., redis_url=...) as kit:
    httpx.get(f"{kit.base_url}/health/live")
    kit.kill("worker")      # SIGKILL, children included
    kit.start("worker")
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from tools.processes import Guard, Process, Running, ToolError, answers, free_port, listens, stop_all

ROOT = Path(__file__).resolve().parent.parent
READY_SECONDS = 60.0
# The tokens in the callback addresses are the development settings' own.
CLICKPESA_CALLBACK = "/api/v1/webhooks/clickpesa/demo-clickpesa-callback-token/"
SOCIAL_CALLBACKS = "/api/v1/auth/social"
AZURE_EMAIL_CALLBACK = "/api/v1/messaging/reports/email/azure/demo-azure-email-callback-token/"
BEEM_CALLBACK = "/api/v1/messaging/reports/beem/demo-beem-callback-token/"
AFRICASTALKING_CALLBACK = "/api/v1/messaging/reports/africastalking/demo-africastalking-callback-token/"
TWILIO_CALLBACK = "/api/v1/messaging/reports/twilio/demo-twilio-callback-token/"
BEEM_PAY_CALLBACK = "/api/v1/webhooks/beem_pay/demo-beem-pay-callback-token/"
POLAR_CALLBACK = "/api/v1/webhooks/polar/demo-polar-callback-token/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one stack lives: its two ports and the folder for everything it writes."""

    port: int
    simulators_port: int
    var: Path

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def simulators_url(self) -> str:
        return f"http://127.0.0.1:{self.simulators_port}"

    @property
    def mail_dir(self) -> Path:
        return self.var / "mail"

    @property
    def default_database_url(self) -> str:
        return f"sqlite:///{self.var / 'faraja.sqlite3'}"

    def make_folders(self) -> None:
        """Create `var/` and what stands in it; `ToolError` when it cannot be written."""
        try:
            self.mail_dir.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.var):
                pass
        except OSError as error:
            raise ToolError(f"The folder {self.var} cannot be written: {error.strerror}.") from error


def stack_env(base: Mapping[str, str], place: Place, *, database_url: str, redis_url: str | None) -> dict[str, str]:
    """The environment of every process of one stack: `base` with the addresses of this one."""
    env = dict(base)
    # The settings of a surrounding test run are not the stack's.
    env["DJANGO_SETTINGS_MODULE"] = "config.settings.dev"
    env["PYTHONUNBUFFERED"] = "1"
    env["DATABASE_URL"] = database_url
    env["REDIS_URL"] = redis_url or ""
    env["SIMULATORS_URL"] = place.simulators_url
    env["PUBLIC_URL"] = place.base_url
    env["EMAIL_FILE_PATH"] = str(place.mail_dir)
    env["SIMULATOR_MAIL_DIR"] = str(place.mail_dir)
    env["SIMULATOR_LEDGER"] = str(place.var / "simulators.sqlite3")
    env["SIMULATOR_CLICKPESA_CALLBACK_URL"] = place.base_url + CLICKPESA_CALLBACK
    env["SIMULATOR_AZURE_EMAIL_CALLBACK_URL"] = place.base_url + AZURE_EMAIL_CALLBACK
    env["SIMULATOR_BEEM_CALLBACK_URL"] = place.base_url + BEEM_CALLBACK
    env["SIMULATOR_AFRICASTALKING_CALLBACK_URL"] = place.base_url + AFRICASTALKING_CALLBACK
    env["SIMULATOR_TWILIO_CALLBACK_URL"] = place.base_url + TWILIO_CALLBACK
    env["SIMULATOR_BEEM_PAY_CALLBACK_URL"] = place.base_url + BEEM_PAY_CALLBACK
    env["SIMULATOR_POLAR_CALLBACK_URL"] = place.base_url + POLAR_CALLBACK
    env["SIMULATOR_OAUTH_CALLBACKS"] = ",".join(
        f"http://{host}:{place.port}{SOCIAL_CALLBACKS}" for host in ("127.0.0.1", "localhost")
    )
    return env


def stack(env: Mapping[str, str], place: Place, *, web_workers: int = 1, has_broker: bool = True) -> list[Process]:
    """The processes of one stack. Without a broker, one `relay` does the work of worker and beat."""
    python = [sys.executable, "-m"]
    web = [*python, "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", str(place.port)]
    web += ["--workers", str(web_workers), "--blocking-threads", "4", "--no-ws", "--workers-kill-timeout", "5"]
    worker = [*python, "celery", "--quiet", "-A", "config", "worker", "--pool", "threads", "--concurrency", "4"]
    # One worker has nobody to gossip with, and looking for others costs a second at every start.
    worker += ["--loglevel", "INFO", "--without-gossip", "--without-mingle"]
    beat = [*python, "celery", "--quiet", "-A", "config", "beat", "--schedule", str(place.var / "celerybeat-schedule")]
    simulators = [*python, "services.simulators", "--port", str(place.simulators_port)]
    relay = [sys.executable, "manage.py", "relay"]
    commands = {"simulators": simulators, "web": [*web, "config.wsgi:application"]}
    commands |= {"worker": worker, "beat": beat} if has_broker else {"relay": relay}
    # The simulators stop after the programs that may be talking to them.
    return [
        Process(name=name, argv=argv, env=env, cwd=ROOT, stop_order=1 if name == "simulators" else 0)
        for name, argv in commands.items()
    ]


def manage(env: Mapping[str, str], *arguments: str) -> str:
    """Run a management command and return what it printed; `ToolError` with its words when it fails."""
    done = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ToolError(f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}".rstrip())
    return done.stdout


class Stack:
    """A running stack. Names of processes: simulators, web, and worker and beat (or relay)."""

    def __init__(self, place: Place, processes: list[Process], guard: Guard) -> None:
        self._place = place
        self._specs = {process.name: process for process in processes}
        self._guard = guard
        self._running: dict[str, Running] = {}
        self._logs = place.var / "logs"
        self._logs.mkdir(parents=True, exist_ok=True)

    @property
    def base_url(self) -> str:
        return self._place.base_url

    @property
    def simulators_url(self) -> str:
        return self._place.simulators_url

    @property
    def mail_dir(self) -> Path:
        """Where development e-mail is written, one file each."""
        return self._place.mail_dir

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._specs)

    @property
    def env(self) -> dict[str, str]:
        """The environment of the stack's processes, for a `manage.py` command beside it."""
        return dict(next(iter(self._specs.values())).env)

    def start(self, name: str, *, extra_env: Mapping[str, str] | None = None, wait: bool = True) -> None:
        """Start `name` (again) and, with `wait`, return once it is ready (`wait_ready`).

        `extra_env` holds for this start only.
        """
        if self.is_running(name):
            raise RuntimeError(f"{name} is running already.")
        spec = self._specs[name]
        spec = replace(spec, env={**spec.env, **(extra_env or {})})
        with (self._logs / f"{name}.log").open("ab") as output:
            self._running[name] = Running(spec, self._guard, output=output)
        if wait:
            self.wait_ready(name)

    def wait_ready(self, name: str, *, timeout: float = READY_SECONDS) -> None:
        """Wait until `name` answers on its address. A process without one (worker, beat) is ready at once."""
        end = time.monotonic() + timeout
        while not self._is_ready(name):
            if not self.is_running(name):
                raise ToolError(f"{name} ended while starting:\n{self.logs(name)[-4000:]}")
            if time.monotonic() > end:
                raise ToolError(f"{name} did not answer within {timeout:.0f} s:\n{self.logs(name)[-4000:]}")
            time.sleep(0.05)

    def _is_ready(self, name: str) -> bool:
        if name == "web":
            return answers(f"{self.base_url}/health/live")
        if name == "simulators":
            return listens(self._place.simulators_port)
        return True

    def is_running(self, name: str) -> bool:
        """Whether the process is there at this moment."""
        self._specs[name]  # a name of this stack, or KeyError
        running = self._running.get(name)
        return running is not None and running.is_running

    def kill(self, name: str) -> None:
        """SIGKILL to `name` and all its children, as a power cut would; returns when it is gone."""
        self._running.pop(name).kill()

    def terminate(self, name: str, *, grace: float = 10.0) -> None:
        """Ask `name` to end as a deployment would, and wait for it."""
        stop_all([self._running.pop(name)], grace=grace)

    def wait_exit(self, name: str, *, timeout: float = READY_SECONDS) -> int:
        """Wait for `name` to end by itself; its exit code, negative for a signal. `TimeoutError` when it does not."""
        running = self._running[name]
        try:
            code = running.popen.wait(timeout)
        except subprocess.TimeoutExpired as error:
            raise TimeoutError(f"{name} was still running after {timeout:.0f} s.") from error
        running.ended()
        return code

    def logs(self, name: str) -> str:
        """Everything `name` printed, over all its starts."""
        log = self._logs / f"{self._specs[name].name}.log"
        return log.read_text(errors="replace") if log.exists() else ""

    def stop(self) -> None:
        """End everything. Safe to call twice."""
        running, self._running = list(self._running.values()), {}
        stop_all(running)


@contextlib.contextmanager
def running_stack(
    *,
    database_url: str | None = None,
    redis_url: str | None = None,
    port: int | None = None,
    web_workers: int = 1,
    extra_env: Mapping[str, str] | None = None,
    migrate: bool = True,
    seed: bool = False,
    leave_out: Collection[str] = (),
) -> Iterator[Stack]:
    """A whole stack on ports of its own, stopped and swept away at the end of the block.

    Without `database_url`, on a new SQLite file. Without `redis_url`, with one `relay` in place of worker and beat.
    Processes named in `leave_out` are not part of it (the housekeeping of `beat` is worth nothing to a short test).
    The web and the simulators answer when the block begins. `ToolError`, with the log, when something does not start.
    """
    with Guard() as guard:
        var = Path(tempfile.mkdtemp(prefix="faraja-"))
        guard.remove(var)
        place = Place(port=port or free_port(), simulators_port=free_port(), var=var)
        place.make_folders()
        env = stack_env(os.environ, place, database_url=database_url or place.default_database_url, redis_url=redis_url)
        env |= extra_env or {}
        if migrate:
            manage(env, "migrate", "--verbosity", "0")
        if seed:
            manage(env, "seed_demo")
        processes = stack(env, place, web_workers=web_workers, has_broker=bool(redis_url))
        kit = Stack(place, [process for process in processes if process.name not in leave_out], guard)
        try:
            for name in kit.names:
                kit.start(name, wait=False)
            for name in kit.names:
                kit.wait_ready(name)
            yield kit
        finally:
            kit.stop()
