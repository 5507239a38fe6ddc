"""What `make run` starts, as a person meets it: it comes up, works, and leaves nothing behind however it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.kits import HURRY, WAIT
from tests.tools.conftest import ROOT, eventually, is_alive
from tools.processes import free_port

pytestmark = pytest.mark.stack
# The servers of the suite are not those of a computer on which somebody says `make run`.
ENV = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL", "MAKELEVEL")}


@pytest.fixture(scope="module")
def var(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all the runs: the second begins where the first one was killed."""
    return tmp_path_factory.mktemp("run") / "var"


@pytest.fixture
def port() -> int:
    """One that is free together with the next one, where the simulators go."""
    while True:
        port = free_port()
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port + 1))
            except (OSError, OverflowError):
                continue
            return port


@pytest.fixture
def start(port: int, var: Path) -> Iterator[Callable[[], subprocess.Popen[str]]]:
    started = []

    def start() -> subprocess.Popen[str]:
        """`make run`, up to the line that says it is running."""
        process = subprocess.Popen(
            [sys.executable, "-m", "tools.dev", "--port", str(port), "--var", str(var)],
            cwd=ROOT,
            env=ENV | HURRY,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        assert process.stdout is not None
        for line in process.stdout:
            if "Faraja is running" in line:
                return process
        raise AssertionError("make run ended before it was running")

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def family(pid: int) -> list[int]:
    """`pid` and everything it started, and what those started."""
    table = subprocess.run(["ps", "-A", "-o", "pid=,ppid="], capture_output=True, text=True, check=True).stdout
    children: dict[int, list[int]] = {}
    for line in table.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += children.get(found[-1], [])
    return found


def test_killed_it_leaves_no_process_and_the_next_one_works_until_ctrl_c(start, port: int):
    killed = start()
    members = family(killed.pid)
    assert len(members) >= 8  # the manager, its guard, Valkey, web and its worker, worker, beat, simulators
    killed.kill()
    assert eventually(lambda: not any(map(is_alive, members)))

    manager = start()
    members = family(manager.pid)
    page = httpx.get(f"http://127.0.0.1:{port}/docs/", trust_env=False)
    demo = subprocess.run(
        [sys.executable, "-m", "tools.demo", "--base-url", f"http://127.0.0.1:{port}"],
        cwd=ROOT,
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    manager.send_signal(signal.SIGINT)
    output = manager.communicate(timeout=WAIT)[0]

    assert page.status_code == 200
    assert demo.returncode == 0, demo.stdout + demo.stderr
    assert manager.returncode == 0, output
    assert not any(map(is_alive, members))
    assert "was killed" not in output


@pytest.mark.parametrize("offset", [0, 1], ids=["the API's", "the simulators'"])
def test_a_port_in_use_is_one_sentence_and_nothing_is_written(port: int, tmp_path: Path, offset: int):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port + offset))
        taken.listen()
        done = subprocess.run(
            [sys.executable, "-m", "tools.dev", "--port", str(port), "--var", str(tmp_path / "var")],
            cwd=ROOT,
            env=ENV,
            capture_output=True,
            text=True,
            check=False,
        )

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Port {port + offset}, for the ")
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "var").exists()


def test_a_folder_that_cannot_be_written_is_one_sentence(port: int, tmp_path: Path):
    (tmp_path / "var").touch()

    done = subprocess.run(
        [sys.executable, "-m", "tools.dev", "--port", str(port), "--var", str(tmp_path / "var")],
        cwd=ROOT,
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be written" in done.stderr
    assert done.stderr.count("\n") == 1
