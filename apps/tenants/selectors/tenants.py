"""Questions about tenants."""

from __future__ import annotations

from uuid import UUID

from apps.tenants.models import Membership, Tenant


def find_first_tenant(*, user_id: UUID) -> Tenant | None:
    """The tenant a person joined first (their personal one, unless it is gone), or None."""
    membership = (
        Membership.objects.filter(user_id=user_id).select_related("tenant").order_by("created_at", "pk").first()
    )
    return membership.tenant if membership else None
