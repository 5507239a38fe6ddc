"""How news changes a payment: one lock, one derivation, one line of history."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.payments.derivation import (
    ALLOWED,
    IN_FLIGHT,
    AttemptStatus,
    AttemptView,
    PaymentStatus,
    Seen,
    derive_attempt,
    derive_payment,
)
from apps.payments.models.payments import Attempt, Observation, Payment
from apps.payments.services.captures import balance_books
from apps.payments.services.history import append_event
from core.exceptions import NotFound
from core.money import Money
from core.outbox.publisher import publish
from core.wakeup import wake
from services.payments.base import Capability, ChargeResult
from services.payments.registry import GatewayNotEnabled, gateway_class

logger = logging.getLogger("faraja.payments")

# The gateway has heard of these, and they have not ended.
TOLD_TO_GATEWAY = frozenset({AttemptStatus.UNKNOWN, AttemptStatus.PENDING, AttemptStatus.REQUIRES_ACTION})
OUR_VOICES = frozenset({Observation.Source.SYSTEM, Observation.Source.MANUAL})
GAVE_UP = frozenset({PaymentStatus.EXPIRED, PaymentStatus.FAILED, PaymentStatus.CANCELLED})


def lock_payment(payment_id: UUID) -> Payment:
    """The payment for writing, or `NotFound`: a stranger's and a made-up id look the same."""
    payment: Payment | None = Payment.objects.select_for_update().filter(pk=payment_id).first()
    if payment is None:
        raise NotFound
    return payment


def lock_attempt(attempt_id: UUID) -> tuple[Payment, Attempt]:
    """The payment first, then the attempt: everybody locks in this order, or two of them would deadlock."""
    payment: Payment = Payment.objects.select_for_update(of=("self",)).get(attempts=attempt_id)
    attempt: Attempt = Attempt.objects.select_for_update().get(pk=attempt_id)
    attempt.payment = payment
    return payment, attempt


def observe_attempt(
    attempt: Attempt,
    *,
    source: str,
    status: AttemptStatus,
    result: ChargeResult | None = None,
    money: Money | None = None,
    actor: str = "",
    reason: str = "",
) -> bool:
    """Store one observation; False when the same news is known already.

    Of a gateway's `result`, or in words of our own (`Source.SYSTEM`) or of a person (`Source.MANUAL`, with `actor`).
    """
    money = result.money if result else money
    back = result.refunded if result else None
    currency = money.currency if money else back.currency if back else ""
    refunded = back.amount if back and back.currency == currency else None
    provider_reference = result.provider_reference[:100] if result else ""
    # Who speaks is part of the news: our own "expired" does not make the gateway's a repetition.
    voice = source if source in OUR_VOICES else ""
    told = [voice, status, str(money), str(refunded), currency, provider_reference]
    fingerprint = hashlib.sha256("\n".join(told).encode()).hexdigest()
    if Observation.objects.filter(attempt=attempt, fingerprint=fingerprint).exists():
        return False
    Observation.objects.create(
        attempt=attempt,
        source=source,
        status=status,
        amount=money.amount if money else None,
        currency=currency,
        refunded=refunded,
        provider_reference=provider_reference,
        actor=actor[:100],
        reason=(result.reason if result else reason)[:300],
        fingerprint=fingerprint,
    )
    return True


def is_answered(attempt: Attempt) -> bool:
    """Whether the gateway has said how the attempt ended: nothing more is worth asking."""
    return view_of(attempt).is_answered


def view_of(attempt: Attempt) -> AttemptView:
    """The attempt as the derivation sees it, from all that was observed."""
    return derive_attempt(
        AttemptStatus(attempt.own_mark), _seen(attempt), number=attempt.number, is_refused=bool(attempt.refusal)
    )


def view_of_new(attempt: Attempt) -> AttemptView:
    """The same of one of which nothing can have been observed yet."""
    return derive_attempt(AttemptStatus(attempt.own_mark), (), number=attempt.number)


def _seen(attempt: Attempt) -> list[Seen]:
    return [
        Seen(
            AttemptStatus(each.status),
            each.money,
            is_own=each.source == Observation.Source.SYSTEM,
            is_by_hand=each.source == Observation.Source.MANUAL,
        )
        for each in attempt.observations.all()
    ]


def derive_attempts(payment: Payment) -> list[tuple[Attempt, AttemptView]]:
    """Bring every attempt's status in line with its observations."""
    views = []
    for attempt in Attempt.objects.filter(payment=payment).prefetch_related("observations").order_by("pk"):
        view = view_of(attempt)
        if attempt.status != view.status:
            attempt.status = view.status
            attempt.save(update_fields=["status", "updated_at"])
        views.append((attempt, view))
    return views


def can(attempt: Attempt, capability: Capability) -> bool:
    """Whether the attempt's gateway can do this. One that is not in the settings any more can do nothing."""
    try:
        return capability in gateway_class(attempt.gateway).capabilities
    except GatewayNotEnabled:
        return False


def apply_cancel_wish(payment: Payment) -> bool:
    """End what a cancel can end by our own word; says whether anything ended. The caller then advances the payment.

    A page is closed at the gateway first, where the gateway can do that (`attempt.cancel_due`).
    """
    if payment.cancel_asked_at is None:
        return False
    has_ended = False
    for attempt in Attempt.objects.filter(payment=payment, status__in=IN_FLIGHT).order_by("pk"):
        view = view_of(attempt)
        is_idle = view.status in {AttemptStatus.QUEUED, AttemptStatus.REQUIRES_ACTION}
        if view.status in TOLD_TO_GATEWAY and can(attempt, Capability.CANCEL):
            publish("attempt.cancel_due", {"attempt_id": str(attempt.pk)})
        elif is_idle:
            observe_attempt(attempt, source=Observation.Source.SYSTEM, status=AttemptStatus.CANCELLED)
            has_ended = True
    return has_ended


def advance_payment(
    payment: Payment,
    *,
    kind: str,
    cause: str,
    actor: str = "system",
    data: Mapping[str, Any] | None = None,
    begins_with: Attempt | None = None,
) -> dict[UUID, AttemptView]:
    """Derive the payment's status and sums under its lock, write them with one line of history, tell who listens.

    `begins_with`: the attempt with which the payment has just begun, so that there is nothing else to be read. Returns
    what was derived of the attempts, by their ids.
    """
    views = derive_attempts(payment) if begins_with is None else [(begins_with, view_of_new(begins_with))]
    outcome = derive_payment(
        payment.money,
        [view for _attempt, view in views],
        is_cancel_asked=payment.cancel_asked_at is not None,
        decision=payment.review_decision,
    )
    anomalies = outcome.anomalies
    if begins_with is None:
        anomalies |= balance_books(payment, views)
    before, after = PaymentStatus(payment.status), outcome.status
    if before is not after and after not in ALLOWED[before]:
        logger.error("illegal transition", extra={"payment_id": str(payment.pk), "from": before, "to": after})
    now = timezone.now()
    is_settling = after is PaymentStatus.SETTLED and before is not PaymentStatus.SETTLED
    if is_settling:
        # The first good one seen stays the applied one; another is an excess, flagged as `duplicate_capture`.
        payment.applied_attempt = _first_paid(payment, views)
        payment.settled_at = now
        payment.is_late_settlement = before in GAVE_UP
    new_anomalies = sorted(anomalies - set(payment.anomalies))
    payment.anomalies = sorted(anomalies)
    payment.status, payment.failure_code = after, outcome.failure or ""
    payment.version += 1
    payment.save()
    told = dict(data or {}) | ({"anomalies": new_anomalies} if new_anomalies else {})
    append_event(payment, kind=kind, before=before, cause=cause, actor=actor, at=now, data=told)
    if is_settling:
        publish("payment.settled", {"payment_id": str(payment.pk)}, aggregate=f"payment:{payment.pk}")
    if new_anomalies:
        logger.error("payment needs a person", extra={"payment_id": str(payment.pk), "anomalies": str(new_anomalies)})
        told = {"payment_id": str(payment.pk), "anomalies": new_anomalies}
        publish("payment.anomaly", told, aggregate=f"payment:{payment.pk}")
    transaction.on_commit(partial(wake, waiting_topic(payment.pk)))
    return {attempt.pk: view for attempt, view in views}


def waiting_topic(payment_id: UUID) -> str:
    """Under what name those who wait for a payment's news are woken."""
    return f"payment:{payment_id}"


def _first_paid(payment: Payment, views: Sequence[tuple[Attempt, AttemptView]]) -> Attempt:
    good = [attempt for attempt, view in views if view.is_good(payment.money)]
    odd = [attempt for attempt, view in views if view.is_odd(payment.money)]
    return (good or odd)[0]
