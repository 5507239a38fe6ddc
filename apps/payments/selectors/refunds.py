"""Questions about refunds of the current tenant."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from apps.payments.models.transfers import Refund
from apps.payments.selectors.payments import get_payment
from apps.payments.transfers import hidden_behind
from core.exceptions import NotFound
from core.tenancy import tenant_atomic


def list_refunds(
    *,
    payment: UUID | None = None,
    status: str | None = None,
    gateway: str | None = None,
    created_from: datetime | None = None,
    created_until: datetime | None = None,
) -> QuerySet[Refund]:
    """Refunds of the current tenant with their attempts, newest first."""
    refunds: QuerySet[Refund] = Refund.objects.select_related("attempt").order_by("-created_at", "-pk")
    if payment is not None:
        refunds = refunds.filter(payment_id=payment)
    if status is not None:
        refunds = refunds.filter(status__in=hidden_behind(status))
    if gateway is not None:
        refunds = refunds.filter(gateway=gateway)
    if created_from is not None:
        refunds = refunds.filter(created_at__gte=created_from)
    if created_until is not None:
        refunds = refunds.filter(created_at__lt=created_until)
    return refunds


def list_refunds_of(*, payment_id: UUID) -> QuerySet[Refund]:
    """Refunds of one payment, newest first, or `NotFound`."""
    return list_refunds(payment=get_payment(payment_id=payment_id).pk)


# Tasks ask between transactions, where row-level security would show them nothing.
@tenant_atomic
def get_refund(*, refund_id: UUID) -> Refund:
    """One refund with its payment and attempt, of the current tenant, or `NotFound`."""
    refund: Refund | None = Refund.objects.select_related("payment", "attempt").filter(pk=refund_id).first()
    if refund is None:
        raise NotFound
    return refund
