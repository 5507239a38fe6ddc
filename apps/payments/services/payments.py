"""Use cases for payments: start one, send it to its gateway, record the news, ask when there is none.

News enters only through `record_charge`: replies, callbacks, polls and our own expiry all end there, so there is one
lock, one derivation and one `payment.settled` event.
"""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.payments.derivation import (
    ALLOWED,
    ANSWERED,
    IN_FLIGHT,
    AttemptStatus,
    AttemptView,
    PaymentStatus,
    Seen,
    derive_attempt,
    derive_payment,
)
from apps.payments.history import hash_of
from apps.payments.models import Attempt, AttemptReference, Observation, Payment, PaymentEvent
from apps.payments.references import new_reference
from apps.payments.schedule import jittered, next_wait
from apps.payments.selectors import get_attempt
from core.crash import crash_point
from core.exceptions import Conflict
from core.money import AmountNotRepresentable, Money
from core.outbox.publisher import publish
from core.tenancy import current_tenant_id, tenant_atomic, tenant_transaction
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeResult,
    ChargeStatus,
    CurrencyNotSupported,
    GatewayRefused,
    PaymentGateway,
    PhoneNotSupported,
)
from services.payments.registry import GatewayNotEnabled, get_gateway

logger = logging.getLogger("faraja.payments")

OBSERVED = {
    ChargeStatus.PENDING: AttemptStatus.PENDING,
    ChargeStatus.PAID: AttemptStatus.SETTLED,
    ChargeStatus.DECLINED: AttemptStatus.FAILED,
    ChargeStatus.UNKNOWN: AttemptStatus.UNKNOWN,
}
GAVE_UP = frozenset({PaymentStatus.EXPIRED, PaymentStatus.FAILED})


class ClientReferenceTaken(Conflict):
    """Another payment of this tenant carries the same `client_reference`. This rule never expires."""

    code = "client_reference_taken"
    message = _("A payment with this reference exists already.")


# How `start_payment` can refuse, for the schema.
START_REFUSALS = (
    GatewayNotEnabled,
    AmountNotRepresentable,
    CurrencyNotSupported,
    PhoneNotSupported,
    ClientReferenceTaken,
)


@tenant_atomic
def start_payment(
    *,
    actor_id: UUID,
    money: Money,
    phone: str,
    gateway: str,
    description: str = "",
    client_reference: str = "",
) -> Payment:
    """Record the wish to be paid. The gateway hears of it once the row is safe.

    Raises `GatewayNotEnabled`, the gateway's own refusals (`AmountNotRepresentable`, `PhoneNotSupported`, ...), or
    `ClientReferenceTaken`; then nothing is stored.
    """
    payment: Payment
    reference = new_reference()
    get_gateway(gateway).check(ChargeRequest(reference=reference, money=money, phone=phone))
    try:
        with tenant_transaction():
            payment = Payment.objects.create(
                started_by_id=actor_id,
                amount=money.amount,
                currency=money.currency,
                phone=phone,
                gateway=gateway,
                description=description,
                client_reference=client_reference,
                expires_at=timezone.now() + settings.PAYMENT_EXPIRY,
            )
    except IntegrityError:
        if not client_reference:
            raise
        raise ClientReferenceTaken(errors={"client_reference": [ClientReferenceTaken.message]}) from None
    attempt = Attempt.objects.create(payment=payment, number=1, gateway=gateway, reference=reference)
    AttemptReference.objects.create(
        gateway=gateway, reference=reference, tenant_id=current_tenant_id(), attempt_id=attempt.pk
    )
    _advance(payment, kind="started", cause=f"attempt {attempt.number}", actor=str(actor_id))
    publish("payment.started", {"attempt_id": str(attempt.pk)}, aggregate=f"attempt:{attempt.pk}")
    publish("payment.expiring", {"payment_id": str(payment.pk)}, delay=settings.PAYMENT_EXPIRY)
    return payment


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
    gateway, request = get_gateway(attempt.gateway), _request_of(attempt)
    crash_point("submitting_committed")
    try:
        result = gateway.charge(request) if is_first else _find_out(gateway, request)
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
    payment, attempt = _lock(attempt_id)
    status = OBSERVED[result.status]
    if result.provider_reference and not attempt.provider_reference:
        attempt.provider_reference = result.provider_reference[:100]
        attempt.save(update_fields=["provider_reference", "updated_at"])
    if not _observe(attempt, source=source, status=status, result=result):
        return
    _advance(payment, kind="observed", cause=f"{source}: {status}")
    attempt.refresh_from_db()
    if attempt.status in ANSWERED:
        # The question that is still on its way will find it answered.
        Attempt.objects.filter(pk=attempt.pk).update(next_poll_at=None)
    elif attempt.next_poll_at is None:
        _schedule_poll(attempt)


def poll_attempt(*, attempt_id: UUID, poll: int) -> None:
    """Ask the gateway about an attempt that it has not answered for, and plan the next question.

    `poll` is the number of this question: a repeated delivery of an old one does nothing.
    """
    attempt = get_attempt(attempt_id=attempt_id)
    if attempt.polls != poll or attempt.status in ANSWERED:
        return
    try:
        ask_gateway(attempt_id=attempt_id)
    except (GatewayUnavailable, OutcomeUnknown, GatewayRefused) as silence:
        logger.warning("no answer to a status query", extra={"gateway": attempt.gateway, "error": str(silence)})
    _plan_next_poll(attempt_id=attempt_id, poll=poll)


def ask_gateway(*, attempt_id: UUID) -> None:
    """Ask once, now, and record what the gateway says."""
    attempt = get_attempt(attempt_id=attempt_id)
    gateway, request = get_gateway(attempt.gateway), _request_of(attempt)
    try:
        if attempt.status == AttemptStatus.UNKNOWN and attempt.payment.status == PaymentStatus.PROCESSING:
            result = _find_out(gateway, request)
        else:
            result = gateway.query(ChargeId(reference=attempt.reference))
    except ChargeNotFound:
        return  # not a failure: gateways know a fresh charge a moment later
    record_charge(attempt_id=attempt_id, source=Observation.Source.POLL, result=result)


@tenant_atomic
def expire_payment(*, payment_id: UUID) -> None:
    """Stop waiting for the customer. Our opinion only: polling goes on, and money that comes later still settles."""
    payment: Payment = Payment.objects.select_for_update().get(pk=payment_id)
    if payment.status not in {PaymentStatus.CREATED, PaymentStatus.PROCESSING}:
        return
    for attempt in Attempt.objects.filter(payment=payment, status__in=IN_FLIGHT).order_by("pk"):
        _observe(attempt, source=Observation.Source.SYSTEM, status=AttemptStatus.EXPIRED)
    _advance(payment, kind="observed", cause="system: expired")


def _request_of(attempt: Attempt) -> ChargeRequest:
    return ChargeRequest(reference=attempt.reference, money=attempt.payment.money, phone=attempt.payment.phone)


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
    _payment, attempt = _lock(attempt_id)
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
    payment, attempt = _lock(attempt_id)
    attempt.own_mark = AttemptStatus.QUEUED
    attempt.save(update_fields=["own_mark", "updated_at"])
    _derive(payment)


def _lock(attempt_id: UUID) -> tuple[Payment, Attempt]:
    """The payment first, then the attempt: everybody locks in this order, or two of them would deadlock."""
    payment_id = Attempt.objects.values_list("payment_id", flat=True).get(pk=attempt_id)
    payment: Payment = Payment.objects.select_for_update().get(pk=payment_id)
    attempt: Attempt = Attempt.objects.select_for_update().get(pk=attempt_id)
    attempt.payment = payment
    return payment, attempt


def _observe(attempt: Attempt, *, source: str, status: AttemptStatus, result: ChargeResult | None = None) -> bool:
    """Store one observation; False when the same news is known already."""
    money = result.money if result else None
    told = [status, str(money), result.provider_reference if result else ""]
    fingerprint = hashlib.sha256("\n".join(told).encode()).hexdigest()
    if Observation.objects.filter(attempt=attempt, fingerprint=fingerprint).exists():
        return False
    Observation.objects.create(
        attempt=attempt,
        source=source,
        status=status,
        amount=money.amount if money else None,
        currency=money.currency if money else "",
        provider_reference=result.provider_reference[:100] if result else "",
        reason=result.reason[:300] if result else "",
        fingerprint=fingerprint,
    )
    return True


def _derive(payment: Payment) -> list[tuple[Attempt, AttemptView]]:
    """Bring every attempt's status in line with its observations."""
    views = []
    for attempt in Attempt.objects.filter(payment=payment).prefetch_related("observations").order_by("pk"):
        seen = [Seen(AttemptStatus(each.status), each.money) for each in attempt.observations.all()]
        view = derive_attempt(AttemptStatus(attempt.own_mark), seen)
        if attempt.status != view.status:
            attempt.status = view.status
            attempt.save(update_fields=["status", "updated_at"])
        views.append((attempt, view))
    return views


def _advance(payment: Payment, *, kind: str, cause: str, actor: str = "system") -> None:
    """Derive the payment's status under its lock, write it with one line of history, and tell whoever listens."""
    views = _derive(payment)
    outcome = derive_payment(payment.money, [view for _attempt, view in views])
    before, after = PaymentStatus(payment.status), outcome.status
    if before is not after and after not in ALLOWED[before]:
        logger.error("illegal transition", extra={"payment_id": str(payment.pk), "from": before, "to": after})
    now = timezone.now()
    is_settling = after is PaymentStatus.SETTLED and before is not PaymentStatus.SETTLED
    if is_settling:
        # The first good one seen stays the applied one; another is an excess, flagged as `duplicate_capture`.
        payment.applied_attempt = next(attempt for attempt, view in views if view.is_good(payment.money))
        payment.captured = payment.amount
        payment.settled_at = now
        payment.is_late_settlement = before in GAVE_UP
    new_anomalies = sorted(outcome.anomalies - set(payment.anomalies))
    if new_anomalies:
        logger.error("payment needs a person", extra={"payment_id": str(payment.pk), "anomalies": str(new_anomalies)})
    payment.anomalies = sorted(outcome.anomalies)
    payment.status = after
    payment.version += 1
    payment.save()
    _append_event(payment, kind=kind, before=before, cause=cause, actor=actor, at=now, anomalies=new_anomalies)
    if is_settling:
        publish("payment.settled", {"payment_id": str(payment.pk)}, aggregate=f"payment:{payment.pk}")


def _append_event(
    payment: Payment, *, kind: str, before: PaymentStatus, cause: str, actor: str, at: datetime, anomalies: list[str]
) -> None:
    last = PaymentEvent.objects.filter(payment=payment).order_by("-seq").first()
    event = PaymentEvent(
        payment=payment,
        seq=payment.version,
        kind=kind,
        from_status=before,
        to_status=payment.status,
        cause=cause[:100],
        actor=actor,
        at=at,
        data={"anomalies": anomalies} if anomalies else {},
        previous_hash=last.hash if last else "",
    )
    event.hash = hash_of(event)
    event.save()


@tenant_atomic
def _plan_next_poll(*, attempt_id: UUID, poll: int) -> None:
    payment, attempt = _lock(attempt_id)
    if attempt.polls != poll:
        return
    attempt.polls += 1
    if attempt.status in ANSWERED:
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
