"""Celery: carries outbox events between machines (`core.outbox.tasks`) and runs the housekeeping below."""

from __future__ import annotations

import os
from typing import Any

from celery import Celery
from celery.schedules import crontab
from celery.signals import task_prerun, worker_init
from django.db import close_old_connections

from core.connections import let_go_of_bad_connections

DELIVERY = "core.outbox.tasks.deliver_event_task"

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings.dev")

app = Celery("faraja")
app.config_from_object("django.conf:settings", namespace="CELERY")
# The Django fixup closes connections per task unless this exact key says otherwise; `look_at_connections` keeps them.
app.conf.CELERY_DB_REUSE_MAX = 1000
app.autodiscover_tasks()

app.conf.beat_schedule = {
    "purge-outbox": {"task": "core.outbox.tasks.purge_outbox_task", "schedule": crontab(minute="7")},
    "purge-idempotency-keys": {
        "task": "core.idempotency.tasks.purge_idempotency_keys_task",
        "schedule": crontab(minute="17"),
    },
    "purge-rate-buckets": {
        "task": "core.throttling.tasks.purge_rate_buckets_task",
        "schedule": crontab(minute="37"),
    },
    "purge-inbox": {"task": "apps.payments.tasks.purge_inbox_task", "schedule": crontab(hour="3", minute="47")},
    "purge-messaging": {"task": "apps.messaging.tasks.purge_messaging_task", "schedule": crontab(minute="47")},
    "reconcile": {"task": "apps.payments.tasks.reconcile_task", "schedule": crontab(minute="12")},
    "purge-notifications": {
        "task": "apps.messaging.tasks.purge_notifications_task",
        "schedule": crontab(hour="3", minute="47"),
    },
    "purge-sessions": {"task": "apps.accounts.tasks.purge_sessions_task", "schedule": crontab(hour="3", minute="27")},
}


@task_prerun.connect
def look_at_connections(task: Any, **_kwargs: Any) -> None:
    """Let go of a connection that was cut: a thread that kept it would fail every task that it is given."""
    if task.name == DELIVERY:
        let_go_of_bad_connections()  # there are many of them, and `relay.deliver` survives one that was cut just now
    else:
        close_old_connections()


@worker_init.connect
def say_which_walls_stand(**_kwargs: Any) -> None:
    """Web processes say it in `config.wsgi`."""
    from core.database_roles import log_walls

    log_walls()
