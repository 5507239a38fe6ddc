"""Questions about invitations."""

from __future__ import annotations

from django.db.models import QuerySet

from apps.tenants.models import Invitation
from core.tenancy import current_tenant_id


def list_invitations() -> QuerySet[Invitation]:
    """Invitations of the current tenant, newest first."""
    return Invitation.objects.filter(tenant_id=current_tenant_id()).order_by("-created_at", "-pk")
