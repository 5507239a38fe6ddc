"""What goes out: which function hears which event. The only place that knows both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from apps.accounts.tasks import (
    erase_account_task,
    issue_reset_link_task,
    send_code_task,
    send_link_task,
    tell_deletion_task,
    tell_email_changed_task,
    tell_factors_changed_task,
    tell_password_changed_task,
    tell_phone_lost_task,
    tell_phone_proven_task,
    tell_refresh_reused_task,
    tell_social_linked_task,
    tell_social_unlinked_task,
)
from apps.messaging.tasks import (
    ask_about_email_task,
    poll_message_task,
    resolve_uncertain_task,
    send_message_task,
    send_receipt_task,
    send_refund_notice_task,
    tell_settled_task,
)
from apps.payments.tasks import (
    expire_payment_task,
    poll_attempt_task,
    poll_payout_task,
    poll_refund_task,
    process_callback_task,
    recheck_attempt_task,
    run_reconciliation_task,
    submit_attempt_task,
    submit_payout_task,
    submit_refund_task,
    withdraw_attempt_task,
)

SUBSCRIBERS: Mapping[str, Sequence[Callable[..., None]]] = {
    "account.reset_requested": [issue_reset_link_task],
    "account.link_requested": [send_link_task],
    "account.factors_changed": [tell_factors_changed_task],
    "account.email_changed": [tell_email_changed_task],
    "account.password_changed": [tell_password_changed_task],
    "account.refresh_reused": [tell_refresh_reused_task],
    "account.deletion_requested": [tell_deletion_task],
    "account.deletion_due": [erase_account_task],
    "account.code_requested": [send_code_task],
    "account.phone_proven": [tell_phone_proven_task],
    "account.phone_lost": [tell_phone_lost_task],
    "account.social_linked": [tell_social_linked_task],
    "account.social_unlinked": [tell_social_unlinked_task],
    "payment.started": [submit_attempt_task],
    "payment.expiring": [expire_payment_task],
    "payment.settled": [send_receipt_task, tell_settled_task],
    # Nobody in the kit yet: what a person should look at is in the log, and marked on the payment.
    "payment.anomaly": [],
    "attempt.poll_due": [poll_attempt_task],
    "attempt.cancel_due": [withdraw_attempt_task],
    "refund.requested": [submit_refund_task],
    "refund.poll_due": [poll_refund_task],
    "refund.succeeded": [send_refund_notice_task],
    # Nobody listens yet: these are for whoever is told from outside.
    "refund.failed": [],
    "refund.returned": [],
    "payout.requested": [submit_payout_task],
    "payout.poll_due": [poll_payout_task],
    "payout.succeeded": [],
    "payout.failed": [],
    "payout.returned": [],
    "attempt.recheck_due": [recheck_attempt_task],
    "reconciliation.due": [run_reconciliation_task],
    "gateway.callback_received": [process_callback_task],
    "message.queued": [send_message_task],
    "email.poll_due": [ask_about_email_task],
    "message.uncertain": [resolve_uncertain_task],
    "message.poll_due": [poll_message_task],
}
