"""Use cases for tenants: create, rename, suspend."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.tenants.models import Membership, Tenant
from apps.tenants.services.members import lock_tenant
from core.audit.actions import Action, ActorKind
from core.audit.record import record
from core.tenancy import tenant_atomic


@transaction.atomic
def create_tenant(*, name: str, owner_id: UUID) -> Membership:
    """A new room with its owner in it. Every person gets a personal one at registration."""
    tenant = Tenant.objects.create(name=name[:200])
    return Membership.objects.create(tenant=tenant, user_id=owner_id, role=Membership.Role.OWNER)


@tenant_atomic
def rename_tenant(*, actor_id: UUID, name: str) -> Membership:
    """Give the current tenant another name, or `AdminsOnly`. Returns the actor's membership with its tenant."""
    actor = lock_tenant(actor_id=actor_id).require_admin()
    before, actor.tenant.name = actor.tenant.name, name
    actor.tenant.save(update_fields=["name", "updated_at"])
    told = {"from": before, "to": name}
    record(Action.TENANT_RENAMED, actor=actor_id, target=actor.tenant, tenant_id=actor.tenant_id, data=told)
    return actor


@transaction.atomic
def suspend_tenant(*, tenant_id: UUID, operator_id: UUID, reason: str = "") -> bool:
    """Close the room to its members from their next request on; what is under way still finishes. False: it was.

    `reason` is for the audit line, which its members are not shown.
    """
    return _set_suspended(tenant_id, operator_id, reason, is_suspended=True)


@transaction.atomic
def unsuspend_tenant(*, tenant_id: UUID, operator_id: UUID, reason: str = "") -> bool:
    """Open it again. False: it was open."""
    return _set_suspended(tenant_id, operator_id, reason, is_suspended=False)


def _set_suspended(tenant_id: UUID, operator_id: UUID, reason: str, *, is_suspended: bool) -> bool:
    now = timezone.now()
    rows = Tenant.objects.filter(pk=tenant_id, suspended_at__isnull=is_suspended)
    if not rows.update(suspended_at=now if is_suspended else None, updated_at=now):
        return False
    action = Action.TENANT_SUSPENDED if is_suspended else Action.TENANT_REINSTATED
    tenant = Tenant.objects.get(pk=tenant_id)
    record(action, actor=operator_id, kind=ActorKind.STAFF, target=tenant, tenant_id=tenant_id, data={"reason": reason})
    return True
