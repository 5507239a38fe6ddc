"""How news changes a payment: one lock, one derivation, one line of history."""

from __future__ import annotations

import hashlib
import logging
from uuid import UUID

from django.utils import timezone

from apps.payments.derivation import (
    ALLOWED,
    AttemptStatus,
    AttemptView,
    PaymentStatus,
    Seen,
    derive_attempt,
    derive_payment,
)
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Observation, Payment
from apps.payments.services.history import append_event
from apps.payments.services.ledger import record_line
from core.outbox.publisher import publish
from services.payments.base import ChargeResult

logger = logging.getLogger("faraja.payments")

GAVE_UP = frozenset({PaymentStatus.EXPIRED, PaymentStatus.FAILED, PaymentStatus.CANCELLED})


def lock_attempt(attempt_id: UUID) -> tuple[Payment, Attempt]:
    """The payment first, then the attempt: everybody locks in this order, or two of them would deadlock."""
    payment_id = Attempt.objects.values_list("payment_id", flat=True).get(pk=attempt_id)
    payment: Payment = Payment.objects.select_for_update().get(pk=payment_id)
    attempt: Attempt = Attempt.objects.select_for_update().get(pk=attempt_id)
    attempt.payment = payment
    return payment, attempt


def observe_attempt(
    attempt: Attempt, *, source: str, status: AttemptStatus, result: ChargeResult | None = None
) -> bool:
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


def is_answered(attempt: Attempt) -> bool:
    """Whether the gateway has said how the attempt ended: nothing more is worth asking."""
    return derive_attempt(AttemptStatus(attempt.own_mark), _seen(attempt)).is_answered


def _seen(attempt: Attempt) -> list[Seen]:
    return [
        Seen(AttemptStatus(each.status), each.money, is_own=each.source == Observation.Source.SYSTEM)
        for each in attempt.observations.all()
    ]


def derive_attempts(payment: Payment) -> list[tuple[Attempt, AttemptView]]:
    """Bring every attempt's status in line with its observations."""
    views = []
    for attempt in Attempt.objects.filter(payment=payment).prefetch_related("observations").order_by("pk"):
        view = derive_attempt(AttemptStatus(attempt.own_mark), _seen(attempt), number=attempt.number)
        if attempt.status != view.status:
            attempt.status = view.status
            attempt.save(update_fields=["status", "updated_at"])
        views.append((attempt, view))
    return views


def advance_payment(payment: Payment, *, kind: str, cause: str, actor: str = "system") -> None:
    """Derive the payment's status under its lock, write it with one line of history, and tell whoever listens."""
    views = derive_attempts(payment)
    outcome = derive_payment(
        payment.money,
        [view for _attempt, view in views],
        is_cancel_asked=payment.cancel_asked_at is not None,
        decision=payment.review_decision,
    )
    before, after = PaymentStatus(payment.status), outcome.status
    if before is not after and after not in ALLOWED[before]:
        logger.error("illegal transition", extra={"payment_id": str(payment.pk), "from": before, "to": after})
    now = timezone.now()
    is_settling = after is PaymentStatus.SETTLED and before is not PaymentStatus.SETTLED
    if is_settling:
        # The first good one seen stays the applied one; another is an excess, flagged as `duplicate_capture`.
        payment.applied_attempt = next(attempt for attempt, view in views if view.is_good(payment.money))
        payment.settled_at = now
        payment.is_late_settlement = before in GAVE_UP
    for attempt, view in views:
        if view.is_good(payment.money):
            key, of = f"capture:{attempt.pk}", {"payment": payment, "attempt": attempt}
            if record_line(
                LedgerLine.Kind.CAPTURE,
                payment.money,
                key=key,
                gateway=attempt.gateway,
                account_id=attempt.account_id,
                **of,
            ):
                payment.captured += payment.amount
    new_anomalies = sorted(outcome.anomalies - set(payment.anomalies))
    if new_anomalies:
        logger.error("payment needs a person", extra={"payment_id": str(payment.pk), "anomalies": str(new_anomalies)})
    payment.anomalies = sorted(outcome.anomalies)
    payment.status = after
    payment.version += 1
    payment.save()
    data = {"anomalies": new_anomalies} if new_anomalies else {}
    append_event(payment, kind=kind, before=before, cause=cause, actor=actor, at=now, data=data)
    if is_settling:
        publish("payment.settled", {"payment_id": str(payment.pk)}, aggregate=f"payment:{payment.pk}")
