"""The quickstart is true: its commands, pasted into one shell, end as its sentences say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tools.stack import running_stack

PAGE = Path(__file__).resolve().parents[2] / "docs" / "quickstart.md"


@pytest.mark.stack
def test_the_commands_of_the_quickstart_do_what_it_says(tmp_path: Path):
    if shutil.which("curl") is None:
        pytest.skip("needs curl, with which the quickstart is written")
    commands = "\n".join(re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(), re.M | re.S))
    with running_stack(leave_out={"beat"}) as kit:
        for usual, here in (("127.0.0.1:8000", kit.base_url), ("127.0.0.1:8001", kit.simulators_url)):
            commands = commands.replace(usual, urlsplit(here).netloc)
        done = subprocess.run(
            ["sh", "-eu", "-c", commands], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
        )

    assert (done.returncode, done.stderr) == (0, "")
    me, *said = done.stdout.replace("}processing", "}\nprocessing").splitlines()
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
