"""Who hears what, in the tests of the outbox. `heard` is what happened; `behave` says what a subscriber does."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any
from uuid import UUID

from core.tenancy import find_current_tenant_id

heard: list[tuple[Any, UUID | None]] = []
behave: dict[Any, Callable[[], None]] = {}
_lock = threading.Lock()


def hear(*, what: Any, **_: object) -> None:
    """Note the event and the tenant in scope, then do as the test says."""
    with _lock:
        heard.append((what, find_current_tenant_id()))
    behave.get(what, lambda: None)()


def hear_too(*, what: Any, **_: object) -> None:
    hear(what=f"{what} too")


SUBSCRIBERS = {"thing.happened": [hear], "thing.seen_by_two": [hear, hear_too], "thing.ignored": []}
