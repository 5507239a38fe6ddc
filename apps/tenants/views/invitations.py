"""The HTTP face of invitations."""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.tenants.permissions import IsTenantAdmin, IsTenantMember, NotAMember, TenantSuspended
from apps.tenants.selectors.invitations import list_invitations
from apps.tenants.serializers.invitations import AcceptInvitationInput, InvitationOutput, InviteInput
from apps.tenants.serializers.tenants import MyTenantOutput
from apps.tenants.services.invitations import (
    ACCEPT_REFUSALS,
    CHANGE_REFUSALS,
    INVITE_REFUSALS,
    accept_invitation,
    invite,
    resend_invitation,
    revoke_invitation,
)
from apps.tenants.services.members import AdminsOnly
from apps.tenants.views.tenants import MY_TENANT_EXAMPLE
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.views import APIView

INVITATION_EXAMPLE = {
    "id": "c0a8a0f4-5d64-4e0c-9a51-0f2f1f0a9b33",
    "email": "juma@example.com",
    "phone": "",
    "role": "member",
    "status": "pending",
    "invited_by": "6f1c1b1e-6f0e-4b39-9d5a-0a8d3f5f1c11",
    "sends": 1,
    "created_at": "2026-11-20T09:00:00Z",
    "expires_at": "2026-11-27T09:00:00Z",
    "accepted_at": None,
    "revoked_at": None,
}
TOKEN_EXAMPLE = "pZ2bT0m1y8vQk3c5s7u9w1x3z5A7C9E1G3I5K7M9O1Q"  # noqa: S105  an example for the schema


class InvitationListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="invitations_list",
        tag="tenants",
        summary="List the organisation's invitations, newest first",
        response=InvitationOutput,
        is_page=True,
        message=_("Invitations."),
        example=INVITATION_EXAMPLE,
        errors=[NotAMember, TenantSuspended, AdminsOnly],
    )
    def get(self, request: Request) -> Response:
        return paginated_response(request, list_invitations(), InvitationOutput, message=_("Invitations."))

    @operation(
        id="invitations_create",
        tag="tenants",
        summary="Invite somebody",
        description="By e-mail or by a text, in your language. Good for seven days and for one person.",
        request=InviteInput,
        request_examples={
            "By e-mail": {"email": "juma@example.com", "role": "member"},
            "By phone": {"phone": "+255712345678", "role": "admin"},
        },
        response=InvitationOutput,
        status=201,
        message=_("Invited."),
        example=INVITATION_EXAMPLE,
        errors=[NotAMember, TenantSuspended, *INVITE_REFUSALS],
    )
    @limited("invitations_person", by=by_person)
    def post(self, request: Request) -> Response:
        data = InviteInput.parse(request.data)
        invitation = invite(actor_id=request.auth.user.pk, **data)
        return success_response(InvitationOutput(invitation).data, message=_("Invited."), status=201)


class InvitationDetailView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="invitations_revoke",
        tag="tenants",
        summary="Revoke an invitation",
        message=_("Invitation revoked."),
        errors=[NotAMember, TenantSuspended, *CHANGE_REFUSALS],
    )
    def delete(self, request: Request, invitation_id: UUID) -> Response:
        revoke_invitation(actor_id=request.auth.user.pk, invitation_id=invitation_id)
        return success_response(message=_("Invitation revoked."))


class InvitationResendView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="invitations_resend",
        tag="tenants",
        summary="Send an invitation again",
        description="With a new link, good for another seven days; the one before is dead.",
        response=InvitationOutput,
        message=_("Sent again."),
        example=INVITATION_EXAMPLE | {"sends": 2},
        errors=[NotAMember, TenantSuspended, *CHANGE_REFUSALS],
    )
    @limited("invitations_person", by=by_person)
    def post(self, request: Request, invitation_id: UUID) -> Response:
        invitation = resend_invitation(actor_id=request.auth.user.pk, invitation_id=invitation_id)
        return success_response(InvitationOutput(invitation).data, message=_("Sent again."))


class InvitationAcceptView(APIView):
    """For anybody signed in, whichever tenant their session is in. New people register first."""

    permission_classes = (IsAuthenticated,)

    @operation(
        id="invitations_accept",
        tag="tenants",
        summary="Accept an invitation",
        description=(
            "Sign in or register first; your address need not be the invited one. The session stays where it is until "
            "you switch."
        ),
        request=AcceptInvitationInput,
        request_examples={"From the link": {"token": TOKEN_EXAMPLE}},
        response=MyTenantOutput,
        message=_("Welcome."),
        example=MY_TENANT_EXAMPLE | {"role": "member"},
        errors=ACCEPT_REFUSALS,
    )
    def post(self, request: Request) -> Response:
        data = AcceptInvitationInput.parse(request.data)
        membership = accept_invitation(user_id=request.auth.user.pk, **data)
        return success_response(MyTenantOutput(membership).data, message=_("Welcome."))
