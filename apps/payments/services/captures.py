"""Bring a payment's ledger lines, and the columns that are their sums, in line with what was reported.

What came in by an attempt, and what was sent back behind our back, are functions of all reports together. The lines
say how the books came there; each further line is the difference, so the order of the reports changes no total.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Sequence

from apps.payments.derivation import AttemptStatus, AttemptView
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Payment
from apps.payments.models.transfers import Refund
from apps.payments.services.ledger import write_line
from apps.payments.transfers import RELEASED
from core.money import Money

logger = logging.getLogger("faraja.payments")

Kind = LedgerLine.Kind
CAME_IN = frozenset({Kind.CAPTURE, Kind.ADJUSTMENT})
WENT_BACK = frozenset({Kind.REFUND, Kind.FOREIGN_REFUND, Kind.RETURN})


def balance_books(payment: Payment, views: Sequence[tuple[Attempt, AttemptView]]) -> frozenset[str]:
    """Write the lines that are missing and set `captured` and `refunded`; the caller holds the lock and saves.

    Returns what a person should look at. To be called after any news about the payment's attempts or refunds.
    """
    if not any(_has_moved(attempt, view) for attempt, view in views):
        return frozenset()  # there are no lines either
    lines = list(LedgerLine.objects.filter(payment=payment))
    for attempt, view in views:
        lines += _write_capture(payment, attempt, view, [line for line in lines if line.attempt_id == attempt.pk])
    is_foreign = False
    for attempt, _view in views:
        foreign = _foreign_refund(attempt, payment.currency)
        lines += _write_foreign_refund(payment, attempt, foreign, lines)
        is_foreign = is_foreign or foreign > 0
    payment.captured = _sum(lines, CAME_IN, payment.currency)
    payment.refunded = -_sum(lines, WENT_BACK, payment.currency)
    return frozenset({"refunded_elsewhere"} if is_foreign else ())


def _has_moved(attempt: Attempt, view: AttemptView) -> bool:
    """Whether anybody ever reported that money moved by this attempt: such a word stands for ever."""
    return view.status is AttemptStatus.SETTLED or any(each.refunded for each in attempt.observations.all())


def _write_capture(
    payment: Payment, attempt: Attempt, view: AttemptView, lines: Sequence[LedgerLine]
) -> list[LedgerLine]:
    """The difference between what this attempt brought, by all reports, and what its lines say."""
    mine = [line for line in lines if line.kind in CAME_IN]
    missing: Counter[str] = Counter()
    worth = view.worth(payment.money)
    if worth is not None:
        missing[worth.currency] += worth.amount
    for line in mine:
        missing[line.currency] -= line.amount
    written: list[LedgerLine] = []
    for currency, amount in sorted(missing.items()):
        if not amount:
            continue
        if currency == payment.currency and payment.captured + amount < payment.refund_reserved:
            # A later, smaller report, when more than that has been promised back: a person decides.
            logger.error("a report would undo a refund", extra={"payment_id": str(payment.pk)})
            continue
        number = len(mine) + len(written)
        kind = Kind.ADJUSTMENT if number else Kind.CAPTURE
        key = f"capture:{attempt.pk}:{number}" if number else f"capture:{attempt.pk}"
        written.append(_write(kind, Money(amount, currency), payment, attempt, key))
    return written


def _foreign_refund(attempt: Attempt, currency: str) -> int:
    """What the gateway says went back, beyond refunds of ours that have not failed, in the payment's currency.

    A refund of ours that is still under way may be what the gateway already counts; it is not held against anybody.
    """
    told = [each.refunded for each in attempt.observations.all() if each.refunded and each.currency in ("", currency)]
    if not told:
        return 0
    ours: list[int] = list(
        Refund.objects.filter(attempt=attempt).exclude(status__in=RELEASED).values_list("amount", flat=True)
    )
    return max(0, max(told) - sum(ours))


def _write_foreign_refund(
    payment: Payment, attempt: Attempt, foreign: int, lines: Sequence[LedgerLine]
) -> list[LedgerLine]:
    mine = [line for line in lines if line.attempt_id == attempt.pk and line.kind == Kind.FOREIGN_REFUND]
    difference = -foreign - sum(line.amount for line in mine)
    if not difference:
        return []
    key = f"foreign_refund:{attempt.pk}:{len(mine)}"
    return [_write(Kind.FOREIGN_REFUND, Money(difference, payment.currency), payment, attempt, key)]


def _write(kind: str, money: Money, payment: Payment, attempt: Attempt, key: str) -> LedgerLine:
    return write_line(
        kind,
        money,
        key=key,
        gateway=attempt.gateway,
        account_id=attempt.account_id,
        payment_id=payment.pk,
        attempt_id=attempt.pk,
    )


def _sum(lines: Iterable[LedgerLine], kinds: frozenset[LedgerLine.Kind], currency: str) -> int:
    return sum(line.amount for line in lines if line.kind in kinds and line.currency == currency)
