"""What operators read about messages: statuses and outcomes in words, and the colour of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

STATUSES: Final[dict[str, _StrPromise]] = {
    "queued": _("waits"),
    "submitting": _("being sent"),
    "uncertain": _("nobody knows whether it went out"),
    "sent": _("sent"),
    "delivered": _("delivered"),
    "failed": _("failed"),
    "undeliverable": _("could not be delivered"),
    "expired": _("too late, or never heard of again"),
    "suppressed": _("not wanted"),
}
COLOURS: Final[dict[str, str]] = {
    "delivered": "success",
    "failed": "danger",
    "undeliverable": "danger",
    "expired": "warning",
    "uncertain": "warning",
    "sent": "info",
    "submitting": "info",
}
OUTCOMES: Final[dict[str, _StrPromise]] = {
    "open": _("under way"),
    "accepted": _("accepted"),
    "refused": _("refused"),
    "unavailable": _("away: nothing was sent"),
    "unknown": _("no answer: it may be out"),
}
OUTCOME_COLOURS: Final[dict[str, str]] = {
    "open": "info",
    "accepted": "success",
    "refused": "danger",
    "unavailable": "warning",
    "unknown": "warning",
}
REASONS: Final[dict[str, _StrPromise]] = {
    "number": _("nobody reaches this number"),
    "text": _("nobody takes this text"),
    "opted_out": _("the person wants no texts"),
    "sender": _("not under this sender name"),
    "route": _("this provider does not reach the number"),
    "account": _("something is wrong with the account"),
    "later": _("not now"),
}


def status_word(status: str) -> str:
    return str(STATUSES.get(status) or status)


def outcome_word(outcome: str) -> str:
    return str(OUTCOMES.get(outcome) or outcome)


def reason_word(reason: str) -> str:
    return str(REASONS.get(reason) or reason)
