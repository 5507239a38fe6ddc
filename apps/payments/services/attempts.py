"""One try at one gateway: send it, record the news of it, ask when there is none.

News enters only through `record_charge`: replies, callbacks, polls and people all end there, so there is one lock, one
derivation and one `payment.settled` event.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.payments.derivation import AttemptStatus, PaymentStatus
from apps.payments.models.payments import Attempt, Observation, Payment
from apps.payments.selectors.payments import get_attempt
from apps.payments.services.accounts import Account, callback_url_of, open_account
from apps.payments.services.breaker import GatewayAway, GatewayResting, Permit, admit
from apps.payments.services.progress import (
    advance_payment,
    apply_cancel_wish,
    can,
    derive_attempts,
    is_answered,
    lock_attempt,
    observe_attempt,
)
from apps.payments.services.questions import plan_question, question_about
from core.crash import crash_point
from core.money import Money
from core.outbox.publisher import withdraw
from core.tenancy import tenant_atomic
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    Address,
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeResult,
    ChargeStatus,
    Customer,
    GatewayRefused,
    Method,
    PaymentGateway,
    Trust,
)

logger = logging.getLogger("faraja.payments")

MAX_CHECKOUT_URL = 2_000
# A page that dies before the customer has read it helps nobody.
SHORTEST_LIFETIME = timedelta(minutes=1)

# Between two tries to send a charge to a gateway that cannot be reached.
LONGEST_PAUSE = timedelta(minutes=1)

OBSERVED = {
    ChargeStatus.PENDING: AttemptStatus.PENDING,
    ChargeStatus.REQUIRES_ACTION: AttemptStatus.REQUIRES_ACTION,
    ChargeStatus.PAID: AttemptStatus.SETTLED,
    ChargeStatus.DECLINED: AttemptStatus.FAILED,
    ChargeStatus.CANCELLED: AttemptStatus.CANCELLED,
    ChargeStatus.EXPIRED: AttemptStatus.EXPIRED,
    ChargeStatus.UNKNOWN: AttemptStatus.UNKNOWN,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """An attempt that this process has claimed, ready to be sent. `is_first`: nobody can have sent it before."""

    attempt: Attempt
    gateway: PaymentGateway = field(repr=False)
    request: ChargeRequest = field(repr=False)
    is_first: bool
    permit: Permit

    def call(self) -> ChargeResult:
        """The call itself. Touches no database, so that any thread may make it."""
        crash_point("submitting_committed")
        return (
            self.gateway.charge(self.request) if self.is_first else _find_out(self.gateway, self.attempt, self.request)
        )


def submit_attempt(*, attempt_id: UUID) -> None:
    """Ask the gateway for the money, at most once on our own initiative.

    `begin_submission` commits the word *submitting* before the wire is touched. Whoever finds that word later (a crash,
    a second delivery) asks the gateway what happened; nobody charges on a guess. No transaction is open during the
    call, so a slow provider holds no lock. `GatewayAway` when nothing was sent: the payment's expiry ends that, not the
    outbox's count of failures.
    """
    submission = begin_submission(attempt_id=attempt_id)
    if submission is None:
        return
    try:
        end_submission(submission, submission.call)
    except GatewayUnavailable as away:
        waited = timezone.now() - submission.attempt.created_at
        raise GatewayAway(min(waited // 2, LONGEST_PAUSE)) from away


def begin_submission(*, attempt_id: UUID) -> Submission | None:
    """Claim an attempt for sending; None when there is nothing (more) to send. Or `GatewayResting`."""
    claim = _claim_for_submission(attempt_id=attempt_id)
    if claim is None:
        return None
    attempt, is_first = claim
    account = open_account(attempt.gateway, attempt.account_id)
    try:
        permit = admit(account.code, account.key)
    except GatewayResting:
        if is_first:
            _unclaim(attempt_id=attempt_id)
        raise
    request = request_of(attempt, account)
    return Submission(attempt=attempt, gateway=account.gateway, request=request, is_first=is_first, permit=permit)


def end_submission(submission: Submission, answer: Callable[[], ChargeResult]) -> None:
    """Record what became of the call whose outcome `answer` returns or raises."""
    attempt, refusal = submission.attempt, ""
    try:
        result = submission.permit.hear(answer)
    except GatewayUnavailable:
        if submission.is_first:
            _unclaim(attempt_id=attempt.pk)  # nothing was sent: the next try is again the first
        raise
    except OutcomeUnknown:
        result = ChargeResult(status=ChargeStatus.UNKNOWN)
    except GatewayRefused as refused:
        logger.error("gateway refused a charge", extra={"gateway": attempt.gateway, "reason": refused.reason})
        result, refusal = ChargeResult(status=ChargeStatus.DECLINED, reason=str(refused)), refused.reason[:50]
    crash_point("reply_read")
    record_charge(attempt_id=attempt.pk, source=Observation.Source.REPLY, result=result, refusal=refusal)
    crash_point("reply_recorded")


@tenant_atomic
def record_charge(
    *,
    attempt_id: UUID,
    source: str,
    result: ChargeResult,
    trust: Trust = Trust.SIGNED,
    actor: str = "",
    refusal: str = "",
) -> None:
    """Take one piece of news about an attempt, and let the payment's status follow from all there is.

    Of `Trust.TOKEN` a payment is believed up to `settings.PAYMENT_TOKEN_LIMIT`, and only in the asked amount; else it
    is a claim that a person looks at. Of a `Trust.HINT` a payment is always a claim, and the rest is no news: where the
    gateway can be asked, ask it instead. `actor` is the person behind news by hand; `refusal` a short word of ours,
    where the gateway would not even take the charge.
    """
    status = OBSERVED[result.status]
    if trust is Trust.HINT and status is not AttemptStatus.SETTLED:
        return
    payment, attempt = lock_attempt(attempt_id)
    if status is AttemptStatus.SETTLED and not _is_believed(trust, result.money, payment.money):
        status = AttemptStatus.CLAIMED
    _note(attempt, result, refusal)
    if not observe_attempt(attempt, source=source, status=status, result=result, actor=actor):
        return
    apply_cancel_wish(payment)
    views = advance_payment(payment, kind="observed", cause=f"{source}: {status}", actor=actor or "system")
    if views[attempt.pk].is_answered:
        # What is being delivered already will find it answered.
        withdraw(question_about(attempt), expiry_of(attempt))
        if attempt.next_poll_at is not None:
            Attempt.objects.filter(pk=attempt.pk).update(next_poll_at=None)
    elif attempt.next_poll_at is None:
        _schedule_poll(attempt)


def _is_believed(trust: Trust, money: Money | None, asked: Money) -> bool:
    if trust is Trust.TOKEN:
        return money == asked and asked.amount <= settings.PAYMENT_TOKEN_LIMIT.get(asked.currency, 0)
    return trust is Trust.SIGNED


def _note(attempt: Attempt, result: ChargeResult, refusal: str) -> None:
    """Keep what the first report that names it says: the provider's own id, the page, why it was not taken."""
    found = {"provider_reference": result.provider_reference[:100], "refusal": refusal}
    if result.checkout_url.startswith(("https://", "http://")) and len(result.checkout_url) <= MAX_CHECKOUT_URL:
        found["checkout_url"] = result.checkout_url
    elif result.checkout_url:
        logger.error("gateway gave an address that is none", extra={"gateway": attempt.gateway})
    new = {name: value for name, value in found.items() if value and not getattr(attempt, name)}
    if new:
        for name, value in new.items():
            setattr(attempt, name, value)
        attempt.save(update_fields=[*new, "updated_at"])


def poll_attempt(*, attempt_id: UUID, poll: int) -> None:
    """Ask the gateway about an attempt that it has not answered for, and plan the next question.

    `poll` is the number of this question: a repeated delivery of an old one does nothing.
    """
    attempt = get_attempt(attempt_id=attempt_id)
    if attempt.polls != poll or is_answered(attempt):
        return
    try:
        _ask(attempt)
    except GatewayResting:
        raise  # the same question again, once the gateway is asked anything at all
    except (GatewayUnavailable, OutcomeUnknown, GatewayRefused) as silence:
        logger.warning("no answer to a status query", extra={"gateway": attempt.gateway, "error": str(silence)})
    _plan_next_poll(attempt_id=attempt_id, poll=poll)


def ask_gateway(*, attempt_id: UUID) -> None:
    """Ask once, now, and record what the gateway says. A gateway that cannot be asked is left in peace."""
    _ask(get_attempt(attempt_id=attempt_id))


def _ask(attempt: Attempt) -> None:
    account = open_account(attempt.gateway, attempt.account_id)
    payment = attempt.payment
    is_lost = attempt.status == AttemptStatus.UNKNOWN and payment.status == PaymentStatus.PROCESSING
    try:
        if is_lost and payment.cancel_asked_at is None:
            request = request_of(attempt, account)
            result = account.call(lambda gateway: _find_out(gateway, attempt, request))
        elif Capability.QUERY in account.gateway.capabilities:
            result = account.call(lambda gateway: gateway.query(id_of(attempt)))
        else:
            return
    except ChargeNotFound:
        return  # not a failure: gateways know a fresh charge a moment later
    record_charge(attempt_id=attempt.pk, source=Observation.Source.POLL, result=result)


def id_of(attempt: Attempt) -> ChargeId:
    """By what the gateway knows the charge."""
    return ChargeId(reference=attempt.reference, provider_reference=attempt.provider_reference)


def expiry_of(attempt: Attempt) -> str:
    """Under what name the outbox keeps the end of our patience with an attempt."""
    return f"expiry:{attempt.pk}"


def request_of(attempt: Attempt, account: Account) -> ChargeRequest:
    """What the gateway is asked for."""
    payment = attempt.payment
    return ChargeRequest(
        reference=attempt.reference,
        money=payment.money,
        method=Method(attempt.method),
        phone=attempt.phone,
        description=payment.description,
        customer=_customer_of(payment),
        return_url=payment.return_url,
        cancel_url=payment.cancel_url,
        callback_url=callback_url_of(account),
        lifetime=max(payment.expires_at - timezone.now(), SHORTEST_LIFETIME),
    )


def _customer_of(payment: Payment) -> Customer:
    told = dict(payment.customer)
    address = told.pop("address", None)
    return Customer(**told, address=Address(**address) if address else None)


def _find_out(gateway: PaymentGateway, attempt: Attempt, request: ChargeRequest) -> ChargeResult:
    """What became of a charge that may have been sent.

    Only where the gateway refuses a second charge under one reference is the same one sent again.
    """
    try:
        if Capability.QUERY in gateway.capabilities:
            return gateway.query(id_of(attempt))
    except ChargeNotFound:
        pass
    except GatewayRefused as refused:
        # It refuses the question. What became of the charge is as unknown as before.
        logger.error("gateway refused a status query", extra={"gateway": attempt.gateway, "reason": refused.reason})
        return ChargeResult(status=ChargeStatus.UNKNOWN)
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
    if apply_cancel_wish(payment):
        advance_payment(payment, kind="observed", cause="system: cancelled")


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
    if can(attempt, Capability.QUERY):
        plan_question(attempt, "attempt.poll_due", {"attempt_id": str(attempt.pk)})
