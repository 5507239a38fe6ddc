"""What happens when an event is heard: ids in, one use case, nothing out (see `apps.payments.tasks`)."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task
from django.utils import timezone

from apps.messaging.services.emails import ask_about_email
from apps.messaging.services.guard import purge_guard
from apps.messaging.services.notifications import purge_notifications, tell_settled
from apps.messaging.services.polling import poll_message, resolve_uncertain
from apps.messaging.services.receipts import send_receipt, send_refund_notice
from apps.messaging.services.reports import purge_early_reports
from apps.messaging.services.sending import send_message
from apps.messaging.services.usage import purge_usage


def send_receipt_task(*, payment_id: str, **_: object) -> None:
    send_receipt(payment_id=UUID(payment_id))


def tell_settled_task(*, payment_id: str, **_: object) -> None:
    tell_settled(payment_id=UUID(payment_id))


def send_refund_notice_task(*, refund_id: str, **_: object) -> None:
    send_refund_notice(refund_id=UUID(refund_id))


def send_message_task(*, message_id: str, **_: object) -> None:
    send_message(message_id=UUID(message_id))


def resolve_uncertain_task(*, message_id: str, **_: object) -> None:
    resolve_uncertain(message_id=UUID(message_id))


def poll_message_task(*, message_id: str, poll: int, **_: object) -> None:
    poll_message(message_id=UUID(message_id), poll=poll)


@shared_task
def purge_messaging_task() -> None:
    """Once an hour, by beat: counts and reports that nobody will look at any more."""
    purge_early_reports()
    purge_guard()
    purge_usage(today=timezone.now().date())


@shared_task
def purge_notifications_task() -> None:
    """Once a day, by beat."""
    purge_notifications()


def ask_about_email_task(*, message_id: str, **_: object) -> None:
    ask_about_email(message_id=UUID(message_id))
