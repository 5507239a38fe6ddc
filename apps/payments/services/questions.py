"""When a gateway is asked next about what it has not answered for: a charge, a refund, a payout."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.conf import settings
from django.utils import timezone

from apps.payments.models.payments import Attempt
from apps.payments.models.transfers import Transfer
from apps.payments.schedule import jittered, next_wait
from core.outbox.publisher import publish


def question_about(row: Attempt | Transfer) -> str:
    """Under what name the outbox keeps the next question about `row`."""
    return f"question:{row.pk}"


def plan_question(row: Attempt | Transfer, event: str, told: Mapping[str, Any]) -> None:
    """Publish `event` for the next question, or leave `next_poll_at` empty after a week: then a person has to look.

    `told` names the row in the event. The caller holds the row locked, and has counted the questions so far.
    """
    age = timezone.now() - (row.submitted_at or row.created_at)
    wait = next_wait(polls=row.polls, age=age, first_waits=settings.PAYMENT_POLL_SECONDS)
    row.next_poll_at = None
    if wait is not None:
        wait = jittered(wait)
        row.next_poll_at = timezone.now() + wait
        publish(event, {**told, "poll": row.polls}, aggregate=question_about(row), delay=wait)
    row.save(update_fields=["polls", "next_poll_at", "updated_at"])
