"""One try at one gateway: send it, record the news of it, ask when there is none.

News enters only through `record_charge`: replies, callbacks, polls and people all end there, so there is one lock, one
derivation and one `payment.settled` event.
"""

from __future__ import annotations

import logging
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.payments.derivation import AttemptStatus, PaymentStatus
from apps.payments.models.payments import Attempt, Observation
from apps.payments.schedule import jittered, next_wait
from apps.payments.selectors.payments import get_attempt
from apps.payments.services.accounts import open_account
from apps.payments.services.breaker import GatewayResting
from apps.payments.services.progress import (
    advance_payment,
    derive_attempts,
    is_answered,
    lock_attempt,
    observe_attempt,
)
from core.crash import crash_point
from core.outbox.publisher import publish
from core.tenancy import tenant_atomic
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeResult,
    ChargeStatus,
    GatewayRefused,
    Method,
    PaymentGateway,
)

logger = logging.getLogger("faraja.payments")

OBSERVED = {
    ChargeStatus.PENDING: AttemptStatus.PENDING,
    ChargeStatus.REQUIRES_ACTION: AttemptStatus.REQUIRES_ACTION,
    ChargeStatus.PAID: AttemptStatus.SETTLED,
    ChargeStatus.DECLINED: AttemptStatus.FAILED,
    ChargeStatus.CANCELLED: AttemptStatus.CANCELLED,
    ChargeStatus.EXPIRED: AttemptStatus.EXPIRED,
    ChargeStatus.UNKNOWN: AttemptStatus.UNKNOWN,
}


def submit_attempt(*, attempt_id: UUID) -> None:
    """Ask the gateway for the money, at most once on our own initiative.

    `_claim_for_submission` commits the word *submitting* before the wire is touched. Whoever finds that word later (a
    crash, a second delivery) asks the gateway what happened; nobody charges on a guess. No transaction is open during
    the call, so a slow provider holds no lock.
    """
    claim = _claim_for_submission(attempt_id=attempt_id)
    if claim is None:
        return
    attempt, is_first = claim
    account, request = open_account(attempt.gateway, attempt.account_id), _request_of(attempt)
    crash_point("submitting_committed")
    try:
        result = account.call(lambda gateway: gateway.charge(request) if is_first else _find_out(gateway, request))
    except GatewayUnavailable:
        if is_first:
            _unclaim(attempt_id=attempt_id)  # nothing was sent: the next try is again the first
        raise
    except OutcomeUnknown:
        result = ChargeResult(status=ChargeStatus.UNKNOWN)
    except GatewayRefused as refusal:
        logger.error("gateway refused a charge", extra={"gateway": attempt.gateway, "reason": refusal.reason})
        result = ChargeResult(status=ChargeStatus.DECLINED, reason=str(refusal))
    crash_point("reply_read")
    record_charge(attempt_id=attempt_id, source=Observation.Source.REPLY, result=result)
    crash_point("reply_recorded")


@tenant_atomic
def record_charge(*, attempt_id: UUID, source: str, result: ChargeResult) -> None:
    """Take one piece of news about an attempt, and let the payment's status follow from all there is."""
    payment, attempt = lock_attempt(attempt_id)
    status = OBSERVED[result.status]
    if result.provider_reference and not attempt.provider_reference:
        attempt.provider_reference = result.provider_reference[:100]
        attempt.save(update_fields=["provider_reference", "updated_at"])
    if not observe_attempt(attempt, source=source, status=status, result=result):
        return
    advance_payment(payment, kind="observed", cause=f"{source}: {status}")
    if is_answered(attempt):
        # The question that is still on its way will find it answered.
        Attempt.objects.filter(pk=attempt.pk).update(next_poll_at=None)
    elif attempt.next_poll_at is None:
        _schedule_poll(attempt)


def poll_attempt(*, attempt_id: UUID, poll: int) -> None:
    """Ask the gateway about an attempt that it has not answered for, and plan the next question.

    `poll` is the number of this question: a repeated delivery of an old one does nothing.
    """
    attempt = get_attempt(attempt_id=attempt_id)
    if attempt.polls != poll or is_answered(attempt):
        return
    try:
        ask_gateway(attempt_id=attempt_id)
    except GatewayResting:
        raise  # the same question again, once the gateway is asked anything at all
    except (GatewayUnavailable, OutcomeUnknown, GatewayRefused) as silence:
        logger.warning("no answer to a status query", extra={"gateway": attempt.gateway, "error": str(silence)})
    _plan_next_poll(attempt_id=attempt_id, poll=poll)


def ask_gateway(*, attempt_id: UUID) -> None:
    """Ask once, now, and record what the gateway says."""
    attempt = get_attempt(attempt_id=attempt_id)
    account, request = open_account(attempt.gateway, attempt.account_id), _request_of(attempt)
    known = ChargeId(reference=attempt.reference, provider_reference=attempt.provider_reference)
    may_send_again = attempt.status == AttemptStatus.UNKNOWN and attempt.payment.status == PaymentStatus.PROCESSING
    try:
        result = account.call(lambda gateway: _find_out(gateway, request) if may_send_again else gateway.query(known))
    except ChargeNotFound:
        return  # not a failure: gateways know a fresh charge a moment later
    record_charge(attempt_id=attempt_id, source=Observation.Source.POLL, result=result)


def _request_of(attempt: Attempt) -> ChargeRequest:
    return ChargeRequest(
        reference=attempt.reference, money=attempt.payment.money, method=Method(attempt.method), phone=attempt.phone
    )


def _find_out(gateway: PaymentGateway, request: ChargeRequest) -> ChargeResult:
    """What became of a charge that may have been sent.

    Only where the gateway refuses a second charge under one reference is the same one sent again.
    """
    try:
        return gateway.query(ChargeId(reference=request.reference))
    except ChargeNotFound:
        if Capability.IDEMPOTENT_CHARGE in gateway.capabilities:
            return gateway.charge(request)
        return ChargeResult(status=ChargeStatus.UNKNOWN)


@tenant_atomic
def _claim_for_submission(*, attempt_id: UUID) -> tuple[Attempt, bool] | None:
    """Commit *submitting*. Returns the attempt and whether nobody had claimed it before; None: nothing to do."""
    _payment, attempt = lock_attempt(attempt_id)
    if attempt.status not in {AttemptStatus.QUEUED, AttemptStatus.SUBMITTING}:
        return None
    is_first = attempt.own_mark == AttemptStatus.QUEUED
    if is_first:
        attempt.own_mark = attempt.status = AttemptStatus.SUBMITTING
        attempt.submitted_at = timezone.now()
        attempt.save(update_fields=["own_mark", "status", "submitted_at", "updated_at"])
    return attempt, is_first


@tenant_atomic
def _unclaim(*, attempt_id: UUID) -> None:
    payment, attempt = lock_attempt(attempt_id)
    attempt.own_mark = AttemptStatus.QUEUED
    attempt.save(update_fields=["own_mark", "updated_at"])
    derive_attempts(payment)


@tenant_atomic
def _plan_next_poll(*, attempt_id: UUID, poll: int) -> None:
    payment, attempt = lock_attempt(attempt_id)
    if attempt.polls != poll:
        return
    attempt.polls += 1
    if is_answered(attempt):
        attempt.next_poll_at = None
        attempt.save(update_fields=["polls", "next_poll_at", "updated_at"])
        return
    _schedule_poll(attempt)
    if attempt.next_poll_at is None:
        logger.error("gateway never answered", extra={"payment_id": str(payment.pk), "gateway": attempt.gateway})


def _schedule_poll(attempt: Attempt) -> None:
    """Publish the next question, or leave `next_poll_at` empty after a week: then a person has to look."""
    age = timezone.now() - (attempt.submitted_at or attempt.created_at)
    wait = next_wait(polls=attempt.polls, age=age, first_waits=settings.PAYMENT_POLL_SECONDS)
    attempt.next_poll_at = None
    if wait is not None:
        wait = jittered(wait)
        attempt.next_poll_at = timezone.now() + wait
        publish("attempt.poll_due", {"attempt_id": str(attempt.pk), "poll": attempt.polls}, delay=wait)
    attempt.save(update_fields=["polls", "next_poll_at", "updated_at"])
