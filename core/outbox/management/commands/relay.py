"""`manage.py relay`: deliver the outbox without a broker."""

from __future__ import annotations

import signal
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from core.connections import let_go_of_bad_connections
from core.outbox import relay


class Command(BaseCommand):
    help = "Deliver outbox events in this process. For a computer without Redis; a Celery worker does the same with it."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--threads", type=int, default=4, help="How many events to deliver at once.")

    def handle(self, *args: Any, threads: int, **options: Any) -> None:
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        # A claim is handed over only when a thread is free, so leases do not run out in a queue.
        free = threading.Semaphore(threads)
        with ThreadPoolExecutor(threads, thread_name_prefix="outbox") as pool:

            def carry(row_id: int, token: uuid.UUID) -> None:
                try:
                    let_go_of_bad_connections()
                    relay.deliver(row_id, token)
                finally:
                    free.release()

            def hand_over(row_id: int, token: uuid.UUID) -> None:
                free.acquire()
                pool.submit(carry, row_id, token)

            relay.run(hand_over, stop)
