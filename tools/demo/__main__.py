"""Plays a frontend against the kit, over HTTP only, and shows every step with its answer. `make demo` calls it.

    python -m tools.demo --base-url http://127.0.0.1:8000

Each step says what it expects. The first answer that differs ends the demo with exit code 1. When nothing answers at
the base URL, a server is started for the demo (SQLite, the bundled Valkey, the simulators) and stopped afterwards.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from tools.demo.frontend import Differs, say
from tools.demo.story import Demo
from tools.processes import Guard, ToolError, stop_all
from tools.services import find_redis, start_redis
from tools.stack import running_stack

PATIENCE = 45.0  # seconds; a push that nobody answers ends after 8 s and is asked about 15 s after it began
# The demo's own server hurries, so that nobody waits for a customer who never answers.
HURRY = {
    "PAYMENT_POLL_SECONDS": "1,1,2,2,5",
    "SIMULATOR_APPROVE_AFTER": "0.7",
    "SIMULATOR_PUSH_TIMEOUT": "2",
    "SIMULATOR_DELIVER_AFTER": "0.3",
}


@contextlib.contextmanager
def own_server() -> Iterator[tuple[str, str]]:
    """A server for this demo, and the addresses of its API and of its simulators."""
    with Guard() as guard:
        folder = Path(tempfile.mkdtemp(prefix="faraja-"))
        guard.remove(folder)
        program = find_redis()
        broker = start_redis(program, folder, guard) if program else None
        try:
            with running_stack(redis_url=broker[1].url if broker else None, extra_env=HURRY) as kit:
                yield kit.base_url, kit.simulators_url
        finally:
            stop_all([broker[0]] if broker else [])


@contextlib.contextmanager
def server(base_url: str, simulators_url: str) -> Iterator[tuple[str, str]]:
    """The server at `base_url` when one answers there, else one of our own."""
    try:
        live = httpx.get(f"{base_url}/health/live", timeout=5, trust_env=False)
        is_faraja = live.status_code == 200 and live.json().get("status") == "success"
    except httpx.ConnectError:
        say(f"Nothing answers at {base_url}: this demo starts a server of its own and stops it afterwards.")
        with own_server() as found:
            yield found
        return
    except (httpx.HTTPError, ValueError, AttributeError):
        is_faraja = False
    if not is_faraja:
        raise ToolError(f"What answers at {base_url} is not Faraja: say where it is with BASE_URL=http://...")
    yield base_url, simulators_url


def next_port(base_url: str) -> str:
    """Where `make run` puts the simulators: one port above the API."""
    parts = urlsplit(base_url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port + 1}"


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.demo", description="Play a frontend, step by step.")
    parser.add_argument("--base-url", default="http://127.0.0.1:8000", help="the API")
    parser.add_argument("--simulators-url", default="", help="default: SIMULATORS_URL, else one port above the API")
    parser.add_argument("--patience", type=float, default=PATIENCE, help="seconds to wait for any one thing")
    arguments = parser.parse_args(argv)
    base_url = arguments.base_url.rstrip("/")
    simulators_url = arguments.simulators_url or os.environ.get("SIMULATORS_URL") or next_port(base_url)
    try:
        with (
            server(base_url, simulators_url.rstrip("/")) as (api_url, simulated_url),
            httpx.Client(base_url=api_url, timeout=15, trust_env=False) as api,
            httpx.Client(base_url=simulated_url, timeout=15, trust_env=False) as simulators,
        ):
            say(f"The API is {api_url}, the provider simulators are {simulated_url}.")
            Demo(api, simulators, patience=arguments.patience).run()
    except (Differs, ToolError) as error:
        print(f"\nDIFFERENT  {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    say("\nEverything was as expected.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
