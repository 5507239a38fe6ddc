"""Questions about tenants."""

from __future__ import annotations

from uuid import UUID

from django.db.models import OuterRef, Subquery

from apps.tenants.models import Membership, Tenant


def find_first_tenant(*, user_id: UUID) -> Tenant | None:
    """The tenant a person joined first (their personal one, unless it is gone), or None."""
    membership = (
        Membership.objects.filter(user_id=user_id).select_related("tenant").order_by("created_at", "pk").first()
    )
    return membership.tenant if membership else None


def role_subquery(*, user_id: str, tenant_id: str) -> Subquery:
    """For annotating another query's rows: the role of their `user_id` in their `tenant_id`, or NULL."""
    memberships = Membership.objects.filter(user=OuterRef(user_id), tenant=OuterRef(tenant_id))
    return Subquery(memberships.values("role")[:1])
