"""Questions about what happened to a tenant."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from core.audit.actions import ActorKind
from core.audit.models import AuditEntry
from core.tenancy import current_tenant_id


def list_audit(
    *,
    action: str | None = None,
    actor: UUID | None = None,
    at_from: datetime | None = None,
    at_until: datetime | None = None,
) -> QuerySet[AuditEntry]:
    """Audit lines of the current tenant, newest first. The table stands outside the walls: this filter is the wall.

    Platform staff are no `actor` that can be asked for: who of them acted is not for tenants to know.
    """
    lines = AuditEntry.objects.filter(tenant_id=current_tenant_id())
    if action is not None:
        lines = lines.filter(action=action)
    if actor is not None:
        lines = lines.filter(actor_id=actor).exclude(actor_kind=ActorKind.STAFF)
    if at_from is not None:
        lines = lines.filter(at__gte=at_from)
    if at_until is not None:
        lines = lines.filter(at__lt=at_until)
    return lines.order_by("-at", "-pk")
