"""Use cases for tenants: create, rename, suspend."""

from __future__ import annotations

import logging
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.tenants.models import Membership, Tenant
from apps.tenants.services.members import lock_tenant
from core.tenancy import tenant_atomic

logger = logging.getLogger("faraja.audit")


@transaction.atomic
def create_tenant(*, name: str, owner_id: UUID) -> Membership:
    """A new room with its owner in it. Every person gets a personal one at registration."""
    tenant = Tenant.objects.create(name=name[:200])
    return Membership.objects.create(tenant=tenant, user_id=owner_id, role=Membership.Role.OWNER)


@tenant_atomic
def rename_tenant(*, actor_id: UUID, name: str) -> Membership:
    """Give the current tenant another name, or `AdminsOnly`. Returns the actor's membership with its tenant."""
    actor = lock_tenant(actor_id=actor_id).require_admin()
    actor.tenant.name = name
    actor.tenant.save(update_fields=["name", "updated_at"])
    return actor


@transaction.atomic
def suspend_tenant(*, tenant_id: UUID, operator_id: UUID) -> bool:
    """Close the room to its members from their next request on; what is under way still finishes. False: it was."""
    return _set_suspended(tenant_id, operator_id, is_suspended=True)


@transaction.atomic
def unsuspend_tenant(*, tenant_id: UUID, operator_id: UUID) -> bool:
    """Open it again. False: it was open."""
    return _set_suspended(tenant_id, operator_id, is_suspended=False)


def _set_suspended(tenant_id: UUID, operator_id: UUID, *, is_suspended: bool) -> bool:
    now = timezone.now()
    rows = Tenant.objects.filter(pk=tenant_id, suspended_at__isnull=is_suspended)
    if not rows.update(suspended_at=now if is_suspended else None, updated_at=now):
        return False
    told = {"target_tenant_id": str(tenant_id), "operator_id": str(operator_id)}
    logger.warning("tenant suspended" if is_suspended else "tenant unsuspended", extra=told)
    return True
