"""The supervisor, with tiny stand-in processes: a leader with a child, as granian has."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.conftest import ROOT, eventually, is_alive
from tools.dev import banner
from tools.processes import ToolError, check_port, free_port
from tools.stack import Place

# Prints the pids of itself and of a child; both live until a signal ends them. "stubborn" ignores SIGTERM.
LEADER = """
import os, signal, subprocess, sys, time
if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
child = subprocess.Popen([sys.executable, "-c", code])
if "brief" in sys.argv:
    print("pids", os.getpid(), child.pid, flush=True)
    time.sleep(0.5)
    sys.exit(3)
print("pids", os.getpid(), child.pid, flush=True)
time.sleep(600)
"""

SUPERVISOR = """
import sys
from tools.dev import Console, Stop, supervise
from tools.processes import Guard, Process

leader, *kinds = sys.argv[1:]
processes = [
    Process(name=kind, argv=[sys.executable, leader, kind], stop_order=order) for order, kind in enumerate(kinds)
]
with Guard(grace=1.0) as guard:
    console = Console()
    code = supervise(
        processes,
        guard=guard,
        console=console,
        stop=Stop(follow_parent=False),
        is_ready=lambda: True,
        on_ready=lambda: console.say("ready"),
        grace=1.0,
    )
sys.exit(code)
"""


@pytest.fixture
def supervised(python, tmp_path: Path):
    """A supervisor over stand-ins of the given kinds, and the pids of all of them once they are up."""

    def start(*kinds: str) -> tuple[subprocess.Popen[str], list[int]]:
        leader = tmp_path / "leader.py"
        leader.write_text(LEADER)
        supervisor = python(SUPERVISOR, str(leader), *kinds)
        pids: list[int] = []
        while len(pids) < 2 * len(kinds):
            line = supervisor.stdout.readline()
            assert line, "the supervisor ended early"
            if "pids" in line:
                pids += map(int, line.split("pids")[1].split())
        return supervisor, pids

    return start


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_stop_it_ends_everything_and_succeeds(supervised, signum):
    supervisor, pids = supervised("web", "worker")

    supervisor.send_signal(signum)
    output = supervisor.communicate(timeout=20)[0]

    assert supervisor.returncode == 0, output
    assert not any(map(is_alive, pids))


def test_killed_it_leaves_neither_children_nor_grandchildren(supervised):
    supervisor, pids = supervised("web", "stubborn")

    supervisor.kill()

    assert eventually(lambda: not any(map(is_alive, pids)))


def test_one_process_ending_ends_the_rest_with_a_sentence(supervised):
    supervisor, pids = supervised("web", "brief")

    output = supervisor.communicate(timeout=20)[0]

    assert supervisor.returncode == 1
    assert "brief ended (exit code 3): stopping everything else." in output
    assert not any(map(is_alive, pids))


def test_a_process_that_ignores_the_request_is_killed_and_named(supervised):
    supervisor, pids = supervised("stubborn")

    supervisor.send_signal(signal.SIGTERM)
    output = supervisor.communicate(timeout=20)[0]

    assert "stubborn did not stop in 1 s and was killed." in output
    assert not any(map(is_alive, pids))


def test_processes_stop_in_their_order(python, tmp_path: Path):
    talker = tmp_path / "talker.py"
    talker.write_text(
        "import signal, sys, time\n"
        "def bye(*_):\n"
        "    time.sleep(0.3)\n"
        "    print('bye', flush=True)\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, bye)\n"
        "print('pids 0 0', flush=True)\n"
        "time.sleep(600)\n"
    )
    supervisor = python(SUPERVISOR, str(talker), "first", "second", "third")
    up = 0
    while up < 3:
        up += "pids" in supervisor.stdout.readline()

    supervisor.send_signal(signal.SIGTERM)
    output = supervisor.communicate(timeout=20)[0]

    assert [line.split()[0] for line in output.splitlines() if line.endswith("bye")] == ["first", "second", "third"]


def test_lines_carry_the_name_of_their_process_and_no_colour_codes_in_a_file(supervised):
    supervisor, _ = supervised("web")

    supervisor.send_signal(signal.SIGTERM)
    output = supervisor.communicate(timeout=20)[0]

    assert "\x1b" not in output


def test_it_follows_make_when_make_is_killed(python, tmp_path: Path):
    program = """
        import subprocess, sys
        from tools.dev import Stop
        if sys.argv[1:] == ["child"]:
            stop = Stop(follow_parent=True)
            print("up", flush=True)
            while not stop.asked(0.05):
                pass
            sys.exit(0)
        child = subprocess.Popen([sys.executable, __file__, "child"])
        print("child", child.pid, flush=True)
        child.wait()
    """
    parent = python(program)
    lines = [parent.stdout.readline(), parent.stdout.readline()]
    child = next(int(line.split()[1]) for line in lines if line.startswith("child"))

    parent.kill()

    assert eventually(lambda: not is_alive(child))


def test_a_port_in_use_is_one_sentence_and_nothing_is_started():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "tools.dev", "--port", str(port)],
            cwd=ROOT,
            env={**os.environ, "DATABASE_URL": "sqlite://:memory:"},
            capture_output=True,
            text=True,
            check=False,
        )

    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == f"Port {port}, for the API, is in use: stop what listens there, or make run PORT=9000.\n"


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_is_refused(port):
    with pytest.raises(ToolError, match="is not a port"):
        check_port(port, purpose="the API")


def test_a_free_port_passes():
    check_port(free_port(), purpose="the API")


def test_a_file_where_the_folder_should_be_is_one_sentence(tmp_path: Path):
    (tmp_path / "var").touch()

    with pytest.raises(ToolError, match="cannot be written"):
        Place(port=1, simulators_port=2, var=tmp_path / "var").make_folders()


def test_the_banner_shows_where_to_go_and_keeps_the_database_password():
    place = Place(port=8000, simulators_port=8001, var=Path("var"))

    text = banner(place, "postgres://faraja:hunter2@db/faraja", None)

    assert "http://127.0.0.1:8000/docs/" in text
    assert "postgres://faraja@db/faraja" in text
    assert "hunter2" not in text


def test_the_banner_says_that_sqlite_has_one_wall():
    place = Place(port=8000, simulators_port=8001, var=Path("var"))

    assert "one wall" in banner(place, place.default_database_url, None)
