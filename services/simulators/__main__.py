"""`python -m services.simulators --port 8001`: serve the simulators until SIGINT or SIGTERM.

The server runs inside this process, not in a worker of its own, so there is never a second process to outlive it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from starlette.applications import Starlette

from services.simulators.app import create_app
from services.simulators.config import BadSetting, read_config
from services.simulators.ledger.book import Ledger
from services.simulators.ledger.database import LedgerUnusable

logger = logging.getLogger("simulators")

STOP_LIMIT = 3.0  # seconds for requests in flight


def main() -> int:
    """The exit code: 0 after a signal, 1 with one sentence when it cannot start."""
    parser = argparse.ArgumentParser(
        prog="python -m services.simulators", description="Play the providers: payments, SMS, signing in."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8001)
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    logger.setLevel(logging.INFO)
    try:
        config = read_config(os.environ)
        Ledger(config.ledger).close()
        refuse_used_port(options.host, options.port)
    except (BadSetting, LedgerUnusable, PortUnusable) as error:
        sys.stderr.write(f"simulators: {error}\n")
        return 1
    asyncio.run(serve(create_app(config), host=options.host, port=options.port))
    return 0


class PortUnusable(OSError):
    """Nothing can listen there; the message is one sentence."""


def refuse_used_port(host: str, port: int) -> None:
    """Raise `PortUnusable` when something listens there already.

    granian shares a port with whoever listens on it (SO_REUSEPORT), so it would never complain.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen()
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise PortUnusable(f"Cannot listen on {host}:{port}: {reason}. Choose another with --port.") from error


async def serve(app: Starlette, *, host: str, port: int) -> None:
    """Serve until a signal. Requests that are being held on purpose are let go at once."""
    server = Server(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGI,
        websockets=False,
        log_level=LogLevels.error,
    )
    serving = asyncio.create_task(server.serve())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
            loop.add_signal_handler(signal_number, stop.set)
    names = "ClickPesa, Selcom, Beem, Polar, Africa's Talking, sign-in providers"
    logger.info("simulators: %s and /simulator/ on http://%s:%s", names, host, port)
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if serving.done():
        serving.result()
        return
    world = getattr(app.state, "world", None)
    if world is not None:
        world.stopping.set()
    server.stop()  # type: ignore[no-untyped-call]
    await asyncio.wait({serving}, timeout=STOP_LIMIT)
    if not serving.done():
        logger.info("simulators: a request did not end within %s seconds; stopping without it.", STOP_LIMIT)
        logging.shutdown()
        # Cancelling would wait for that request again. The ledger loses nothing: each change is committed at once.
        os._exit(0)


if __name__ == "__main__":
    sys.exit(main())
