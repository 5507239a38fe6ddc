"""The HTTP face of tenants. Which one is meant is the session's word, never the path's."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.tenants.permissions import IsTenantMember, NotAMember, TenantSuspended
from apps.tenants.selectors.tenants import get_my_tenant, list_my_tenants
from apps.tenants.serializers.tenants import CreateTenantInput, MyTenantOutput, RenameTenantInput
from apps.tenants.services.members import AdminsOnly
from apps.tenants.services.tenants import create_tenant, rename_tenant
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.tenancy import current_tenant_id
from core.views import APIView

MY_TENANT_EXAMPLE = {
    "id": "b3a1f2e4-1d5c-4a53-8f0b-1f6d2a7c9e10",
    "name": "Duka la Asha",
    "role": "owner",
    "suspended_at": None,
    "joined_at": "2026-11-20T09:00:00Z",
}


class TenantListView(APIView):
    """The asker's own tenants. Open to people whose session is in none, so that they can switch to one."""

    permission_classes = (IsAuthenticated,)

    @operation(
        id="tenants_list",
        tag="tenants",
        summary="List my organisations, newest first",
        response=MyTenantOutput,
        is_page=True,
        message=_("Organisations."),
        example=MY_TENANT_EXAMPLE,
    )
    def get(self, request: Request) -> Response:
        mine = list_my_tenants(user_id=request.auth.user.pk)
        return paginated_response(request, mine, MyTenantOutput, message=_("Organisations."))

    @operation(
        id="tenants_create",
        tag="tenants",
        summary="Create an organisation",
        description="You become its owner. The session stays where it is until you switch.",
        request=CreateTenantInput,
        request_examples={"Shop": {"name": "Duka la Asha"}},
        response=MyTenantOutput,
        status=201,
        message=_("Organisation created."),
        example=MY_TENANT_EXAMPLE,
    )
    def post(self, request: Request) -> Response:
        data = CreateTenantInput.parse(request.data)
        membership = create_tenant(owner_id=request.auth.user.pk, **data)
        return success_response(MyTenantOutput(membership).data, message=_("Organisation created."), status=201)


class CurrentTenantView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="tenants_get_current",
        tag="tenants",
        summary="Get the organisation that the session is in",
        response=MyTenantOutput,
        message=_("Organisation."),
        example=MY_TENANT_EXAMPLE,
        errors=[NotAMember, TenantSuspended],
    )
    def get(self, request: Request) -> Response:
        membership = get_my_tenant(user_id=request.auth.user.pk, tenant_id=current_tenant_id())
        return success_response(MyTenantOutput(membership).data, message=_("Organisation."))

    @operation(
        id="tenants_rename",
        tag="tenants",
        summary="Rename the organisation",
        request=RenameTenantInput,
        request_examples={"Shop": {"name": "Duka la Asha na Juma"}},
        response=MyTenantOutput,
        message=_("Organisation renamed."),
        example=MY_TENANT_EXAMPLE | {"name": "Duka la Asha na Juma"},
        errors=[NotAMember, TenantSuspended, AdminsOnly],
    )
    def patch(self, request: Request) -> Response:
        data = RenameTenantInput.parse(request.data)
        membership = rename_tenant(actor_id=request.auth.user.pk, **data)
        return success_response(MyTenantOutput(membership).data, message=_("Organisation renamed."))
