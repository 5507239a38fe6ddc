"""Questions about payouts of the current tenant."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from apps.payments.models.transfers import Payout
from apps.payments.transfers import hidden_behind
from core.exceptions import NotFound
from core.tenancy import tenant_atomic


def list_payouts(
    *,
    status: str | None = None,
    gateway: str | None = None,
    client_reference: str | None = None,
    created_from: datetime | None = None,
    created_until: datetime | None = None,
) -> QuerySet[Payout]:
    """Payouts of the current tenant, newest first."""
    payouts: QuerySet[Payout] = Payout.objects.order_by("-created_at", "-pk")
    if status is not None:
        payouts = payouts.filter(status__in=hidden_behind(status))
    if gateway is not None:
        payouts = payouts.filter(gateway=gateway)
    if client_reference is not None:
        payouts = payouts.filter(client_reference=client_reference)
    if created_from is not None:
        payouts = payouts.filter(created_at__gte=created_from)
    if created_until is not None:
        payouts = payouts.filter(created_at__lt=created_until)
    return payouts


# Tasks ask between transactions, where row-level security would show them nothing.
@tenant_atomic
def get_payout(*, payout_id: UUID) -> Payout:
    """One payout of the current tenant, or `NotFound`."""
    payout: Payout | None = Payout.objects.filter(pk=payout_id).first()
    if payout is None:
        raise NotFound
    return payout
