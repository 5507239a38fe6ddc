"""What happens when an event is heard: ids in, one use case, nothing out.

Plain functions, not Celery tasks: the outbox row holds retries and order, and one Celery task carries them all. What
the clock starts is a Celery task, because beat sends those.
`**_` lets an old worker survive a newer message.
"""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from apps.payments.services.attempts import poll_attempt, submit_attempt
from apps.payments.services.callbacks import process_callback, purge_inbox
from apps.payments.services.cancellations import withdraw_attempt
from apps.payments.services.payments import expire_payment
from apps.payments.services.payouts import poll_payout, submit_payout
from apps.payments.services.reconciliation import (
    explain_by_later_news,
    plan_rechecks,
    plan_reconciliation,
    recheck_attempt,
    run_reconciliation,
)
from apps.payments.services.refunds import poll_refund, submit_refund


def submit_attempt_task(*, attempt_id: str, **_: object) -> None:
    submit_attempt(attempt_id=UUID(attempt_id))


def poll_attempt_task(*, attempt_id: str, poll: int, **_: object) -> None:
    poll_attempt(attempt_id=UUID(attempt_id), poll=poll)


def withdraw_attempt_task(*, attempt_id: str, **_: object) -> None:
    withdraw_attempt(attempt_id=UUID(attempt_id))


def expire_payment_task(*, payment_id: str, attempt: int | None = None, **_: object) -> None:
    expire_payment(payment_id=UUID(payment_id), attempt=attempt)


def run_reconciliation_task(*, run_id: str, **_: object) -> None:
    run_reconciliation(run_id=UUID(run_id))


def recheck_attempt_task(*, attempt_id: str, **_: object) -> None:
    recheck_attempt(attempt_id=UUID(attempt_id))


def process_callback_task(*, delivery_id: str, **_: object) -> None:
    process_callback(delivery_id=UUID(delivery_id))


def submit_refund_task(*, refund_id: str, **_: object) -> None:
    submit_refund(refund_id=UUID(refund_id))


def poll_refund_task(*, refund_id: str, poll: int, **_: object) -> None:
    poll_refund(refund_id=UUID(refund_id), poll=poll)


def submit_payout_task(*, payout_id: str, **_: object) -> None:
    submit_payout(payout_id=UUID(payout_id))


def poll_payout_task(*, payout_id: str, poll: int, **_: object) -> None:
    poll_payout(payout_id=UUID(payout_id), poll=poll)


@shared_task
def reconcile_task() -> None:
    """Once an hour, by beat: have the gateways' lists and single charges compared with our books."""
    plan_reconciliation()
    plan_rechecks()
    explain_by_later_news()


@shared_task
def purge_inbox_task() -> None:
    """Once a day, by beat."""
    purge_inbox()
