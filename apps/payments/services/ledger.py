"""The ledger: every movement of money is one line, written once, never changed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from apps.payments.models.ledger import LedgerLine
from core.money import Money


def record_line(kind: str, money: Money, *, key: str, gateway: str, account_id: UUID | None, **subjects: Any) -> bool:
    """Write a line unless it stands there already; says whether it was written.

    `money` is signed. `key` names the movement, so that hearing of it again adds nothing. `subjects` are the payment,
    attempt, refund or payout it belongs to, locked by the caller.
    """
    _line, is_new = LedgerLine.objects.get_or_create(
        key=key,
        defaults={
            "kind": kind,
            "amount": money.amount,
            "currency": money.currency,
            "gateway": gateway,
            "account_id": account_id,
            **subjects,
        },
    )
    return bool(is_new)


def write_line(
    kind: str, money: Money, *, key: str, gateway: str, account_id: UUID | None, **subjects: Any
) -> LedgerLine:
    """Write a line of which the caller, who holds the lock, knows that it does not stand there yet."""
    line: LedgerLine = LedgerLine.objects.create(
        key=key,
        kind=kind,
        amount=money.amount,
        currency=money.currency,
        gateway=gateway,
        account_id=account_id,
        **subjects,
    )
    return line
