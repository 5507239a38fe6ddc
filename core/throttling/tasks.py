"""Housekeeping of the buckets."""

from __future__ import annotations

import time
from datetime import timedelta

from celery import shared_task

from core.purge import delete_in_batches
from core.throttling.models import RateBucket

# The database's clock may differ from this computer's by less than this.
SLACK = timedelta(hours=1)


@shared_task
def purge_rate_buckets_task() -> None:
    """Delete buckets that are full again, a thousand at a time; a missing row means the same."""
    limit = time.time_ns() // 1000 - SLACK // timedelta(microseconds=1)
    # The condition is asked again with each batch: somebody may have drawn from one of them since.
    delete_in_batches(RateBucket.objects.filter(full_at__lt=limit))
