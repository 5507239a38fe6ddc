"""What payments hold about a person: what they started, in the tenants they belong to; never the other side."""

from __future__ import annotations

from typing import Any

from apps.payments.models.payments import Payment
from apps.payments.models.transfers import Payout, Refund, Transfer
from apps.tenants.selectors.tenants import list_open_tenant_ids
from core.money import Money
from core.personal_data import Subject
from core.tenancy import tenant_scope, tenant_transaction


def export_payments(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Payments that a person started. Without who paid: that is somebody else's data."""
    found: list[dict[str, Any]] = []
    for tenant_id in list_open_tenant_ids(user_id=subject.id):
        with tenant_scope(tenant_id), tenant_transaction():
            rows = Payment.objects.filter(started_by_id=subject.id).order_by("-created_at", "-pk")
            found += [
                {
                    "id": row.pk,
                    "tenant_id": row.tenant_id,
                    "amount": _told(row.money),
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


def export_refunds(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Refunds that a person asked for."""
    return _transfers(Refund, subject, limit, "payment_id", "reason")


def export_payouts(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Payouts that a person asked for. Without who was paid."""
    return _transfers(Payout, subject, limit, "narration", "client_reference")


def _transfers(model: type[Transfer], subject: Subject, limit: int, *columns: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for tenant_id in list_open_tenant_ids(user_id=subject.id):
        with tenant_scope(tenant_id), tenant_transaction():
            rows = model.objects.filter(requested_by_id=subject.id).order_by("-created_at", "-pk")
            found += [
                {
                    "id": row.pk,
                    "tenant_id": row.tenant_id,
                    "amount": _told(row.money),
                    "gateway": row.gateway,
                    "status": row.shown_status,
                    "created_at": row.created_at,
                    "ended_at": row.ended_at,
                }
                | {column: getattr(row, column) for column in columns}
                for row in rows[: limit - len(found)]
            ]
    return found


def _told(money: Money) -> dict[str, Any]:
    return {"amount": money.amount, "currency": money.currency, "display": money.display}
