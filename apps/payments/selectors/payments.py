"""Questions about payments. What the asker may see is filtered here: the tenant by the manager, in every query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from apps.payments.models.payments import Attempt, Payment
from core.exceptions import NotFound
from core.tenancy import tenant_joined


@dataclass(frozen=True, slots=True)
class Watched:
    """What those who wait look at: `version` grows with every change."""

    status: str
    version: int


def list_payments(
    *,
    status: str | None = None,
    gateway: str | None = None,
    method: str | None = None,
    phone: str | None = None,
    client_reference: str | None = None,
    created_from: datetime | None = None,
    created_until: datetime | None = None,
) -> QuerySet[Payment]:
    """Payments of the current tenant with their attempts, newest first."""
    equal = {
        "status": status,
        "gateway": gateway,
        "method": method,
        "phone": phone,
        "client_reference": client_reference,
    }
    payments: QuerySet[Payment] = _with_attempts().order_by("-created_at", "-pk")
    payments = payments.filter(**{name: value for name, value in equal.items() if value is not None})
    if created_from is not None:
        payments = payments.filter(created_at__gte=created_from)
    if created_until is not None:
        payments = payments.filter(created_at__lt=created_until)
    return payments


def get_payment(*, payment_id: UUID) -> Payment:
    """A payment of the current tenant with its attempts, or `NotFound`: a stranger's and a made-up id look the same."""
    payment: Payment | None = _with_attempts().filter(pk=payment_id).first()
    if payment is None:
        raise NotFound
    return payment


def _with_attempts() -> QuerySet[Payment]:
    payments: QuerySet[Payment] = Payment.objects.prefetch_related(
        Prefetch("attempts", queryset=Attempt.objects.order_by("number"))
    )
    return payments


@tenant_joined
def find_status(*, payment_id: UUID) -> Watched | None:
    """How far a payment is, for those who wait outside of transactions. Cheap: one row, by its key."""
    row = Payment.objects.filter(pk=payment_id).values_list("status", "version").first()
    return Watched(*row) if row else None


# Tasks ask between transactions, where row-level security would show them nothing.
@tenant_joined
def get_attempt(*, attempt_id: UUID) -> Attempt:
    """One attempt with its payment and its observations, of the current tenant."""
    attempts = Attempt.objects.select_related("payment").prefetch_related("observations")
    attempt: Attempt | None = attempts.filter(pk=attempt_id).first()
    if attempt is None:
        raise NotFound
    return attempt
