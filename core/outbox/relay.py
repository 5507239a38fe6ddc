"""The relay: claims due events and has their subscribers called, at least once each, until they succeed or die.

The database is the queue. A claim is a lease with a token: whoever dies holding it is replaced when it runs out, and
whoever comes back late finds the token changed and touches nothing.
"""

from __future__ import annotations

import logging
import random
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction
from django.db.models import Exists, F, OuterRef, Q
from django.utils import timezone
from django.utils.module_loading import import_string

from core import context
from core.connections import let_go_of_bad_connections
from core.crash import crash_point
from core.logging import redact
from core.outbox.bell import Listener
from core.outbox.models import OutboxEvent
from core.tenancy import enter_tenant, outside_tenants

logger = logging.getLogger("faraja.outbox")

BATCH = 20
# More than the pools can carry soon would only wait in the broker until its lease runs out.
MAX_LEASED = 100
MAX_ATTEMPTS = 10
BACKOFF_CAP = timedelta(minutes=5)


class RetryLater(Exception):
    """A subscriber says: not yet, and this is no failure. Deliver again after `delay`; attempts are not counted."""

    def __init__(self, delay: timedelta) -> None:
        self.delay = delay
        super().__init__(f"again in {delay.total_seconds():.0f} s")


# PostgreSQL: one statement claims, and another begins a delivery. The rows that `pick` has locked are those of the
# update, so it is materialized: a sub-select may be run more than once, and would then lock more than `limit` rows.
_CLAIM = """
    WITH pick AS MATERIALIZED (
        SELECT event.id FROM outbox_outboxevent event
        WHERE event.done_at IS NULL AND event.dead_at IS NULL AND event.next_at <= %(now)s
            AND (event.lease_until IS NULL OR event.lease_until < %(now)s)
            AND NOT EXISTS (
                SELECT 1 FROM outbox_outboxevent earlier
                WHERE earlier.done_at IS NULL AND earlier.dead_at IS NULL AND earlier.aggregate <> ''
                    AND earlier.aggregate = event.aggregate AND earlier.subscriber = event.subscriber
                    AND earlier.id < event.id
            )
            AND %(most)s > (
                SELECT count(*) FROM outbox_outboxevent leased
                WHERE leased.done_at IS NULL AND leased.dead_at IS NULL AND leased.lease_until >= %(now)s
                    AND leased.next_at <= %(now)s
            )
        ORDER BY event.id LIMIT %(limit)s FOR UPDATE OF event SKIP LOCKED
    )
    UPDATE outbox_outboxevent claimed SET lease_token = %(token)s, lease_until = %(until)s
    FROM pick WHERE claimed.id = pick.id RETURNING claimed.id
"""
_BEGIN = """
    UPDATE outbox_outboxevent SET lease_until = %(until)s, attempts = attempts + 1
    WHERE id = %(id)s AND lease_token = %(token)s AND done_at IS NULL AND dead_at IS NULL
    RETURNING *
"""


def claim(limit: int = BATCH) -> list[tuple[int, uuid.UUID]]:
    """Lease up to `limit` due events, oldest first. Several relays may claim at once; none gets another's.

    Claims nothing while `MAX_LEASED` events are on their way already.
    """
    now, token = timezone.now(), uuid.uuid4()
    until = now + timedelta(seconds=settings.OUTBOX_LEASE_SECONDS)
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            values: dict[str, Any] = {"now": now, "token": token, "until": until, "limit": limit, "most": MAX_LEASED}
            cursor.execute(_CLAIM, values)
            ids = sorted(row[0] for row in cursor.fetchall())
    else:
        ids = _claim_portably(limit, now, token, until)
    if ids:
        crash_point("lease_taken")
    return [(event_id, token) for event_id in ids]


def _claim_portably(limit: int, now: datetime, token: uuid.UUID, until: datetime) -> list[int]:
    free = Q(lease_until=None) | Q(lease_until__lt=now)
    alive = OutboxEvent.objects.filter(done_at=None, dead_at=None)
    earlier = alive.filter(
        aggregate=OuterRef("aggregate"), subscriber=OuterRef("subscriber"), id__lt=OuterRef("id")
    ).exclude(aggregate="")
    due = alive.filter(free, next_at__lte=now).filter(~Exists(earlier)).order_by("id")
    # A look without a lock first: on SQLite the claim takes the only write lock there is.
    if not due.exists() or alive.filter(lease_until__gte=now).count() >= MAX_LEASED:
        return []
    with transaction.atomic():
        ids = list(due.select_for_update(skip_locked=True).values_list("id", flat=True)[:limit])
        OutboxEvent.objects.filter(id__in=ids).update(lease_token=token, lease_until=until)
    return ids


def deliver(row_id: int, token: uuid.UUID) -> None:
    """Call the subscriber of one claimed event, in its tenant's scope, and write down how it went."""
    try:
        event = _begin(row_id, token)
    except (OperationalError, InterfaceError):
        # The connection that this thread has kept was cut: the first statement finds that out, rather than a question
        # before every delivery. Should the statement have counted all the same, an attempt is counted twice.
        if connection.in_atomic_block:
            raise
        let_go_of_bad_connections()
        event = _begin(row_id, token)
    if event is None:
        return
    mine = OutboxEvent.objects.filter(id=row_id, lease_token=token, done_at=None, dead_at=None)
    if event.attempts > MAX_ATTEMPTS:
        # Every attempt ended without a word: it kills whoever delivers it.
        _give_up(event, token, "no attempt came to an end")
        return
    context.request_id.set(f"event-{event.event_id.hex[:16]}")
    try:
        with outside_tenants():
            enter_tenant(event.tenant_id)
            subscriber: Callable[..., None] = import_string(event.subscriber)
            subscriber(**event.payload)
    except RetryLater as later:
        mine.update(
            next_at=timezone.now() + later.delay, attempts=F("attempts") - 1, lease_until=None, lease_token=None
        )
    except Exception as error:  # noqa: BLE001  whatever a subscriber raises is its own row's trouble
        _failed(event, token, error)
    else:
        crash_point("effect_done")
        mine.update(done_at=timezone.now(), lease_until=None, lease_token=None, last_error="")
    finally:
        context.request_id.set("")


def _begin(row_id: int, token: uuid.UUID) -> OutboxEvent | None:
    """Begin an attempt, with a fresh lease, since the message may have waited in the broker; None when it is too late.

    The attempt counts from here and not from the claim: messages that a broker lost are nobody's failure.
    """
    until = timezone.now() + timedelta(seconds=settings.OUTBOX_LEASE_SECONDS)
    if connection.vendor == "postgresql":
        return next(iter(OutboxEvent.objects.raw(_BEGIN, {"id": row_id, "token": token, "until": until})), None)
    mine = OutboxEvent.objects.filter(id=row_id, lease_token=token, done_at=None, dead_at=None)
    return mine.first() if mine.update(lease_until=until, attempts=F("attempts") + 1) else None


def _failed(event: OutboxEvent, token: uuid.UUID, error: Exception) -> None:
    mine = OutboxEvent.objects.filter(id=event.pk, lease_token=token)
    told = redact(f"{type(error).__name__}: {error}")[:2000]
    if event.attempts >= MAX_ATTEMPTS:
        _give_up(event, token, told)
        return
    mine.update(next_at=timezone.now() + backoff(event.attempts), last_error=told, lease_until=None, lease_token=None)
    logger.warning(
        "event will be retried",
        extra={"event": event.name, "subscriber": event.subscriber, "attempt": event.attempts, "error": told},
    )


def _give_up(event: OutboxEvent, token: uuid.UUID, told: str) -> None:
    mine = OutboxEvent.objects.filter(id=event.pk, lease_token=token)
    mine.update(dead_at=timezone.now(), last_error=told, lease_until=None, lease_token=None)
    logger.error("event given up", extra={"event": event.name, "subscriber": event.subscriber, "error": told})


def backoff(attempts: int) -> timedelta:
    """The wait after the `attempts`-th failure: half fixed, half random, doubling from 1 s up to 5 minutes."""
    ceiling = min(2.0**attempts, BACKOFF_CAP.total_seconds())
    return timedelta(seconds=ceiling / 2 + random.uniform(0, ceiling / 2))  # noqa: S311  jitter, not a secret


@dataclass(frozen=True, slots=True)
class EventSummary:
    waiting: int
    dead: int


def summarise_events() -> EventSummary:
    """How many events are still to be delivered, and how many were given up. Both are few: an index finds them."""
    undone = OutboxEvent.objects.filter(done_at=None)
    return EventSummary(waiting=undone.filter(dead_at=None).count(), dead=undone.exclude(dead_at=None).count())


def replay(row_ids: list[int]) -> int:
    """Give dead events another life (an operator's wish); returns how many."""
    return (
        OutboxEvent.objects.filter(id__in=row_ids)
        .exclude(dead_at=None)
        .update(dead_at=None, attempts=0, next_at=timezone.now())
    )


def run(hand_over: Callable[[int, uuid.UUID], None], stop: threading.Event) -> None:
    """Claim and hand over until `stop` is set. Survives a database that goes away and comes back.

    Whatever else goes wrong is logged, and the loop goes on: a relay that dies delivers nothing any more. What had been
    claimed is free again when its lease runs out.
    """
    listener = Listener(stop)
    while not stop.is_set():
        try:
            let_go_of_bad_connections()
            claimed = claim()
            for row_id, token in claimed:
                hand_over(row_id, token)
        except DatabaseError as error:
            logger.warning("relay cannot reach the database: %s", type(error).__name__)
            stop.wait(settings.OUTBOX_POLL_SECONDS)
        except Exception:
            logger.exception("relay stumbled")
            stop.wait(settings.OUTBOX_POLL_SECONDS)
        else:
            # Whatever was published since has rung: where the bell is heard, only a full batch may have left something.
            if not claimed or (listener.is_listening and len(claimed) < BATCH):
                listener.wait(settings.OUTBOX_POLL_SECONDS)
