"""What happens when an event is heard: ids in, one use case, nothing out (see `apps.payments.tasks`)."""

from __future__ import annotations

from uuid import UUID

from apps.messaging.services.emails import ask_about_email
from apps.messaging.services.receipts import send_receipt, send_refund_notice
from apps.messaging.services.sending import resolve_uncertain, send_message


def send_receipt_task(*, payment_id: str, **_: object) -> None:
    send_receipt(payment_id=UUID(payment_id))


def send_refund_notice_task(*, refund_id: str, **_: object) -> None:
    send_refund_notice(refund_id=UUID(refund_id))


def send_message_task(*, message_id: str, **_: object) -> None:
    send_message(message_id=UUID(message_id))


def resolve_uncertain_task(*, message_id: str, **_: object) -> None:
    resolve_uncertain(message_id=UUID(message_id))


def ask_about_email_task(*, message_id: str, **_: object) -> None:
    ask_about_email(message_id=UUID(message_id))
