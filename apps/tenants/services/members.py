"""Use cases for members: change a role, remove, leave, hand the tenant over.

Everything that changes who is in a tenant, and as what, first locks the tenant's row. So two owners who leave at the
same moment do not both find the other one, and a role is judged as it is, not as it was when the request began.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.tenants.models import Invitation, Membership, Tenant
from apps.tenants.selectors.members import find_member
from core.audit.actions import Action, ActorKind
from core.audit.record import record
from core.exceptions import NotFound, NotPermitted, RuleViolated
from core.tenancy import current_tenant_id, tenant_atomic

Role = Membership.Role


class AdminsOnly(NotPermitted):
    """Plain members may look, and not manage."""

    code = "admins_only"
    message = _("Only an owner or an admin of the organisation may do this.")


class OwnersOnly(NotPermitted):
    """An admin may not make, change or remove owners."""

    code = "owners_only"
    message = _("Only an owner of the organisation may do this.")


class LastOwner(RuleViolated):
    """A tenant without an owner could not be managed any more."""

    code = "last_owner"
    message = _("The organisation needs an owner. Make somebody else an owner first.")


# How the use cases below can refuse, for the schema.
ROLE_REFUSALS = (AdminsOnly, OwnersOnly, LastOwner)
LEAVE_REFUSALS = (LastOwner,)
TRANSFER_REFUSALS = (OwnersOnly,)


@dataclass(frozen=True, slots=True)
class LockedTenant:
    """The current tenant, whose members nobody else changes until the transaction ends, and who is asking."""

    actor: Membership | None

    def require_admin(self) -> Membership:
        """The asker, as an owner or admin; or `AdminsOnly`."""
        if self.actor is None or self.actor.role not in {Role.OWNER, Role.ADMIN}:
            raise AdminsOnly
        return self.actor

    def require_owner(self) -> Membership:
        """The asker, as an owner; or `OwnersOnly`."""
        if self.actor is None or self.actor.role != Role.OWNER:
            raise OwnersOnly
        return self.actor


def lock_tenant(*, actor_id: UUID) -> LockedTenant:
    """Lock the current tenant for a change by `actor_id`."""
    # Not the key: payments name the tenant in a foreign key, and must not wait for this.
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=current_tenant_id())
    actor = Membership.objects.filter(tenant=tenant, user_id=actor_id).first()
    if actor is not None:
        actor.tenant = tenant
    return LockedTenant(actor)


@tenant_atomic
def change_role(*, actor_id: UUID, member_id: UUID, role: str) -> Membership:
    """Give a member another role, from their next request on.

    `AdminsOnly` for members, `OwnersOnly` when an admin touches or makes an owner, `LastOwner`, `NotFound`.
    """
    actor = lock_tenant(actor_id=actor_id).require_admin()
    member = _get_member(member_id)
    if Role.OWNER in {member.role, role} and actor.role != Role.OWNER:
        raise OwnersOnly
    if member.role == Role.OWNER and role != Role.OWNER:
        _refuse_last_owner()
    before = _set_role(member, role)
    told = {"from": before, "to": role}
    record(Action.MEMBER_ROLE_CHANGED, actor=actor_id, target=member.user_id, tenant_id=member.tenant_id, data=told)
    return member


@tenant_atomic
def get_managed_member(*, actor_id: UUID, user_id: UUID) -> Membership:
    """The place of a person whom `actor_id` may change: `NotFound`, `AdminsOnly`, or `OwnersOnly` for an owner."""
    actor = lock_tenant(actor_id=actor_id).require_admin()
    member = find_member(user_id=user_id)
    if member is None:
        raise NotFound
    if member.role == Role.OWNER and actor.role != Role.OWNER:
        raise OwnersOnly
    return member


@tenant_atomic
def remove_member(*, actor_id: UUID, member_id: UUID) -> None:
    """End a membership, from the person's next request on. Refuses as `change_role` does."""
    actor = lock_tenant(actor_id=actor_id).require_admin()
    member = _get_member(member_id)
    if member.role == Role.OWNER and actor.role != Role.OWNER:
        raise OwnersOnly
    _end_membership(member)
    action = Action.MEMBER_LEFT if member.user_id == actor_id else Action.MEMBER_REMOVED
    told = {"role": member.role}
    record(action, actor=actor_id, target=member.user_id, tenant_id=member.tenant_id, data=told)


@tenant_atomic
def leave_tenant(*, actor_id: UUID) -> None:
    """End one's own membership in the current tenant, or `LastOwner`."""
    member = lock_tenant(actor_id=actor_id).actor
    if member is None:
        raise NotFound
    _end_membership(member)
    told = {"role": member.role}
    record(Action.MEMBER_LEFT, actor=actor_id, target=actor_id, tenant_id=member.tenant_id, data=told)


@tenant_atomic
def transfer_ownership(*, actor_id: UUID, member_id: UUID) -> Membership:
    """Make another member an owner and oneself an admin, or `OwnersOnly` or `NotFound`. Returns the new owner."""
    actor = lock_tenant(actor_id=actor_id).require_owner()
    heir = _get_member(member_id)
    if heir.pk != actor.pk:
        _set_role(heir, Role.OWNER)
        _set_role(actor, Role.ADMIN)
        record(Action.OWNERSHIP_TRANSFERRED, actor=actor_id, target=heir.user_id, tenant_id=heir.tenant_id)
    return heir


@transaction.atomic
def make_owner_for_safety(*, membership_id: UUID, operator_id: UUID) -> bool:
    """Make a member of any tenant an owner, for platform staff, when no owner can do it. False: they are one."""
    found = Membership.objects.filter(pk=membership_id).values_list("tenant_id", flat=True).first()
    if found is None:
        raise NotFound
    Tenant.objects.select_for_update(no_key=True).get(pk=found)
    member = Membership.objects.filter(pk=membership_id).first()
    if member is None:
        raise NotFound
    if member.role == Role.OWNER:
        return False
    before = _set_role(member, Role.OWNER)
    told = {"from": before, "to": str(Role.OWNER)}
    record(
        Action.MEMBER_ROLE_CHANGED,
        actor=operator_id,
        kind=ActorKind.STAFF,
        target=member.user_id,
        tenant_id=found,
        data=told,
    )
    return True


def _get_member(member_id: UUID) -> Membership:
    member = (
        Membership.objects.filter(tenant_id=current_tenant_id(), pk=member_id).select_related("user", "tenant").first()
    )
    if member is None:
        raise NotFound
    return member


def _refuse_last_owner() -> None:
    if Membership.objects.filter(tenant_id=current_tenant_id(), role=Role.OWNER).count() < 2:
        raise LastOwner


def _set_role(member: Membership, role: str) -> str:
    """Returns the role before."""
    before, member.role = member.role, role
    member.save(update_fields=["role", "updated_at"])
    if role == Role.MEMBER:
        _revoke_invitations_of(member)
    return before


def _end_membership(member: Membership) -> None:
    if member.role == Role.OWNER:
        _refuse_last_owner()
    _revoke_invitations_of(member)
    member.delete()


def _revoke_invitations_of(member: Membership) -> None:
    """What they sent out dies with their power to send: else somebody removed could come back through it."""
    now = timezone.now()
    sent = Invitation.objects.filter(tenant_id=member.tenant_id, invited_by_id=member.user_id)
    sent.filter(accepted_at=None, revoked_at=None).update(revoked_at=now, updated_at=now)
