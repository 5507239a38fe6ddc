"""Housekeeping of stored answers."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from core.idempotency.models import IdempotencyKey
from core.purge import delete_in_batches


@shared_task
def purge_idempotency_keys_task() -> None:
    """Forget answers older than `IDEMPOTENCY_KEEP_HOURS`, a thousand at a time."""
    limit = timezone.now() - timedelta(hours=settings.IDEMPOTENCY_KEEP_HOURS)
    delete_in_batches(IdempotencyKey.objects.filter(created_at__lt=limit))
