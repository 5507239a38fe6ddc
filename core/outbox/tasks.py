"""Celery entry points of the outbox."""

from __future__ import annotations

import logging
import threading
import uuid
from datetime import timedelta

from celery import shared_task
from celery.signals import worker_init, worker_shutting_down
from django.conf import settings
from django.db import close_old_connections
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerError

from core.outbox import relay
from core.outbox.models import OutboxEvent
from core.purge import delete_in_batches

logger = logging.getLogger("faraja.outbox")
_stop = threading.Event()


@shared_task
def deliver_event_task(row_id: int, token: str) -> None:
    """Carry one claimed event. Acknowledged early on purpose: the row, not the message, is what must not be lost."""
    relay.deliver(row_id, uuid.UUID(token))


def hand_over(row_id: int, token: uuid.UUID) -> None:
    """Give the event to any worker through the broker, or do it here when the broker is away."""
    try:
        deliver_event_task.apply_async(args=(row_id, str(token)), expires=settings.OUTBOX_LEASE_SECONDS)
    except (BrokerError, OSError) as error:
        logger.warning("broker away, delivering here: %s", type(error).__name__)
        close_old_connections()
        relay.deliver(row_id, token)


@worker_init.connect
def _start_relay(**_kwargs: object) -> None:
    """Every worker runs a relay beside its pool; before the broker is reached, so that work goes on without it."""
    _stop.clear()
    threading.Thread(target=relay.run, args=(hand_over, _stop), name="outbox-relay", daemon=True).start()


@worker_shutting_down.connect
def _stop_relay(**_kwargs: object) -> None:
    _stop.set()


@shared_task
def purge_outbox_task() -> None:
    """Delete delivered events older than `OUTBOX_KEEP_DONE_DAYS`, a thousand at a time."""
    limit = timezone.now() - timedelta(days=settings.OUTBOX_KEEP_DONE_DAYS)
    delete_in_batches(OutboxEvent.objects.filter(done_at__lt=limit))
