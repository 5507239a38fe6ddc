"""Ends the processes of a manager that died without a word (kill -9, out of memory), grandchildren included.

The manager starts this file as a process of its own and keeps the write end of its standard input. One JSON object
per line: `{"watch": pid, "signal": n, "group": bool}`, `{"forget": pid}`, `{"remove": folder}`. When the pipe closes,
and a kernel closes it however its owner died, whatever is still watched gets its signal, then SIGKILL after a grace,
and the folders are removed. A pipe is used rather than PR_SET_PDEATHSIG because that is Linux only, tied to one
thread of the parent, and says nothing to grandchildren.

Run as a script with `python -I -S`, so it needs nothing but the standard library and starts in milliseconds.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterable


def send(pid: int, signum: int, *, group: bool) -> bool:
    """Signal a process, or the whole group it leads; False when nobody is left to hear it."""
    try:
        if group:
            os.killpg(pid, signum)
        else:
            os.kill(pid, signum)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def lives(pid: int, *, group: bool) -> bool:
    """Whether a process, or any of the group it leads, still runs. One that only waits to be collected does not."""
    if not send(pid, 0, group=group):
        return False
    states = []
    for stat in glob.glob("/proc/[0-9]*/stat"):  # none where there is no /proc: then the answer above has to do
        with contextlib.suppress(OSError), open(stat) as file:
            number, _, rest = file.read().partition(" ")
            state, _, leader = rest.rpartition(")")[2].split()[:3]
            if pid == int(leader if group else number):
                states.append(state)
    return not states or any(state not in "ZX" for state in states)


def main(lines: Iterable[str], grace: float) -> None:
    """Keep the list that arrives on `lines`; at their end, clear it away, with SIGKILL after `grace` seconds."""
    watched: dict[int, tuple[int, bool]] = {}
    folders: list[str] = []
    for line in lines:
        order = json.loads(line)
        if "watch" in order:
            watched[order["watch"]] = (order["signal"], order["group"])
        elif "forget" in order:
            watched.pop(order["forget"], None)
        elif "remove" in order:
            folders.append(order["remove"])
    for pid, (signum, group) in watched.items():
        send(pid, signum, group=group)
    end = time.monotonic() + grace
    while watched and time.monotonic() < end:
        watched = {pid: how for pid, how in watched.items() if lives(pid, group=how[1])}
        time.sleep(0.05)
    for pid, (_, group) in watched.items():
        send(pid, signal.SIGKILL, group=group)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    with contextlib.suppress(BrokenPipeError):
        main(sys.stdin, float(sys.argv[1]))
