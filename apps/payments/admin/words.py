"""What operators read: statuses, anomalies and events in words, and the colour of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

# Of payments, attempts, refunds and payouts: the same word means the same.
STATUSES: Final[dict[str, _StrPromise]] = {
    "created": _("created"),
    "processing": _("processing"),
    "requires_action": _("waits for the customer"),
    "settled": _("settled"),
    "failed": _("failed"),
    "cancelled": _("cancelled"),
    "expired": _("expired"),
    "review": _("in review"),
    "queued": _("queued"),
    "submitting": _("being sent"),
    "unknown": _("outcome unknown"),
    "pending": _("pending"),
    "claimed": _("claimed, not confirmed"),
    "manual": _("to be sent by hand"),
    "succeeded": _("succeeded"),
    "returned": _("came back"),
}
COLOURS: Final[dict[str, str]] = {
    "settled": "success",
    "succeeded": "success",
    "failed": "danger",
    "review": "danger",
    "claimed": "danger",
    "returned": "warning",
    "expired": "warning",
    "unknown": "warning",
    "manual": "warning",
    "processing": "info",
    "requires_action": "info",
    "pending": "info",
    "submitting": "info",
}

# What a person should look at, and what they can do about it.
ANOMALIES: Final[dict[str, _StrPromise]] = {
    "duplicate_capture": _("Money came in by more than one attempt. Send the excess back with a refund."),
    "amount_mismatch": _("Another amount was reported than was asked for. Compare with the gateway's books."),
    "conflicting_amounts": _("The gateway has reported different amounts for the same attempt. Ask it which is right."),
    "unconfirmed_payment": _("It is said to be paid, and the gateway cannot confirm it. Compare with its books."),
    "refunded_elsewhere": _("The gateway has sent money back that we did not ask it to send back."),
    "success_and_failure": _("The gateway has called it both successful and failed. It counts as sent."),
    "unanswered": _("The gateway was asked for a week and never said what became of it. Find out, and decide."),
    "late_settlement": _("The money came after we had given up. Make sure that the customer gets what they paid for."),
}
ANOMALY_NAMES: Final[dict[str, _StrPromise]] = {
    "duplicate_capture": _("paid twice"),
    "amount_mismatch": _("another amount"),
    "conflicting_amounts": _("conflicting amounts"),
    "unconfirmed_payment": _("nobody can confirm it"),
    "refunded_elsewhere": _("refunded elsewhere"),
    "success_and_failure": _("success and failure"),
    "unanswered": _("never answered"),
    "late_settlement": _("paid late"),
}

# Lines of the history, by their kind.
EVENTS: Final[dict[str, _StrPromise]] = {
    "started": _("Payment started"),
    "retried": _("Tried again"),
    "requested": _("Payout asked for"),
    "observed": _("News was weighed"),
    "cancel_asked": _("Cancellation asked for"),
    "reviewed": _("A person decided"),
    "refund_requested": _("Refund asked for"),
    "refund_observed": _("News of a refund was weighed"),
}
# Where news came from.
SOURCES: Final[dict[str, _StrPromise]] = {
    "reply": _("The gateway replied"),
    "webhook": _("The gateway called back"),
    "poll": _("The gateway answered our question"),
    "manual": _("A person said"),
    "system": _("Our own clock"),
}
LINES: Final[dict[str, _StrPromise]] = {
    "capture": _("Money came in"),
    "adjustment": _("What came in was corrected"),
    "refund": _("Money went back"),
    "foreign_refund": _("The gateway sent money back"),
    "payout": _("Money went out"),
    "return": _("Money that had gone out came back"),
}
BREAK_NAMES: Final[dict[str, _StrPromise]] = {
    "missing_here": _("missing here"),
    "missing_there": _("missing at the gateway"),
    "amount": _("amount"),
    "status": _("status"),
    "duplicate_capture": _("paid twice"),
    "orphan_event": _("news of nobody's"),
    "refund": _("refund"),
}
BREAKS: Final[dict[str, _StrPromise]] = {
    "missing_here": _("The gateway lists a charge that we do not know."),
    "missing_there": _("We say that it is paid, and the gateway does not list it."),
    "amount": _("The amounts differ."),
    "status": _("The statuses differ."),
    "duplicate_capture": _("Money came in twice."),
    "orphan_event": _("A callback named a reference that we do not know."),
    "refund": _("What went back differs."),
}


def plain(word: str) -> str:
    """A word of ours without a translation, as far as people can read it."""
    return word.replace("_", " ")


def status_word(status: str) -> str:
    return str(STATUSES.get(status) or plain(status))


def anomaly_word(anomaly: str) -> str:
    return str(ANOMALIES.get(anomaly) or plain(anomaly))


def anomaly_name(anomaly: str) -> str:
    return str(ANOMALY_NAMES.get(anomaly) or plain(anomaly))
