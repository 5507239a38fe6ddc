"""What happens when an event is heard: ids in, one use case, nothing out (see `apps.payments.tasks`)."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from apps.messaging.services.notifications import purge_notifications, tell_settled
from apps.messaging.services.receipts import send_receipt, send_refund_notice
from apps.messaging.services.sending import resolve_uncertain, send_message


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


@shared_task
def purge_notifications_task() -> None:
    """Once a day, by beat."""
    purge_notifications()
