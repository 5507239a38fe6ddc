"""Use cases of platform staff about money: ask the gateway again, call off, send back. Each leaves an audit line."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from apps.payments.models.payments import Attempt, Payment
from apps.payments.models.transfers import Payout, Refund
from apps.payments.selectors.payments import get_payment
from apps.payments.selectors.payouts import get_payout
from apps.payments.selectors.refunds import get_refund
from apps.payments.services.attempts import ask_gateway
from apps.payments.services.cancellations import cancel_payment
from apps.payments.services.payouts import ask_payout, decide_payout
from apps.payments.services.progress import can, lock_payment
from apps.payments.services.refunds import ask_refund, request_refund
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import Conflict, RuleViolated
from core.money import Money
from core.tenancy import current_tenant_id, tenant_atomic
from services.payments.base import Capability, GatewayRefused

logger = logging.getLogger("faraja.payments")


class NothingToAskAbout(Conflict):
    """Nothing was sent to a gateway that answers questions."""

    code = "nothing_to_ask_about"
    message = _("Nothing was sent to a gateway that answers questions.")


class PaymentChanged(Conflict):
    """Something happened to the payment since the operator looked."""

    code = "payment_changed"
    message = _("The payment has changed since you looked at it. Please look again.")


class QuestionRefused(RuleViolated):
    """The gateway answered that it will not say. The log knows its words."""

    code = "question_refused"
    message = _("The gateway refused to answer. Check the account's credentials.")


def ask_about_payment(*, operator_id: UUID, payment_id: UUID) -> bool:
    """Ask now about every attempt that was sent, and record what the gateways say.

    `NotFound`, `NothingToAskAbout`, `QuestionRefused`, or that the gateway cannot be reached. Not in a transaction.
    """
    payment, attempts = _find_what_was_sent(payment_id)
    if not attempts:
        raise NothingToAskAbout
    for attempt in attempts:
        with _refusals_told(attempt.gateway):
            ask_gateway(attempt_id=attempt.pk)
    _note(Action.GATEWAY_ASKED, payment, operator_id)
    return True


@tenant_atomic
def call_payment_off(*, operator_id: UUID, payment_id: UUID, reason: str) -> bool:
    """Cancel for a merchant who cannot. False: it was called off before. Refuses as `cancel_payment` does."""
    if get_payment(payment_id=payment_id).cancel_asked_at is not None:
        return False
    payment = cancel_payment(payment_id=payment_id, actor_id=operator_id)
    _note(Action.PAYMENT_CALLED_OFF, payment, operator_id, reason=reason)
    return True


@tenant_atomic
def refund_as_seen(*, operator_id: UUID, payment_id: UUID, version: int, money: Money | None, reason: str) -> Refund:
    """Refund a payment that is still as the operator saw it (`version`): a form that is sent twice refunds once.

    Without `money` all that is left. Raises `PaymentChanged`, or what `request_refund` raises.
    """
    if lock_payment(payment_id).version != version:
        raise PaymentChanged
    return request_refund(actor_id=operator_id, payment_id=payment_id, money=money, reason=reason)


def ask_about_refund(*, operator_id: UUID, refund_id: UUID) -> bool:
    """Ask now about a refund that was sent. Refuses as `ask_about_payment` does. Not in a transaction."""
    refund = get_refund(refund_id=refund_id)
    _refuse_unsent(refund)
    with _refusals_told(refund.gateway):
        ask_refund(refund_id=refund_id)
    _note(Action.GATEWAY_ASKED, refund, operator_id)
    return True


def ask_about_payout(*, operator_id: UUID, payout_id: UUID) -> bool:
    """Ask now about a payout that was sent. Refuses as `ask_about_payment` does. Not in a transaction."""
    payout = get_payout(payout_id=payout_id)
    _refuse_unsent(payout)
    with _refusals_told(payout.gateway):
        ask_payout(payout_id=payout_id)
    _note(Action.GATEWAY_ASKED, payout, operator_id)
    return True


@tenant_atomic
def decide_about_payout(*, operator_id: UUID, payout_id: UUID, is_sent: bool, evidence: str) -> Payout:
    """Say what became of a payout of which the gateway never said anything. Refuses as `decide_payout` does."""
    payout = decide_payout(
        actor_id=operator_id, payout_id=payout_id, is_sent=is_sent, evidence=evidence, is_platform=True
    )
    _note(Action.PAYOUT_DECIDED, payout, operator_id, is_sent=is_sent, evidence=evidence)
    return payout


@tenant_atomic
def _find_what_was_sent(payment_id: UUID) -> tuple[Payment, list[Attempt]]:
    payment = get_payment(payment_id=payment_id)
    sent = Attempt.objects.filter(payment=payment, submitted_at__isnull=False).order_by("number")
    return payment, [attempt for attempt in sent if can(attempt, Capability.QUERY)]


def _refuse_unsent(transfer: Refund | Payout) -> None:
    if transfer.submitted_at is None:
        raise NothingToAskAbout


@contextmanager
def _refusals_told(gateway: str) -> Iterator[None]:
    try:
        yield
    except GatewayRefused as refusal:
        logger.error("gateway refused a question", extra={"gateway": gateway, "reason": refusal.reason})
        raise QuestionRefused from None


@tenant_atomic
def _note(action: Action, target: Model, operator_id: UUID, **data: object) -> None:
    record(action, actor=operator_id, target=target, tenant_id=current_tenant_id(), data=data)
