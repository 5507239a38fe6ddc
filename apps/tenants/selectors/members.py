"""Questions about who belongs to a tenant, and as what."""

from __future__ import annotations

from uuid import UUID

from django.db.models import OuterRef, Q, QuerySet, Subquery

from apps.tenants.models import Membership
from core.tenancy import current_tenant_id


def list_members(*, search: str = "", role: str | None = None) -> QuerySet[Membership]:
    """Members of the current tenant with their people, newest first.

    `search`: words that each stand in a name or in the e-mail address, in any case.
    """
    members = Membership.objects.filter(tenant_id=current_tenant_id()).select_related("user")
    for word in search.split():
        members = members.filter(
            Q(user__first_name__icontains=word) | Q(user__last_name__icontains=word) | Q(user__email__icontains=word)
        )
    if role is not None:
        members = members.filter(role=role)
    return members.order_by("-created_at", "-pk")


def find_member(*, user_id: UUID) -> Membership | None:
    """A person's place in the current tenant, or None."""
    return list_members().filter(user_id=user_id).first()


def role_subquery(*, user_id: str, tenant_id: str) -> Subquery:
    """For annotating another query's rows: the role of their `user_id` in their `tenant_id`, or NULL."""
    memberships = Membership.objects.filter(user=OuterRef(user_id), tenant=OuterRef(tenant_id))
    return Subquery(memberships.values("role")[:1])
