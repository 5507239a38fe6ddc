"""Every total derived again from what was observed, and compared with what is stored.

Columns are sums of lines, lines follow from observations, statuses too, and histories are chained. A difference is a
defect or somebody's hand in the database; nothing here repairs it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID

from apps.payments.derivation import derive_payment
from apps.payments.history import is_intact
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Observation, Payment, PaymentEvent
from apps.payments.models.transfers import Payout, Refund
from apps.payments.services.progress import view_of
from apps.payments.transfers import RELEASED, SENT, Heard, TransferStatus, derive_transfer
from apps.tenants.selectors.tenants import list_all_tenant_ids
from core.money import Money
from core.tenancy import tenant_scope, tenant_transaction

Kind = LedgerLine.Kind
CHUNK = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Something that is not as it follows from the observations."""

    tenant_id: UUID
    subject: str  # "payment <id>" or "payout <id>"
    told: str

    def __str__(self) -> str:
        return f"{self.subject} of tenant {self.tenant_id}: {self.told}"


@dataclass(slots=True)
class Books:
    """What a check went through, and what it found."""

    payments: int = 0
    payouts: int = 0
    lines: int = 0
    totals: Counter[tuple[str, str]] = field(default_factory=Counter)  # (currency, kind of line) to the sum
    differences: list[Difference] = field(default_factory=list)


def derive_totals_again() -> Books:
    """Check the books of every tenant, one after the other, each from inside its room."""
    books = Books()
    for tenant_id in list_all_tenant_ids():
        with tenant_scope(tenant_id):
            _check_tenant(tenant_id, books)
    return books


def _check_tenant(tenant_id: UUID, books: Books) -> None:
    with tenant_transaction():
        for line in LedgerLine.objects.order_by("pk").values_list("currency", "kind", "amount").iterator():
            books.lines += 1
            books.totals[line[0], line[1]] += line[2]
    for payment_id in _in_chunks(Payment):
        books.payments += 1
        # Without a lock first. What is being written at this moment looks wrong for as long: then once more, locked.
        if _faults_of_payment(payment_id, is_locked=False):
            found = _faults_of_payment(payment_id, is_locked=True)
            books.differences += [_difference(tenant_id, "payment", payment_id, each) for each in found]
    for payout_id in _in_chunks(Payout):
        books.payouts += 1
        if _faults_of_payout(payout_id, is_locked=False):
            found = _faults_of_payout(payout_id, is_locked=True)
            books.differences += [_difference(tenant_id, "payout", payout_id, each) for each in found]


def _difference(tenant_id: UUID, kind: str, subject_id: UUID, told: str) -> Difference:
    return Difference(tenant_id=tenant_id, subject=f"{kind} {subject_id}", told=told)


def _in_chunks(model: type[Payment] | type[Payout]) -> Iterator[UUID]:
    """The ids of the tenant's rows, a few at a time: no transaction stays open for all of them."""
    last: UUID | None = None
    while True:
        with tenant_transaction():
            rows = model.objects.order_by("pk").values_list("pk", flat=True)
            ids: list[UUID] = list((rows if last is None else rows.filter(pk__gt=last))[:CHUNK])
        yield from ids
        if len(ids) < CHUNK:
            return
        last = ids[-1]


def _faults_of_payment(payment_id: UUID, *, is_locked: bool) -> list[str]:
    with tenant_transaction():
        rows = Payment.objects.select_for_update() if is_locked else Payment.objects
        payment: Payment = rows.get(pk=payment_id)
        lines = list(LedgerLine.objects.filter(payment=payment))
        refunds = list(Refund.objects.filter(payment=payment).order_by("pk"))
        heard = _heard(Observation.objects.filter(refund__in=refunds), "refund_id")
        faults = list(_faults_of_attempts(payment, lines))
        for refund in refunds:
            own_lines = [line for line in lines if line.refund_id == refund.pk]
            told = _faults_of_transfer(refund, heard[refund.pk], own_lines, Kind.REFUND)
            faults += [f"refund {refund.pk}: {each}" for each in told]
        faults += _faults_of_columns(payment, lines, refunds)
        return [*faults, *_faults_of_history(PaymentEvent.objects.filter(payment=payment), payment.version)]


def _faults_of_payout(payout_id: UUID, *, is_locked: bool) -> list[str]:
    with tenant_transaction():
        rows = Payout.objects.select_for_update() if is_locked else Payout.objects
        payout: Payout = rows.get(pk=payout_id)
        heard = _heard(Observation.objects.filter(payout=payout), "payout_id")[payout.pk]
        lines = list(LedgerLine.objects.filter(payout=payout))
        history = _faults_of_history(PaymentEvent.objects.filter(payout=payout), payout.version)
        return [*_faults_of_transfer(payout, heard, lines, Kind.PAYOUT), *history]


def _heard(observations: Iterable[Observation], column: str) -> dict[UUID, list[Heard]]:
    found: dict[UUID, list[Heard]] = defaultdict(list)
    for each in observations:
        found[getattr(each, column)].append(Heard(TransferStatus(each.status), each.money))
    return found


def _faults_of_attempts(payment: Payment, lines: list[LedgerLine]) -> Iterator[str]:
    """Whether statuses follow from observations, and each capture's lines from the amounts that were reported."""
    views = []
    for attempt in Attempt.objects.filter(payment=payment).prefetch_related("observations").order_by("pk"):
        view = view_of(attempt)
        views.append(view)
        if attempt.status != view.status:
            yield f"attempt {attempt.number} says {attempt.status}, its observations say {view.status}"
        captures = [line for line in lines if line.attempt_id == attempt.pk and line.kind in _CAPTURES]
        sums = Counter[str]()
        for line in captures:
            sums[line.currency] += line.amount
        stored = {Money(amount, currency).display for currency, amount in sums.items() if amount}
        worth = view.worth(payment.money)
        if stored != ({worth.display} if worth else set()):
            yield f"attempt {attempt.number} has lines of {sorted(stored)}, its observations say {worth}"
    is_cancel_asked = payment.cancel_asked_at is not None
    outcome = derive_payment(payment.money, views, is_cancel_asked=is_cancel_asked, decision=payment.review_decision)
    if payment.status != outcome.status:
        yield f"its status is {payment.status}, its attempts say {outcome.status}"


_CAPTURES = frozenset({Kind.CAPTURE, Kind.ADJUSTMENT})
_BACK = frozenset({Kind.REFUND, Kind.FOREIGN_REFUND, Kind.RETURN})


def _faults_of_columns(payment: Payment, lines: list[LedgerLine], refunds: list[Refund]) -> Iterator[str]:
    counted = [line for line in lines if line.currency == payment.currency]
    captured = sum(line.amount for line in counted if line.kind in _CAPTURES)
    refunded = -sum(line.amount for line in counted if line.kind in _BACK)
    reserved = sum(refund.amount for refund in refunds if refund.status not in RELEASED)
    for name, stored, derived in (
        ("captured", payment.captured, captured),
        ("refunded", payment.refunded, refunded),
        ("refund_reserved", payment.refund_reserved, min(reserved, payment.captured)),
    ):
        if stored != derived:
            yield f"{name} is {stored}, the lines say {derived}"
    if reserved > payment.captured or refunded > payment.captured:
        yield f"{max(reserved, refunded)} went back or is on its way back, and {payment.captured} came in"


def _faults_of_transfer(
    transfer: Refund | Payout, heard: list[Heard], lines: list[LedgerLine], kind: str
) -> Iterator[str]:
    outcome = derive_transfer(TransferStatus(transfer.own_mark), heard, asked=transfer.money)
    if transfer.status != outcome.status:
        yield f"its status is {transfer.status}, its observations say {outcome.status}"
    expected = {kind: -transfer.amount} if outcome.status in SENT else {}
    if outcome.status is TransferStatus.RETURNED:
        expected[Kind.RETURN] = transfer.amount
    stored = {line.kind: line.amount for line in lines}
    if stored != expected:
        yield f"its lines are {stored}, its observations say {expected}"


def _faults_of_history(events: Iterable[PaymentEvent], version: int) -> Iterator[str]:
    story = sorted(events, key=lambda each: each.seq)
    if not is_intact(story):
        yield "its history was changed"
    if len(story) != version:
        yield f"its history has {len(story)} lines, and {version} were written"
