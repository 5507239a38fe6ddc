"""Starting and ending processes so that none is left behind: the ground `services`, `stack` and `dev` stand on."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from tools import guard as guard_script

# A killed child is gone in milliseconds; the limit is for systems where one that waits to be collected looks alive.
GROUP_END_SECONDS = 2.0


class ToolError(Exception):
    """Something the person at the keyboard can put right. The text is the one sentence they see."""


class Guard:
    """Cleans up behind this process if it is killed. See `tools.guard` for how.

    Closing it ends whatever is still watched and removes the folders it was told about, so a normal end and a
    violent one leave the same nothing.
    """

    def __init__(self, *, grace: float = 5.0) -> None:
        """Start the guard. `grace` is the seconds between the polite signal and SIGKILL."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard_script.__file__, str(grace)],
            stdin=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def watch(self, pid: int, *, stop_signal: int = signal.SIGTERM, group: bool = True) -> None:
        """End `pid` (and, with `group`, the process group it leads) when this process is gone."""
        self._tell(watch=pid, signal=int(stop_signal), group=group)

    def forget(self, pid: int) -> None:
        """`pid` has ended; its number may soon belong to somebody else."""
        self._tell(forget=pid)

    def remove(self, folder: Path) -> None:
        """Delete `folder` at the end, after every process."""
        self._tell(remove=str(folder))

    def close(self) -> None:
        stdin = self._process.stdin
        if stdin is not None:
            with contextlib.suppress(OSError):
                stdin.close()
        self._process.wait()

    def _tell(self, **order: Any) -> None:
        stdin = self._process.stdin
        if stdin is None or stdin.closed:
            raise RuntimeError("This guard is closed.")
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()

    def __enter__(self) -> Guard:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """How one process is started and stopped. It leads its own process group, which is what gets the signals."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    cwd: Path | None = None
    stop_signal: int = signal.SIGTERM
    # Whole processes stop in rising order: a broker has a high number, so its clients can still say goodbye.
    stop_order: int = 0
    user: int | None = None  # PostgreSQL refuses root; a uid and gid to become
    group: int | None = None


class Running:
    """A started `Process`."""

    def __init__(self, spec: Process, guard: Guard, *, output: IO[bytes] | int | None = None) -> None:
        """Start `spec` in a new session. `output` takes stdout and stderr (`subprocess.PIPE` to read them here)."""
        self.spec = spec
        self._guard = guard
        as_user: dict[str, Any] = {}
        if spec.user is not None:
            as_user = {"user": spec.user, "group": spec.group, "extra_groups": []}
        self.popen = subprocess.Popen(
            list(spec.argv),
            env=dict(spec.env),
            cwd=spec.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT if output is not None else None,
            start_new_session=True,
            **as_user,
        )
        guard.watch(self.popen.pid, stop_signal=spec.stop_signal)

    @property
    def is_running(self) -> bool:
        return self.popen.poll() is None

    def signal(self, signum: int) -> None:
        """Signal the whole group. Silent when it is gone."""
        guard_script.send(self.popen.pid, signum, group=True)

    def kill(self) -> None:
        """SIGKILL to the process and its children, at once."""
        self.signal(signal.SIGKILL)
        self.popen.wait()
        self.ended()

    def ended(self) -> None:
        """Clear away what a process that has ended left in its group, and wait until it is gone.

        A child that is still dying may hold the port that the next start needs.
        """
        self.signal(signal.SIGKILL)
        end = time.monotonic() + GROUP_END_SECONDS
        while guard_script.lives(self.popen.pid, group=True) and time.monotonic() < end:
            time.sleep(0.01)
        self._guard.forget(self.popen.pid)


def stop_all(running: Sequence[Running], *, grace: float = 10.0) -> list[str]:
    """Stop processes in their `stop_order`, waiting for each group of equals; the names of those that had to be killed.

    `grace` is in seconds, for each group of equals.
    """
    killed = []
    for order in sorted({process.spec.stop_order for process in running}):
        group = [process for process in running if process.spec.stop_order == order]
        for process in group:
            if process.is_running:
                # The leader alone: granian and PostgreSQL tell their own children, in their own order.
                process.popen.send_signal(process.spec.stop_signal)
        end = time.monotonic() + grace
        for process in group:
            try:
                process.popen.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                killed.append(process.spec.name)
                process.kill()
            process.ended()
    return killed


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_port(port: int, *, purpose: str) -> None:
    """`ToolError` unless a server of ours could listen on `port` of 127.0.0.1."""
    if not 1 <= port <= 65535:
        raise ToolError(f"{port} is not a port: {purpose} needs a number between 1 and 65535.")
    with socket.socket() as probe:
        # As servers do: without it a port whose last connections are still closing counts as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError as error:
            raise ToolError(f"Port {port}, for {purpose}, needs more rights than you have: choose another.") from error
        except OSError as error:
            raise ToolError(
                f"Port {port}, for {purpose}, is in use: stop what listens there, or make run PORT=9000."
            ) from error


def answers(url: str, *, timeout: float = 1.0) -> bool:
    """Whether `url` answers with a 2xx right now."""
    try:
        with urllib.request.urlopen(url, timeout=timeout) as response:  # noqa: S310 - our own http addresses
            status: int = response.status
            return 200 <= status < 300
    except (urllib.error.URLError, OSError, ValueError):
        return False


def listens(port: int, *, timeout: float = 0.2) -> bool:
    """Whether something accepts connections on `port` of 127.0.0.1."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout):
        return True
    return False
