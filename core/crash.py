"""Named points at which a test may kill the process, so that recovery is proven and not assumed."""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path

from django.conf import settings

_seen: Counter[str] = Counter()


def crash_point(name: str) -> None:
    """Do nothing, unless the environment says `CRASH_AT=name` (or `name:2` for its second time): then SIGKILL.

    `CRASH_AT=@path` reads the wish from that file at each point, so that a running process can be told to die; its
    times are counted from then on. Works only where `CRASH_POINTS_ENABLED` is set; production refuses to boot with it.
    """
    wanted = os.environ.get("CRASH_AT")
    if not wanted or not settings.CRASH_POINTS_ENABLED:
        return
    if wanted.startswith("@"):
        path = Path(wanted[1:])
        wanted = path.read_text() if path.exists() else ""
    wanted_name, _, nth = wanted.partition(":")
    if name == wanted_name:
        _seen[name] += 1
        if _seen[name] == int(nth or 1):
            os.kill(os.getpid(), signal.SIGKILL)
