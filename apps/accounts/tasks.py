"""Celery entry points of accounts."""

from __future__ import annotations

from celery import shared_task

from apps.accounts.services.sessions import purge_sessions


@shared_task
def purge_sessions_task() -> None:
    """Once a day, by beat."""
    purge_sessions()
