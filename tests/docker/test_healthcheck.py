from __future__ import annotations

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tools.processes import free_port

ROOT = Path(__file__).resolve().parents[2]
HEALTHCHECK = ROOT / "docker" / "healthcheck.py"


class Api(BaseHTTPRequestHandler):
    """Answers as the kit does: 200 for its own host, 400 for another."""

    def do_GET(self) -> None:
        is_own = self.headers["Host"] == "api.example.org" and self.headers["X-Forwarded-Proto"] == "https"
        self.send_response(200 if is_own and self.path == "/health/live" else 400)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing to read in a test."""


@pytest.fixture
def port():
    server = HTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


def check(port: int, allowed_hosts: str) -> int:
    env = {"PATH": os.environ["PATH"], "PORT": str(port), "ALLOWED_HOSTS": allowed_hosts}
    return subprocess.run([sys.executable, "-I", "-S", str(HEALTHCHECK)], env=env, check=False).returncode


@pytest.mark.parametrize("allowed", ["api.example.org", " .api.example.org, other.example.org", "*,api.example.org"])
def test_it_asks_under_a_name_the_settings_accept(port, allowed):
    assert check(port, allowed) == 0


def test_an_answer_that_is_not_200_is_unhealthy(port):
    assert check(port, "other.example.org") == 1


def test_no_answer_is_unhealthy():
    assert check(free_port(), "api.example.org") == 1
