"""What goes out: which function hears which event. The only place that knows both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from apps.messaging.tasks import resolve_uncertain_task, send_message_task, send_receipt_task
from apps.payments.tasks import expire_payment_task, poll_attempt_task, process_callback_task, submit_attempt_task

SUBSCRIBERS: Mapping[str, Sequence[Callable[..., None]]] = {
    "payment.started": [submit_attempt_task],
    "payment.expiring": [expire_payment_task],
    "payment.settled": [send_receipt_task],
    "attempt.poll_due": [poll_attempt_task],
    "gateway.callback_received": [process_callback_task],
    "message.queued": [send_message_task],
    "message.uncertain": [resolve_uncertain_task],
}
