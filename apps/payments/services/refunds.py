"""Use cases for refunds: ask for one, send it, hear of it, or have a person send it.

What may go back is reserved under the payment's lock, so that all refunds together never exceed what came in. A gateway
that cannot refund leaves it to a person, who says how it was done.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Sum
from django.utils.translation import gettext_lazy as _

from apps.payments.models.accounts import GatewayAccount, GatewayReference
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Payment
from apps.payments.models.transfers import Refund
from apps.payments.references import new_reference
from apps.payments.selectors.refunds import get_refund
from apps.payments.services.accounts import Account, open_account
from apps.payments.services.attempts import id_of
from apps.payments.services.ledger import record_line
from apps.payments.services.progress import advance_payment
from apps.payments.services.references import remember_reference
from apps.payments.services.transfers import (
    Desk,
    NotWaitingForAPerson,
    ask_transfer,
    decide_transfer,
    poll_transfer,
    record_transfer,
    submit_transfer,
)
from apps.payments.transfers import RELEASED, SENT, TransferStatus
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import Conflict, NotFound, RuleViolated
from core.money import AmountNotRepresentable, Money
from core.tenancy import current_tenant_id, tenant_atomic
from services.payments.base import (
    AmountOutOfRange,
    Capability,
    PaymentGateway,
    RefundNotSupported,
    RefundRequest,
    TransferId,
    TransferResult,
)
from services.payments.registry import GatewayNotEnabled

Kind = LedgerLine.Kind


class NothingCaptured(Conflict):
    """No money of this payment has come in (yet)."""

    code = "nothing_captured"
    message = _("Nothing of this payment has come in, so nothing can go back.")


class RefundExceedsCaptured(RuleViolated):
    """All refunds of a payment together never exceed what came in."""

    code = "refund_exceeds_captured"
    message = _("The refunds of this payment would be more than what came in.")


class RefundSpansAttempts(RuleViolated):
    """The money came in by several attempts, each of which has to be refunded by itself."""

    code = "refund_spans_attempts"
    message = _("No single attempt brought in that much. Refund each attempt by itself.")


class RefundCurrencyDiffers(RuleViolated):
    """A refund has the currency of its payment."""

    code = "refund_currency_differs"
    message = _("A refund has the currency of its payment.")


# How the use cases below can refuse, for the schema.
REQUEST_REFUSALS = (
    NothingCaptured,
    RefundExceedsCaptured,
    RefundSpansAttempts,
    RefundCurrencyDiffers,
    RefundNotSupported,
    AmountOutOfRange,
    AmountNotRepresentable,
    GatewayNotEnabled,
)
DECIDE_REFUSALS = (NotWaitingForAPerson,)


class _RefundDesk(Desk[Refund]):
    name = "refund"

    def get(self, transfer_id: UUID) -> Refund:
        return get_refund(refund_id=transfer_id)

    def lock(self, transfer_id: UUID) -> Refund:
        payment_id = Refund.objects.values_list("payment_id", flat=True).get(pk=transfer_id)
        payment = Payment.objects.select_for_update().get(pk=payment_id)
        refund: Refund = Refund.objects.select_for_update().get(pk=transfer_id)
        refund.payment = payment
        refund.attempt = Attempt.objects.get(pk=refund.attempt_id)
        return refund

    def send(self, gateway: PaymentGateway, transfer: Refund) -> TransferResult:
        return gateway.refund(_request_of(transfer))

    def ask(self, gateway: PaymentGateway, transfer: Refund) -> TransferResult:
        charge = id_of(transfer.attempt)
        return gateway.query_refund(
            TransferId(reference=transfer.reference, provider_reference=transfer.provider_reference, charge=charge)
        )

    def can_ask(self, gateway: PaymentGateway) -> bool:
        return Capability.REFUND in gateway.capabilities

    def may_send_again(self, gateway: PaymentGateway) -> bool:
        return False

    def moved(self, transfer: Refund, *, before: TransferStatus, cause: str, actor: str) -> None:
        if transfer.status in SENT:
            _write_line(Kind.REFUND, -transfer.money.amount, transfer)
        if transfer.status == TransferStatus.RETURNED:
            _write_line(Kind.RETURN, transfer.money.amount, transfer)
        _reserve(transfer.payment)
        _tell(transfer, kind="refund_observed", cause=cause, actor=actor)


_desk = _RefundDesk()


@tenant_atomic
def request_refund(
    *, actor_id: UUID, payment_id: UUID, money: Money | None = None, reason: str = "", attempt: int | None = None
) -> Refund:
    """Reserve `money` (all that is left, without) of a payment and have it sent back.

    It is taken from the attempt with that number; without one from the attempt that counts for the payment, or else
    from the first that brought in enough, such as a second capture. The refund is `manual` when the gateway cannot
    send it and people may. Refuses as `REQUEST_REFUSALS` say, and then stores nothing.
    """
    payment: Payment | None = Payment.objects.select_for_update().filter(pk=payment_id).first()
    if payment is None:
        raise NotFound
    if money is not None and money.currency != payment.currency:
        raise RefundCurrencyDiffers(errors={"amount": [RefundCurrencyDiffers.message]})
    if payment.captured <= 0:
        raise NothingCaptured
    chosen, money = _choose(payment, money, attempt)
    account = open_account(chosen.gateway, chosen.account_id)
    reference = new_reference()
    refund = Refund(
        payment=payment,
        attempt=chosen,
        gateway=chosen.gateway,
        account_id=chosen.account_id,
        reference=reference,
        amount=money.amount,
        currency=money.currency,
        reason=reason,
        requested_by_id=actor_id,
    )
    if not _gateway_sends(account, refund):
        refund.own_mark = refund.status = TransferStatus.MANUAL
    refund.save()
    remember_reference(account, reference, kind=GatewayReference.Kind.REFUND, subject_id=refund.pk)
    _reserve(payment)
    _tell(refund, kind="refund_requested", cause=f"attempt {chosen.number}", actor=str(actor_id))
    told = {"payment": str(payment.pk), "amount": money.display, "reason": reason, "is_manual": _is_manual(refund)}
    record(Action.REFUND_REQUESTED, actor=actor_id, target=refund, tenant_id=current_tenant_id(), data=told)
    _desk.announce(refund, "requested")
    return refund


def submit_refund(*, refund_id: UUID) -> None:
    """Have the gateway send a refund; see `submit_transfer`. Nothing for one that a person sends."""
    submit_transfer(_desk, refund_id)


def record_refund(*, refund_id: UUID, source: str, result: TransferResult, actor: str = "") -> None:
    """Take one piece of news about a refund. The same news again changes nothing."""
    record_transfer(_desk, refund_id, source=source, result=result, actor=actor)


def ask_refund(*, refund_id: UUID) -> None:
    """Ask the gateway about a refund, now, and record its answer. Raises what the call raises."""
    ask_transfer(_desk, refund_id)


def poll_refund(*, refund_id: UUID, poll: int) -> None:
    """The question number `poll` about a refund that has not ended."""
    poll_transfer(_desk, refund_id, poll)


@tenant_atomic
def complete_refund(*, actor_id: UUID, refund_id: UUID, evidence: str, is_platform: bool = False) -> Refund:
    """A person has sent the money: `evidence` says how. `NotFound` or `NotWaitingForAPerson`."""
    return _decide(
        Action.REFUND_COMPLETED, actor_id, refund_id, is_sent=True, evidence=evidence, is_platform=is_platform
    )


@tenant_atomic
def reject_refund(*, actor_id: UUID, refund_id: UUID, evidence: str = "", is_platform: bool = False) -> Refund:
    """The money will not be sent, and may be refunded anew. `NotFound` or `NotWaitingForAPerson`."""
    return _decide(
        Action.REFUND_REJECTED, actor_id, refund_id, is_sent=False, evidence=evidence, is_platform=is_platform
    )


def _decide(
    action: Action, actor_id: UUID, refund_id: UUID, *, is_sent: bool, evidence: str, is_platform: bool
) -> Refund:
    if not Refund.objects.filter(pk=refund_id).exists():
        raise NotFound
    refund = decide_transfer(
        _desk, refund_id, is_sent=is_sent, actor_id=actor_id, told=evidence, is_platform=is_platform
    )
    Refund.objects.filter(pk=refund_id).update(evidence=evidence)
    refund.evidence = evidence
    told = {"payment": str(refund.payment_id), "amount": refund.money.display, "evidence": evidence}
    record(action, actor=actor_id, target=refund, tenant_id=refund.tenant_id, data=told)
    return refund


def _choose(payment: Payment, money: Money | None, number: int | None) -> tuple[Attempt, Money]:
    """Which attempt is refunded, and how much of it."""
    left = _left_by_attempt(payment)
    attempts = list(Attempt.objects.filter(payment=payment).order_by("number"))
    # The one that counts first, then excess captures in their order.
    attempts.sort(key=lambda each: (each.pk != payment.applied_attempt_id, each.number))
    chosen = [each for each in attempts if left.get(each.pk, 0) > 0 and number in {None, each.number}]
    if not chosen:
        raise RefundExceedsCaptured
    if money is None:
        return chosen[0], Money(left[chosen[0].pk], payment.currency)
    enough = next((each for each in chosen if left[each.pk] >= money.amount), None)
    if enough is not None:
        return enough, money
    if sum(left[each.pk] for each in chosen) >= money.amount:
        raise RefundSpansAttempts(errors={"attempt": [RefundSpansAttempts.message]})
    raise RefundExceedsCaptured(errors={"amount": [RefundExceedsCaptured.message]})


def _left_by_attempt(payment: Payment) -> dict[UUID, int]:
    """What each attempt brought in and has not been promised back, in the smallest unit."""
    kinds = [Kind.CAPTURE, Kind.ADJUSTMENT, Kind.FOREIGN_REFUND]
    lines = LedgerLine.objects.filter(payment=payment, currency=payment.currency, kind__in=kinds)
    left: dict[UUID, int] = dict(lines.values_list("attempt_id").annotate(total=Sum("amount")))
    live = Refund.objects.filter(payment=payment).exclude(status__in=RELEASED)
    for attempt_id, total in live.values_list("attempt_id").annotate(total=Sum("amount")):
        left[attempt_id] = left.get(attempt_id, 0) - total
    # Whatever the parts say, the whole holds.
    room = max(sum(left.values()), 0)
    return {attempt_id: min(amount, room) for attempt_id, amount in left.items()}


def _gateway_sends(account: Account, refund: Refund) -> bool:
    """Whether the gateway can send it. False: a person has to. Raises the gateway's refusals."""
    try:
        account.gateway.check_refund(_request_of(refund))
    except RefundNotSupported:
        if not _allows_manual(account):
            raise
        return False
    return True


def _allows_manual(account: Account) -> bool:
    if account.id is None:
        return bool(settings.MANUAL_REFUNDS)
    return bool(GatewayAccount.objects.get(pk=account.id).allows_manual_refunds)


def _request_of(refund: Refund) -> RefundRequest:
    return RefundRequest(
        reference=refund.reference, charge=id_of(refund.attempt), money=refund.money, reason=refund.reason
    )


def _is_manual(refund: Refund) -> bool:
    return refund.own_mark == TransferStatus.MANUAL


def _write_line(kind: str, amount: int, refund: Refund) -> None:
    record_line(
        kind,
        Money(amount, refund.currency),
        key=f"{kind}:{refund.pk}",
        gateway=refund.gateway,
        account_id=refund.account_id,
        payment=refund.payment,
        attempt=refund.attempt,
        refund=refund,
    )


def _reserve(payment: Payment) -> None:
    """Set `refund_reserved` of a payment that the caller holds locked, and then advances."""
    live = Refund.objects.filter(payment=payment).exclude(status__in=RELEASED)
    # A refund that was called failed, then was found to have gone out after its replacement: the database's rule may
    # not stand in the way of writing down what happened.
    payment.refund_reserved = min(live.aggregate(total=Sum("amount"))["total"] or 0, payment.captured)


def _tell(refund: Refund, *, kind: str, cause: str, actor: str) -> None:
    """Let the payment's sums follow, with a line in its history; its status does not follow from refunds."""
    data: dict[str, Any] = {"refund": str(refund.pk), "amount": refund.amount, "status": str(refund.status)}
    if refund.anomalies:
        data["anomalies"] = refund.anomalies
    advance_payment(refund.payment, kind=kind, cause=cause, actor=actor, data=data)
