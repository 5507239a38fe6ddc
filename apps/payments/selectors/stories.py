"""Everything that happened to one payment, refund or payout, for the platform's staff."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.payments.history import is_intact
from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Observation, Payment, PaymentEvent
from apps.payments.models.transfers import Payout, Refund
from core.tenancy import rows_of_every_tenant

# Of each kind, so that a page stays a page whatever a gateway repeats.
MOST = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """The rows, each kind in its order. `is_intact`: the history's chain of hashes holds (None: it has no history)."""

    attempts: Sequence[Attempt] = ()
    refunds: Sequence[Refund] = ()
    payout: Payout | None = None
    events: Sequence[PaymentEvent] = ()
    observations: Sequence[Observation] = ()
    lines: Sequence[LedgerLine] = ()
    deliveries: Sequence[InboxDelivery] = ()
    is_intact: bool | None = None
    is_cut: bool = field(default=False)


def get_story_of_payment(payment: Payment) -> Story:
    """What happened to a payment and its refunds."""
    attempts = list(rows_of_every_tenant(Attempt).filter(payment=payment).order_by("number")[:MOST])
    refunds = list(rows_of_every_tenant(Refund).filter(payment=payment).order_by("created_at", "pk")[:MOST])
    events = list(rows_of_every_tenant(PaymentEvent).filter(payment=payment).order_by("seq")[: MOST + 1])
    lines = rows_of_every_tenant(LedgerLine).filter(payment=payment)
    return _story(
        attempts=attempts,
        refunds=refunds,
        events=events,
        observed=Q(attempt__in=attempts) | Q(refund__in=refunds),
        lines=lines,
        subjects=[row.pk for row in (*attempts, *refunds)],
    )


def get_story_of_refund(refund: Refund) -> Story:
    """What happened to one refund. Its lines of history are a part of the payment's."""
    lines = rows_of_every_tenant(LedgerLine).filter(refund=refund)
    told = rows_of_every_tenant(PaymentEvent).filter(payment_id=refund.payment_id, kind__startswith="refund_")
    events = [event for event in told.order_by("seq")[:MOST] if event.data.get("refund") == str(refund.pk)]
    story = _story(refunds=[refund], events=events, observed=Q(refund=refund), lines=lines, subjects=[refund.pk])
    return replace(story, is_intact=None)


def get_story_of_payout(payout: Payout) -> Story:
    """What happened to one payout."""
    events = list(rows_of_every_tenant(PaymentEvent).filter(payout=payout).order_by("seq")[: MOST + 1])
    lines = rows_of_every_tenant(LedgerLine).filter(payout=payout)
    return _story(payout=payout, events=events, observed=Q(payout=payout), lines=lines, subjects=[payout.pk])


def _story(
    *,
    observed: Q,
    lines: QuerySet[LedgerLine],
    subjects: Iterable[UUID],
    events: Sequence[PaymentEvent] = (),
    attempts: Sequence[Attempt] = (),
    refunds: Sequence[Refund] = (),
    payout: Payout | None = None,
) -> Story:
    observations = list(rows_of_every_tenant(Observation).filter(observed).order_by("received_at", "pk")[: MOST + 1])
    deliveries = InboxDelivery.objects.filter(subject_id__in=list(subjects)).defer("body")
    return Story(
        attempts=attempts,
        refunds=refunds,
        payout=payout,
        events=events[:MOST],
        observations=observations[:MOST],
        lines=list(lines.order_by("at", "pk")[:MOST]),
        deliveries=list(deliveries.order_by("received_at", "pk")[:MOST]),
        is_intact=is_intact(events[:MOST]) if events else None,
        is_cut=len(events) > MOST or len(observations) > MOST,
    )
