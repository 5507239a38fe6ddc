"""Questions about tenants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, F, QuerySet

from apps.tenants.models import Membership, Tenant
from core.exceptions import NotFound


def find_first_tenant(*, user_id: UUID) -> Tenant | None:
    """The tenant that a new session begins in: the one joined first, rather one that is not suspended; or None."""
    memberships = Membership.objects.filter(user_id=user_id).select_related("tenant")
    membership = memberships.order_by(F("tenant__suspended_at").asc(nulls_first=True), "created_at", "pk").first()
    return membership.tenant if membership else None


def list_my_tenants(*, user_id: UUID) -> QuerySet[Membership]:
    """A person's memberships with their tenants, newest first."""
    return Membership.objects.filter(user_id=user_id).select_related("tenant").order_by("-created_at", "-pk")


def list_open_tenant_ids(*, user_id: UUID) -> list[UUID]:
    """The tenants whose rooms a person may enter now: theirs, unless suspended. In the order of their ids."""
    open_ones = Membership.objects.filter(user_id=user_id, tenant__suspended_at=None)
    return list(open_ones.order_by("tenant_id").values_list("tenant_id", flat=True))


def get_my_tenant(*, user_id: UUID, tenant_id: UUID) -> Membership:
    """A person's membership in a tenant, or `NotFound`: somebody else's tenant and a made-up id look the same."""
    membership = list_my_tenants(user_id=user_id).filter(tenant_id=tenant_id).first()
    if membership is None:
        raise NotFound
    return membership


def list_all_tenant_ids() -> list[UUID]:
    """Every tenant, suspended ones too. For the platform's own checks: nobody is shown what is in them."""
    return list(Tenant.objects.order_by("pk").values_list("pk", flat=True))


@dataclass(frozen=True, slots=True)
class TenantSummary:
    count: int
    suspended: int


def summarise_tenants() -> TenantSummary:
    """How many tenants there are, and how many of them are suspended."""
    found = Tenant.objects.aggregate(count=Count("pk"), suspended=Count("suspended_at"))
    return TenantSummary(**found)


def list_tenant_ids() -> list[UUID]:
    """Every tenant, for housekeeping that goes from room to room."""
    return list(Tenant.objects.order_by("pk").values_list("pk", flat=True))


def list_tenant_names(*, tenant_ids: Iterable[UUID]) -> dict[UUID, str]:
    """Names by id, for the platform's staff. Ids that nobody has are left out."""
    return dict(Tenant.objects.filter(pk__in=set(tenant_ids)).values_list("pk", "name"))
