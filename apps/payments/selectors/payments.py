"""Questions about payments. What the asker may see is filtered here: the tenant by the manager, in every query."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.payments.models.payments import Attempt, Payment
from apps.tenants.selectors.tenants import list_open_tenant_ids
from core.exceptions import NotFound
from core.personal_data import Subject
from core.tenancy import tenant_atomic, tenant_scope, tenant_transaction


def list_payments(
    *,
    status: str | None = None,
    gateway: str | None = None,
    created_from: datetime | None = None,
    created_until: datetime | None = None,
) -> QuerySet[Payment]:
    """Payments of the current tenant, newest first."""
    payments: QuerySet[Payment] = Payment.objects.order_by("-created_at", "-pk")
    if status is not None:
        payments = payments.filter(status=status)
    if gateway is not None:
        payments = payments.filter(gateway=gateway)
    if created_from is not None:
        payments = payments.filter(created_at__gte=created_from)
    if created_until is not None:
        payments = payments.filter(created_at__lt=created_until)
    return payments


def get_payment(*, payment_id: UUID) -> Payment:
    """One payment of the current tenant, or `NotFound`: a stranger's payment and a made-up id look the same."""
    payment: Payment | None = Payment.objects.filter(pk=payment_id).first()
    if payment is None:
        raise NotFound
    return payment


# Tasks ask between transactions, where row-level security would show them nothing.
@tenant_atomic
def get_attempt(*, attempt_id: UUID) -> Attempt:
    """One attempt with its payment, of the current tenant."""
    attempt: Attempt | None = Attempt.objects.select_related("payment").filter(pk=attempt_id).first()
    if attempt is None:
        raise NotFound
    return attempt


def export_payments(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Payments that a person started, in the tenants they belong to. Without who paid: that is somebody else's data."""
    found: list[dict[str, Any]] = []
    for tenant_id in list_open_tenant_ids(user_id=subject.id):
        with tenant_scope(tenant_id), tenant_transaction():
            rows = Payment.objects.filter(started_by_id=subject.id).order_by("-created_at", "-pk")
            found += [
                {
                    "id": row.pk,
                    "tenant_id": row.tenant_id,
                    "amount": {"amount": row.amount, "currency": row.currency, "display": row.money.display},
                    "gateway": row.gateway,
                    "description": row.description,
                    "client_reference": row.client_reference,
                    "status": row.status,
                    "created_at": row.created_at,
                    "settled_at": row.settled_at,
                }
                for row in rows[: limit - len(found)]
            ]
    return found
