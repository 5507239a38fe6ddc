"""The handle on a running stack, with tiny stand-in processes; the real ones are started by the tests in e2e/."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from tests.tools.conftest import eventually, is_alive
from tools.processes import Guard, Process, ToolError, free_port
from tools.stack import Place, Stack, stack, stack_env

WORKER = """
import os, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("up", os.environ.get("MARK"), os.getpid(), child.pid, flush=True)
time.sleep(600)
"""
BRIEF = "import os, sys; print('bye', flush=True); sys.exit(4)"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(port=free_port(), simulators_port=free_port(), var=tmp_path)


@pytest.fixture
def kit(place: Place):
    processes = [
        Process(name="worker", argv=[sys.executable, "-c", WORKER]),
        Process(name="beat", argv=[sys.executable, "-c", BRIEF]),
        Process(name="web", argv=[sys.executable, "-c", BRIEF]),
    ]
    with Guard() as guard:
        kit = Stack(place, processes, guard)
        yield kit
        kit.stop()


def pids(kit: Stack) -> list[int]:
    assert eventually(lambda: kit.logs("worker").endswith("\n"))
    return [int(word) for word in kit.logs("worker").splitlines()[-1].split()[2:]]


def test_a_killed_process_is_gone_with_its_children(kit):
    kit.start("worker")
    before = pids(kit)

    kit.kill("worker")

    assert not kit.is_running("worker")
    assert eventually(lambda: not any(map(is_alive, before)))


def test_a_killed_process_can_be_started_again_and_its_log_goes_on(kit):
    kit.start("worker", extra_env={"MARK": "first"})
    pids(kit)
    kit.kill("worker")

    kit.start("worker")

    assert kit.is_running("worker")
    assert eventually(lambda: kit.logs("worker").count("up") == 2)
    assert kit.logs("worker").startswith("up first")
    assert kit.logs("worker").splitlines()[1].startswith("up None")


def test_a_running_process_is_not_started_twice(kit):
    kit.start("worker")

    with pytest.raises(RuntimeError, match="running already"):
        kit.start("worker")


def test_a_process_that_ends_by_itself_tells_its_exit_code(kit):
    kit.start("beat")

    assert kit.wait_exit("beat") == 4
    assert kit.logs("beat") == "bye\n"


def test_waiting_for_an_end_that_does_not_come_says_so(kit):
    kit.start("worker")

    with pytest.raises(TimeoutError, match="worker"):
        kit.wait_exit("worker", timeout=0.1)


def test_a_web_that_dies_while_starting_is_an_error_with_its_log(kit):
    with pytest.raises(ToolError, match="web ended while starting:\nbye"):
        kit.start("web")


def test_stopping_ends_everything_and_may_be_done_twice(kit):
    kit.start("worker")
    before = pids(kit)

    kit.stop()
    kit.stop()

    assert not any(map(is_alive, before))


def test_a_name_the_stack_does_not_have_is_a_mistake(kit):
    with pytest.raises(KeyError):
        kit.is_running("wroker")


def test_the_processes_of_a_stack_share_one_set_of_addresses(place):
    env = stack_env({"PATH": "/bin"}, place, database_url="sqlite:///x", redis_url="redis://127.0.0.1:1/0")
    processes = {process.name: process for process in stack(env, place, web_workers=2)}

    assert set(processes) == {"simulators", "web", "worker", "beat"}
    assert all(process.env == env for process in processes.values())
    assert env["SIMULATOR_BEEM_CALLBACK_URL"].startswith(place.base_url)
    assert env["SIMULATOR_BEEM_PAY_CALLBACK_URL"].startswith(place.base_url)
    assert env["EMAIL_FILE_PATH"] == env["SIMULATOR_MAIL_DIR"] == str(place.mail_dir)
    assert str(place.port) in processes["web"].argv
    assert all(process.stop_signal == signal.SIGTERM for process in processes.values())


def test_without_a_broker_one_relay_does_the_work_of_worker_and_beat(place):
    env = stack_env({}, place, database_url="sqlite:///x", redis_url=None)

    names = [process.name for process in stack(env, place, has_broker=False)]

    assert names == ["simulators", "web", "relay"]
    assert env["REDIS_URL"] == ""
