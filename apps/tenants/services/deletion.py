"""Use cases for people whose account ends: who has to hand over first, and what becomes of their places."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.tenants.models import ApiKey, Invitation, Membership, Tenant
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import RuleViolated
from core.personal_data import Subject

Role = Membership.Role
CLOSED_NAME = "Closed organisation"
# In audit lines, which nobody can change later: they name the person by the id alone.
REASON = {"reason": "the account was deleted"}


class SoleOwner(RuleViolated):
    """Other people work in a tenant that has no other owner: `errors.tenants` names each. Hand it over first."""

    code = "sole_owner"
    message = _("You are the only owner of an organisation with other members. Make one of them an owner first.")


def lock_tenants_of(*, user_id: UUID) -> None:
    """Lock every tenant of a person, in one order, before the person's own row: as changes of members do it."""
    ids = list(Membership.objects.filter(user_id=user_id).values_list("tenant_id", flat=True))
    list(Tenant.objects.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))


@transaction.atomic
def refuse_sole_owner(*, user_id: UUID) -> None:
    """`SoleOwner` when a person's leaving would leave active members behind without an active owner.

    A suspended tenant does not count: nobody could hand it over. The tenants stay locked until the transaction ends.
    """
    lock_tenants_of(user_id=user_id)
    others = Membership.objects.filter(tenant=OuterRef("tenant"), user__is_active=True).exclude(user_id=user_id)
    stuck = Membership.objects.filter(
        Exists(others), ~Exists(others.filter(role=Role.OWNER)), user_id=user_id, role=Role.OWNER
    )
    names = stuck.filter(tenant__suspended_at=None).order_by("tenant__name").values_list("tenant__name", flat=True)
    if found := list(names):
        raise SoleOwner(errors={"tenants": found})


@transaction.atomic
def erase_from_tenants(*, subject: Subject) -> None:
    """End a person's memberships, invitations and keys. Call with their tenants locked.

    A tenant where nobody is left is closed: suspended, and without its name, which was often the person's.
    """
    now = timezone.now()
    memberships = Membership.objects.filter(user_id=subject.id).select_related("tenant").order_by("tenant_id")
    for membership in memberships:
        _depart(membership)
    keys = ApiKey.objects.filter(created_by_id=subject.id, revoked_at=None)
    for key in keys.order_by("pk"):
        record(Action.API_KEY_REVOKED, target=key, tenant_id=key.tenant_id, data=REASON)
    keys.update(revoked_at=now, updated_at=now)
    unused = Invitation.objects.filter(accepted_at=None, revoked_at=None)
    to_them = Q(email__in=subject.proven) | Q(phone__in=subject.proven)
    unused.filter(to_them | Q(invited_by_id=subject.id)).update(revoked_at=now, updated_at=now)
    came = Invitation.objects.filter(to_them | Q(accepted_by_id=subject.id))
    came.update(email=subject.placeholder, phone="", updated_at=now)


def _depart(membership: Membership) -> None:
    tenant = membership.tenant
    others = Membership.objects.filter(tenant=tenant).exclude(pk=membership.pk)
    if not others.exists():
        tenant.suspended_at = tenant.suspended_at or timezone.now()
        tenant.name = CLOSED_NAME
        tenant.save(update_fields=["suspended_at", "name", "updated_at"])
        record(Action.TENANT_SUSPENDED, target=tenant, tenant_id=tenant.pk, data={"reason": "nobody is left"})
    elif not others.filter(role=Role.OWNER).exists():
        _promote_heir(membership)
    told = {**REASON, "user": membership.user_id}
    record(Action.MEMBER_LEFT, target=membership, tenant_id=tenant.pk, data=told)
    membership.delete()


def _promote_heir(membership: Membership) -> None:
    """Whoever joined in the days of grace must not be left without an owner: the oldest admin, else member, is one."""
    # "admin" is before "member" in the alphabet, and there is no third role among them.
    others = Membership.objects.filter(tenant_id=membership.tenant_id).exclude(pk=membership.pk)
    heir = others.order_by("-user__is_active", "role", "created_at", "pk").first()
    if heir is not None:
        told = {**REASON, "before": heir.role, "after": Role.OWNER}
        heir.role = Role.OWNER
        heir.save(update_fields=["role", "updated_at"])
        record(Action.MEMBER_ROLE_CHANGED, target=heir.user_id, tenant_id=heir.tenant_id, data=told)
