"""The HTTP face of members. All of it is about the tenant that the session is in."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.selectors import Principal
from apps.accounts.services.step_up import ReauthenticationRequired, require_recent_authentication
from apps.tenants.permissions import IsTenantMember, NotAMember, TenantSuspended
from apps.tenants.selectors.members import list_members
from apps.tenants.serializers.members import ChangeRoleInput, MemberOutput, TransferOwnershipInput
from apps.tenants.services.members import (
    LEAVE_REFUSALS,
    ROLE_REFUSALS,
    TRANSFER_REFUSALS,
    change_role,
    leave_tenant,
    remove_member,
    transfer_ownership,
)
from core.exceptions import NotFound
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.views import APIView

MEMBER_EXAMPLE = {
    "id": "7d3c7a0e-52a4-4c86-93b8-8c3f5b0c4a21",
    "user_id": "6f1c1b1e-6f0e-4b39-9d5a-0a8d3f5f1c11",
    "email": "juma@example.com",
    "first_name": "Juma",
    "last_name": "Ali",
    "role": "member",
    "joined_at": "2026-11-20T09:00:00Z",
}


class MemberListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="members_list",
        tag="tenants",
        summary="List the organisation's members, newest first",
        response=MemberOutput,
        is_page=True,
        message=_("Members."),
        example=MEMBER_EXAMPLE,
        errors=[NotAMember, TenantSuspended],
    )
    def get(self, request: Request) -> Response:
        return paginated_response(request, list_members(), MemberOutput, message=_("Members."))


class MemberDetailView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="members_change_role",
        tag="tenants",
        summary="Change a member's role",
        description="For owners and admins. Only an owner may make, change or remove an owner.",
        request=ChangeRoleInput,
        request_examples={"Admin": {"role": "admin"}},
        response=MemberOutput,
        message=_("Role changed."),
        example=MEMBER_EXAMPLE | {"role": "admin"},
        errors=[NotAMember, TenantSuspended, *ROLE_REFUSALS],
    )
    def patch(self, request: Request, member_id: UUID) -> Response:
        data = ChangeRoleInput.parse(request.data)
        member = change_role(actor_id=request.auth.user.pk, member_id=member_id, **data)
        return success_response(MemberOutput(member).data, message=_("Role changed."))

    @operation(
        id="members_remove",
        tag="tenants",
        summary="Remove a member",
        description="For owners and admins. The person's next request in this organisation is refused.",
        message=_("Member removed."),
        errors=[NotAMember, TenantSuspended, *ROLE_REFUSALS],
    )
    def delete(self, request: Request, member_id: UUID) -> Response:
        remove_member(actor_id=request.auth.user.pk, member_id=member_id)
        return success_response(message=_("Member removed."))


class LeaveView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="tenants_leave",
        tag="tenants",
        summary="Leave the organisation",
        description="The session is in no organisation afterwards: switch to another one.",
        message=_("You have left the organisation."),
        errors=[NotAMember, TenantSuspended, *LEAVE_REFUSALS],
    )
    def post(self, request: Request) -> Response:
        leave_tenant(actor_id=request.auth.user.pk)
        return success_response(message=_("You have left the organisation."))


class TransferOwnershipView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="tenants_transfer_ownership",
        tag="tenants",
        summary="Make another member the owner",
        description="You become an admin. The session must be freshly confirmed.",
        request=TransferOwnershipInput,
        request_examples={"Hand over": {"member": MEMBER_EXAMPLE["id"]}},
        response=MemberOutput,
        message=_("Ownership transferred."),
        example=MEMBER_EXAMPLE | {"role": "owner"},
        errors=[NotAMember, TenantSuspended, NotFound, ReauthenticationRequired, *TRANSFER_REFUSALS],
    )
    def post(self, request: Request) -> Response:
        require_recent_authentication(cast(Principal, request.auth).session)
        data = TransferOwnershipInput.parse(request.data)
        owner = transfer_ownership(actor_id=request.auth.user.pk, member_id=data["member"])
        return success_response(MemberOutput(owner).data, message=_("Ownership transferred."))
