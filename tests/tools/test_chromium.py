"""`tools/chromium.sh` on computers where apt works, fails, or is not there; it never fails itself."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.chromium import NAMES
from tests.tools.conftest import ROOT

SCRIPT = ROOT / "tools" / "chromium.sh"
APT = 'echo "apt-get $@" >>"$LOG"\n'
LEFT_OUT = "Tests in a real browser will be left out."


class Computer:
    """A folder that is the whole PATH, with programs that say what is asked of them."""

    def __init__(self, folder: Path) -> None:
        self.bin, self.log = folder / "bin", folder / "log"
        self.bin.mkdir()
        for name in ("sh", "env", "timeout", "true"):
            (self.bin / name).symlink_to(str(shutil.which(name)))
        self.program("id", "echo 0")

    def program(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def run(self) -> tuple[int, str, list[str]]:
        """The exit code, what was said, and what apt was asked (without its options)."""
        done = subprocess.run(
            ["sh", str(SCRIPT)],
            env={"PATH": str(self.bin), "LOG": str(self.log)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == ""
        asked = self.log.read_text() if self.log.exists() else ""
        return done.returncode, done.stderr, re.sub(r" -q| -o \S+", "", asked).splitlines()


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    return Computer(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_a_browser_that_is_there_is_enough(computer, name):
    computer.program("apt-get", APT)
    computer.program(name, "")

    assert computer.run() == (0, "", [])


@pytest.mark.parametrize("user", ["root", "somebody with sudo"])
def test_debians_chromium_is_installed_where_there_is_none(computer, user):
    computer.program("apt-get", APT + f'case "$*" in *install*) ln -s /bin/sh {computer.bin}/chromium;; esac')
    (computer.bin / "ln").symlink_to(str(shutil.which("ln")))
    if user != "root":
        computer.program("id", "echo 1000")
        computer.program("sudo", '[ "$1" = -n ] && shift && exec "$@"')

    assert computer.run() == (0, "", ["apt-get update", "apt-get install -y --no-install-recommends chromium"])


@pytest.mark.parametrize(
    ("programs", "reason"),
    [
        ({}, "there is no apt-get to install it with"),
        ({"apt-get": "exit 100"}, "apt-get could not install it"),
        ({"apt-get": "exit 0"}, "its package brought no program"),
        ({"apt-get": "exit 0", "id": "echo 1000"}, "installing it takes root, or sudo without a password"),
        ({"apt-get": "exit 0", "id": "echo 1000", "sudo": "exit 1"}, "installing it takes root, or sudo without a"),
    ],
    ids=["no apt", "offline", "an empty package", "no sudo", "sudo with a password"],
)
def test_where_it_cannot_be_installed_the_run_goes_on_and_says_so(computer, programs, reason):
    for name, text in programs.items():
        computer.program(name, text)

    code, said, _asked = computer.run()

    assert code == 0
    assert reason in said
    assert said.rstrip().endswith(LEFT_OUT)


def test_the_build_server_sees_to_a_browser_before_the_tests():
    steps = (ROOT / ".ci" / "run").read_text().splitlines()

    assert steps.index("sh tools/chromium.sh") < steps.index("make test")


def test_the_script_and_the_suite_look_for_the_same_programs():
    (listed,) = re.findall(r"for name in (.+); do", SCRIPT.read_text())

    assert tuple(listed.split()) == NAMES
