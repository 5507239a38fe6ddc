"""Comparing one charge in our books with what its gateway says of it. Pure: no clock, no database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from apps.payments.derivation import AttemptStatus
from apps.payments.models.reconciliation import ReconciliationBreak
from core.money import Money
from services.payments.base import ChargeResult, ChargeStatus

Kind = ReconciliationBreak.Kind


class Fate(StrEnum):
    """What became of the money, as far as books can differ: many words mean the same to an accountant."""

    PAID = "paid"
    UNPAID = "unpaid"
    OPEN = "open"
    UNCLEAR = "unclear"  # a word of the gateway's that we do not know


THEIR_FATE = {
    ChargeStatus.PENDING: Fate.OPEN,
    ChargeStatus.REQUIRES_ACTION: Fate.OPEN,
    ChargeStatus.PAID: Fate.PAID,
    ChargeStatus.DECLINED: Fate.UNPAID,
    ChargeStatus.CANCELLED: Fate.UNPAID,
    ChargeStatus.EXPIRED: Fate.UNPAID,
    ChargeStatus.UNKNOWN: Fate.UNCLEAR,
}
_UNPAID = {AttemptStatus.FAILED, AttemptStatus.CANCELLED, AttemptStatus.EXPIRED}


@dataclass(frozen=True, slots=True, kw_only=True)
class OurCharge:
    """One attempt as our books have it."""

    tenant_id: UUID
    payment_id: UUID
    attempt_id: UUID
    reference: str
    status: AttemptStatus
    asked: Money
    paid: frozenset[Money] = frozenset()  # every amount that was reported as paid
    refunded: int = 0  # in the smallest unit
    excess: int = 0  # what its payment took in beyond what was asked, and has not sent back
    is_applied: bool = True  # this attempt, not another one of its payment, is what was asked for
    submitted_at: datetime | None = None

    @property
    def fate(self) -> Fate:
        if self.status == AttemptStatus.SETTLED:
            return Fate.PAID
        return Fate.UNPAID if self.status in _UNPAID else Fate.OPEN

    def told(self) -> dict[str, Any]:
        """For operators: words and amounts."""
        amounts = sorted(money.display for money in (self.paid or {self.asked}))
        return {"status": self.status.value, "amount": ", ".join(amounts), "refunded": self.refunded}


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the books differ."""

    kind: Kind
    ours: dict[str, Any] = field(default_factory=dict)
    theirs: dict[str, Any] = field(default_factory=dict)


def differences(ours: OurCharge, theirs: ChargeResult) -> Iterator[Difference]:
    """How our charge and the gateway's word about it differ; nothing when the books agree."""
    told = {"ours": ours.told(), "theirs": told_by_them(theirs)}
    if _is_other_fate(ours, THEIR_FATE[theirs.status]):
        yield Difference(Kind.STATUS, **told)
    elif ours.fate is Fate.PAID and theirs.money is not None and theirs.money not in (ours.paid or {ours.asked}):
        yield Difference(Kind.AMOUNT, **told)
    if theirs.refunded is not None and theirs.refunded.amount != ours.refunded:
        yield Difference(Kind.REFUND, **told)
    if ours.fate is Fate.PAID and not ours.is_applied and ours.excess > 0:
        yield Difference(Kind.DUPLICATE_CAPTURE, **told)


def told_by_them(theirs: ChargeResult) -> dict[str, Any]:
    """For operators: the gateway's word in ours, its amounts and its own reference."""
    told: dict[str, Any] = {"status": theirs.status.value}
    if theirs.money is not None:
        told["amount"] = theirs.money.display
    if theirs.refunded is not None:
        told["refunded"] = theirs.refunded.amount
    if theirs.provider_reference:
        told["provider_reference"] = theirs.provider_reference[:100]
    return told


def _is_other_fate(ours: OurCharge, theirs: Fate) -> bool:
    if theirs is Fate.UNCLEAR:
        # Where we say that it is paid, nobody confirms it; elsewhere nobody contradicts us.
        return ours.fate is Fate.PAID
    # We may have given up on a charge that the gateway still waits for, or whose prompt it refused: that is no money.
    gave_up = ours.fate is Fate.UNPAID and theirs is Fate.OPEN
    return ours.fate is not theirs and not gave_up
