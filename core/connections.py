"""Connections to the database that a thread keeps between one piece of work and the next."""

from __future__ import annotations

import time

from django.db import connections


def let_go_of_bad_connections() -> None:
    """Close this thread's connections that met an error and do not answer, or are older than `CONN_MAX_AGE`.

    Unlike after Django's `close_old_connections`, those that met no error are not asked whether they still work: that
    is a question to the database for each piece of work. The caller has to survive one that was cut.
    """
    for each in connections.all(initialized_only=True):
        is_old = each.close_at is not None and time.monotonic() >= each.close_at
        if each.errors_occurred or is_old:
            each.close_if_unusable_or_obsolete()
