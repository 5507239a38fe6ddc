"""Use cases for calling a payment off. Money wins: what is paid all the same settles."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from django.utils import timezone

from apps.payments.derivation import AttemptStatus, PaymentStatus
from apps.payments.models.payments import Attempt, Observation, Payment
from apps.payments.selectors.payments import get_attempt
from apps.payments.services.accounts import open_account
from apps.payments.services.attempts import id_of, record_charge
from apps.payments.services.breaker import GatewayResting, Permit, admit
from apps.payments.services.inline import call_patiently
from apps.payments.services.payments import PaymentInReview, PaymentSettled
from apps.payments.services.progress import (
    TOLD_TO_GATEWAY,
    advance_payment,
    apply_cancel_wish,
    can,
    is_answered,
    lock_attempt,
    lock_payment,
    observe_attempt,
)
from core.exceptions import NotFound
from core.tenancy import tenant_atomic
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    CancelNotSupported,
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeResult,
    GatewayRefused,
    PaymentGateway,
)

logger = logging.getLogger("faraja.payments")

CANCEL_REFUSALS = (NotFound, PaymentSettled, PaymentInReview)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Withdrawal:
    attempt_id: UUID
    gateway: PaymentGateway = field(repr=False)
    charge: ChargeId
    permit: Permit

    def call(self) -> ChargeResult | None:
        """Ask the gateway to call the charge back; None when it will not or does not know it."""
        try:
            return self.gateway.cancel(self.charge)
        except (CancelNotSupported, ChargeNotFound, GatewayRefused) as refusal:
            logger.warning("gateway did not cancel", extra={"gateway": self.gateway.code, "error": str(refusal)})
            return None


@tenant_atomic
def cancel_payment(*, payment_id: UUID, actor_id: UUID) -> Payment:
    """Record the wish to have no more of a payment. Doing it again changes nothing.

    What has not been sent, and a page that is only open, ends here; a page at a gateway that can close it ends once it
    was told (`withdraw_at_once`, or the worker). A push that nobody can call back goes on, and the payment is cancelled
    when it ends badly. Raises `PaymentSettled` or `PaymentInReview` when money came.
    """
    payment = lock_payment(payment_id)
    if payment.status == PaymentStatus.SETTLED:
        raise PaymentSettled
    if payment.status == PaymentStatus.REVIEW:
        raise PaymentInReview
    if payment.status == PaymentStatus.CANCELLED or payment.cancel_asked_at is not None:
        return payment
    payment.cancel_asked_at = timezone.now()
    apply_cancel_wish(payment)
    advance_payment(payment, kind="cancel_asked", cause="cancel_payment", actor=str(actor_id))
    return payment


@tenant_atomic
def has_something_to_withdraw(*, payment_id: UUID) -> bool:
    """Whether a gateway can be told that a payment was called off."""
    return _attempt_to_withdraw(payment_id) is not None


def withdraw_at_once(*, payment_id: UUID, still_here: Callable[[], object]) -> None:
    """Tell the gateway now that a payment was called off, and wait a few seconds. The worker does it too.

    Not in a transaction.
    """
    attempt = _find_attempt_to_withdraw(payment_id)
    try:
        withdrawal = _begin(attempt.pk) if attempt is not None else None
    except GatewayResting:
        return  # the worker tells it once it answers again
    if withdrawal is not None:
        call_patiently(withdrawal.call, lambda answer: _end(withdrawal, answer), still_here=still_here)


def withdraw_attempt(*, attempt_id: UUID) -> None:
    """Have the gateway call a charge back, and record what it says. Safe to repeat.

    Raises `GatewayUnavailable` or `OutcomeUnknown` when the gateway did not answer; a page is closed here even so.
    """
    withdrawal = _begin(attempt_id)
    if withdrawal is not None:
        _end(withdrawal, withdrawal.call)


def _begin(attempt_id: UUID) -> _Withdrawal | None:
    attempt = get_attempt(attempt_id=attempt_id)
    # One that is just being sent: the news of it brings the wish up again.
    is_unheard = attempt.status in {AttemptStatus.QUEUED, AttemptStatus.SUBMITTING}
    if is_unheard or is_answered(attempt) or not can(attempt, Capability.CANCEL):
        return None
    account = open_account(attempt.gateway, attempt.account_id)
    permit = admit(account.code, account.key)
    return _Withdrawal(attempt_id=attempt_id, gateway=account.gateway, charge=id_of(attempt), permit=permit)


def _end(withdrawal: _Withdrawal, answer: Callable[[], ChargeResult | None]) -> None:
    try:
        result = withdrawal.permit.hear(answer)
    except (GatewayUnavailable, OutcomeUnknown):
        _close_page(attempt_id=withdrawal.attempt_id)
        raise
    if result is not None:
        record_charge(attempt_id=withdrawal.attempt_id, source=Observation.Source.REPLY, result=result)
    _close_page(attempt_id=withdrawal.attempt_id)


@tenant_atomic
def _close_page(*, attempt_id: UUID) -> None:
    """End a page by our own word; money that comes all the same settles late."""
    payment, attempt = lock_attempt(attempt_id)
    if attempt.status != AttemptStatus.REQUIRES_ACTION:
        return
    if observe_attempt(attempt, source=Observation.Source.SYSTEM, status=AttemptStatus.CANCELLED):
        advance_payment(payment, kind="observed", cause="system: cancelled")


@tenant_atomic
def _find_attempt_to_withdraw(payment_id: UUID) -> Attempt | None:
    return _attempt_to_withdraw(payment_id)


def _attempt_to_withdraw(payment_id: UUID) -> Attempt | None:
    attempts = Attempt.objects.filter(payment_id=payment_id, status__in=TOLD_TO_GATEWAY).order_by("-number")
    return next((attempt for attempt in attempts if can(attempt, Capability.CANCEL)), None)
