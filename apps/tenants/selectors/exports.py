"""What the tenants' tables say about one person, for that person."""

from __future__ import annotations

from typing import Any

from django.db.models import Q

from apps.tenants.models import ApiKey, Invitation, Membership
from core.personal_data import Subject


def export_memberships(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """The tenants that a person belongs to, and as what."""
    rows = Membership.objects.filter(user_id=subject.id).select_related("tenant").order_by("-created_at", "-pk")
    return [
        {"tenant_id": row.tenant_id, "tenant": row.tenant.name, "role": row.role, "joined_at": row.created_at}
        for row in rows[:limit]
    ]


def export_invitations(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Invitations that a person sent, accepted, or has at an address that they have proven.

    Whose address it is shows only in those that came to them: other people's are not theirs to export.
    """
    own = Q(email__in=subject.proven) | Q(phone__in=subject.proven)
    accepted = Q(accepted_by_id=subject.id)
    rows = Invitation.objects.filter(own | accepted | Q(invited_by_id=subject.id)).select_related("tenant")
    return [
        {
            "tenant": row.tenant.name,
            "role": row.role,
            "is_sent_by_me": row.invited_by_id == subject.id,
            "to": _own_address(row, subject),
            "status": row.status,
            "created_at": row.created_at,
        }
        for row in rows.order_by("-created_at", "-pk")[:limit]
    ]


def _own_address(invitation: Invitation, subject: Subject) -> str | None:
    address = invitation.email or invitation.phone
    return address if address in subject.addresses else None


def export_api_keys(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Keys that a person made, in any tenant, without what opens anything."""
    rows = ApiKey.objects.filter(created_by_id=subject.id).select_related("tenant").defer("secret_hash")
    return [
        {
            "tenant": row.tenant.name,
            "name": row.name,
            "prefix": row.shown_prefix,
            "scopes": row.scopes,
            "created_at": row.created_at,
            "last_used_at": row.last_used_at,
            "expires_at": row.expires_at,
            "revoked_at": row.revoked_at,
        }
        for row in rows.order_by("-created_at", "-pk")[:limit]
    ]
