"""The HTTP face of a tenant's audit lines. For its owners and admins, and for people only."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.tenants.permissions import IsTenantAdmin, IsTenantMember, NotAMember, TenantSuspended
from apps.tenants.selectors.audit import list_audit
from apps.tenants.serializers.audit import AuditEntryOutput, AuditFilterInput
from apps.tenants.services.members import AdminsOnly
from core.openapi import operation
from core.pagination import paginated_response
from core.views import APIView

AUDIT_EXAMPLE = {
    "id": "2c0d5f0e-5a7b-4d43-9a55-6f0f7f7f2a10",
    "at": "2026-11-20T09:00:00Z",
    "action": "member.role_changed",
    "actor_kind": "person",
    "actor_id": "6f1c1b1e-6f0e-4b39-9d5a-0a8d3f5f1c11",
    "actor_email": "asha@example.com",
    "target_type": "user",
    "target_id": "9d1b7a34-93a8-4b0f-8a20-2b1a0c4b7f90",
    "target_label": "juma@example.com",
    "details": {"from": "member", "to": "admin"},
}


class AuditListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="tenants_audit_list",
        tag="tenants",
        summary="List what happened to the organisation, newest first",
        description="Members, roles, invitations, API keys, suspension: who did what, when. Lines are never changed.",
        parameters=[AuditFilterInput],
        response=AuditEntryOutput,
        is_page=True,
        message=_("Audit log."),
        example=AUDIT_EXAMPLE,
        errors=[NotAMember, TenantSuspended, AdminsOnly],
    )
    def get(self, request: Request) -> Response:
        filters = AuditFilterInput.parse(request.query_params)
        lines = list_audit(**filters)
        return paginated_response(request, lines, AuditEntryOutput, message=_("Audit log."), position=("at", "id"))
