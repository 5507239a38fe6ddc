"""Questions about who belongs to a tenant, and as what."""

from __future__ import annotations

from django.db.models import OuterRef, QuerySet, Subquery

from apps.tenants.models import Membership
from core.tenancy import current_tenant_id


def list_members() -> QuerySet[Membership]:
    """Members of the current tenant with their people, newest first."""
    members = Membership.objects.filter(tenant_id=current_tenant_id()).select_related("user")
    return members.order_by("-created_at", "-pk")


def role_subquery(*, user_id: str, tenant_id: str) -> Subquery:
    """For annotating another query's rows: the role of their `user_id` in their `tenant_id`, or NULL."""
    memberships = Membership.objects.filter(user=OuterRef(user_id), tenant=OuterRef(tenant_id))
    return Subquery(memberships.values("role")[:1])
