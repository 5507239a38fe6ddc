"""Who is meant by the references that gateways know us by."""

from __future__ import annotations

from uuid import UUID

from apps.payments.models.accounts import GatewayReference
from apps.payments.services.accounts import Account
from core.tenancy import current_tenant_id


def remember_reference(account: Account, reference: str, *, kind: str, subject_id: UUID) -> None:
    """Note that `reference` at this account is the tenant's attempt, refund or payout. In the caller's transaction."""
    GatewayReference.objects.create(
        gateway=account.code,
        account_id=account.key,
        reference=reference,
        tenant_id=current_tenant_id(),
        kind=kind,
        subject_id=subject_id,
    )
