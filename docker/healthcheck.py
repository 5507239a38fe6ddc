"""Exit code 0 when this container does its work. Standard library only, so it costs a few milliseconds."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping
from pathlib import Path

ROLE_FILE = Path("/tmp/faraja-role")  # noqa: S108 - written by the entrypoint of the same container
TIMEOUT_SECONDS = 4.0


def host_header(environ: Mapping[str, str]) -> str:
    """A Host that the settings accept: the first of ALLOWED_HOSTS that is not a pattern's bare dot or star."""
    for host in environ.get("ALLOWED_HOSTS", "").split(","):
        name = host.strip().lstrip(".")
        if name and name != "*":
            return name
    return "localhost"


def is_healthy(environ: Mapping[str, str]) -> bool:
    """Whether the web answers /health/live with 200."""
    port = int(environ.get("PORT", "8000"))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        # As from the proxy in front, which is where TLS ends.
        headers = {"Host": host_header(environ), "X-Forwarded-Proto": "https"}
        connection.request("GET", "/health/live", headers=headers)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    # Worker and beat have no address: that they run at all is what the container's own life says.
    if ROLE_FILE.exists() and ROLE_FILE.read_text().strip() != "web":
        return 0
    return 0 if is_healthy(os.environ) else 1


if __name__ == "__main__":
    sys.exit(main())
