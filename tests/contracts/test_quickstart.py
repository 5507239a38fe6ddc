"""The quickstart and the guide to sessions are true: pasted into one shell, their commands end as they say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.kits import Kit
from tools.stack import Stack

DOCS = Path(__file__).resolve().parents[2] / "docs"
pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl, with which the pages are written"),
]


@pytest.fixture
def kit(sqlite_kit: Kit) -> Stack:
    return sqlite_kit.whole().stack


def follow(page: str, kit: Stack, folder: Path) -> list[str]:
    """The lines that the page's commands print."""
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", (DOCS / page).read_text(), re.M | re.S))
    for usual, here in (("127.0.0.1:8000", kit.base_url), ("127.0.0.1:8001", kit.simulators_url)):
        commands = commands.replace(usual, urlsplit(here).netloc)
    done = subprocess.run(
        ["sh", "-eu", "-c", commands], capture_output=True, text=True, timeout=120, check=False, cwd=folder
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.replace("}processing", "}\nprocessing").splitlines()


def test_the_commands_of_the_quickstart_do_what_it_says(kit: Stack, tmp_path: Path):
    me, *said = follow("quickstart.md", kit, tmp_path)

    assert '"role":"owner"' in me
    assert [re.sub(r"[0-9a-f]{8}\.|asha-\d+", "*", line) for line in said] == [
        "processing",
        "settled",
        "Received TZS 5,000. Reference * Thank you.",
        "Receipt for TZS 5,000",
        "idempotent-replayed: true",
        "Signed out.",
        "session_revoked",
        "Haikupatikana.",
        "*@example.com",
        "csrf_failed",
        "Signed out.",
        "failed",
    ]


def test_the_commands_of_the_guide_to_sessions_do_what_it_says(kit: Stack, tmp_path: Path):
    said = follow("sessions.md", kit, tmp_path)

    assert said == [
        "the same successor",
        "The session has ended.",
        "session_revoked",
        "refresh_reused",
        "refresh_reused",
        "None",
        "csrf_failed",
        "Refreshed.",
        "Neema",
        "csrf_failed",
    ]
