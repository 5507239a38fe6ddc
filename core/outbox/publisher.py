"""`publish`: say what happened, in the transaction in which it happened."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from django.utils.module_loading import import_string

from core.outbox import bell
from core.outbox.models import OutboxEvent
from core.tenancy import find_current_tenant_id

Subscribers = Mapping[str, Sequence[Callable[..., None]]]


class NoTransaction(RuntimeError):
    """`publish` was called outside a transaction: the event could survive a rollback of its reason."""


def subscribers() -> Subscribers:
    """The wiring in `config/events.py`: event name to the functions that hear it."""
    found: Subscribers = import_string(settings.OUTBOX_SUBSCRIBERS)
    return found


def path_of(function: Callable[..., None]) -> str:
    """The dotted path under which a subscriber is stored."""
    return f"{function.__module__}.{function.__qualname__}"


def publish(name: str, payload: Mapping[str, Any], *, aggregate: str = "", delay: timedelta | None = None) -> None:
    """Write the event for each of its subscribers, and ring the relay once the transaction commits.

    `payload` is small JSON, ids rather than contents. `aggregate` (for example `payment:<id>`) keeps its events in
    order, provided the caller holds that row's lock. `delay` postpones delivery. A name that `config/events.py` does
    not know raises `KeyError`: a misspelt event would be lost silently.
    """
    if not connection.in_atomic_block:
        raise NoTransaction(name)
    event_id, next_at = uuid.uuid4(), timezone.now() + (delay or timedelta())
    rows = [
        OutboxEvent(
            event_id=event_id,
            name=name,
            subscriber=path_of(subscriber),
            tenant_id=find_current_tenant_id(),
            aggregate=aggregate,
            payload=dict(payload),
            next_at=next_at,
        )
        for subscriber in subscribers()[name]
    ]
    OutboxEvent.objects.bulk_create(rows)
    if delay is None:
        transaction.on_commit(bell.ring)


def withdraw(*aggregates: str) -> None:
    """Never deliver what waits in these aggregates: there is no reason for it any more, and its subscriber would do
    nothing. What is being delivered already is left alone.
    """
    waiting = OutboxEvent.objects.filter(aggregate__in=aggregates, done_at=None, dead_at=None, lease_until=None)
    waiting.update(done_at=timezone.now())


def hasten(aggregate: str) -> None:
    """Deliver now what waits in `aggregate` for its time. What is being delivered already is left alone."""
    waiting = OutboxEvent.objects.filter(aggregate=aggregate, done_at=None, dead_at=None, lease_until=None)
    if waiting.update(next_at=timezone.now()):
        transaction.on_commit(bell.ring)
