"""Housekeeping of stored answers."""

from __future__ import annotations

from datetime import timedelta

from celery import shared_task
from django.conf import settings
from django.utils import timezone

from core.idempotency.models import IdempotencyKey


@shared_task
def purge_idempotency_keys_task() -> None:
    """Forget answers older than `IDEMPOTENCY_KEEP_HOURS`, a thousand at a time."""
    limit = timezone.now() - timedelta(hours=settings.IDEMPOTENCY_KEEP_HOURS)
    while True:
        batch = list(IdempotencyKey.objects.filter(created_at__lt=limit).values_list("pk", flat=True)[:1000])
        if not batch:
            return
        IdempotencyKey.objects.filter(pk__in=batch).delete()
