"""Use cases for tenants."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from apps.tenants.models import Membership, Tenant


@transaction.atomic
def create_tenant(*, name: str, owner_id: UUID) -> Tenant:
    """A new room with its owner in it. Every person gets a personal one at registration."""
    tenant = Tenant.objects.create(name=name[:200])
    Membership.objects.create(tenant=tenant, user_id=owner_id, role=Membership.Role.OWNER)
    return tenant
