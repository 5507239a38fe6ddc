"""The HTTP face of API keys. For people only: a key cannot make keys."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.selectors import Principal
from apps.accounts.services.step_up import ReauthenticationRequired, require_recent_authentication
from apps.tenants.permissions import IsTenantAdmin, IsTenantMember, NotAMember, TenantSuspended
from apps.tenants.selectors.api_keys import list_api_keys
from apps.tenants.serializers.api_keys import ApiKeyOutput, CreateApiKeyInput, NewApiKeyOutput
from apps.tenants.services.api_keys import CREATE_REFUSALS, create_api_key, revoke_api_key
from apps.tenants.services.members import AdminsOnly
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.views import APIView

API_KEY_EXAMPLE = {
    "id": "5b1e0a57-2a0e-4a86-8b2f-3f1d9a0c7e44",
    "name": "Zapier",
    "prefix": "fk_3f9a1c0b7d2e",
    "scopes": ["payments:read"],
    "created_by": "6f1c1b1e-6f0e-4b39-9d5a-0a8d3f5f1c11",
    "created_at": "2026-11-20T09:00:00Z",
    "expires_at": None,
    "last_used_at": None,
    "revoked_at": None,
}


class ApiKeyListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="api_keys_list",
        tag="tenants",
        summary="List the organisation's API keys, newest first",
        response=ApiKeyOutput,
        is_page=True,
        message=_("API keys."),
        example=API_KEY_EXAMPLE,
        errors=[NotAMember, TenantSuspended, AdminsOnly],
    )
    def get(self, request: Request) -> Response:
        return paginated_response(request, list_api_keys(), ApiKeyOutput, message=_("API keys."))

    @operation(
        id="api_keys_create",
        tag="tenants",
        summary="Make an API key",
        description=(
            "For machines: `Authorization: Api-Key fk_...`. The answer holds the whole key, this once. It acts in your "
            "name, and only while you belong to the organisation. It outlives the session, so the session must be "
            "freshly confirmed."
        ),
        request=CreateApiKeyInput,
        request_examples={"Zapier": {"name": "Zapier", "scopes": ["payments:read"]}},
        response=NewApiKeyOutput,
        status=201,
        message=_("API key made. Keep it now: it is not shown again."),
        example=API_KEY_EXAMPLE | {"key": f"{API_KEY_EXAMPLE['prefix']}_" + "0123456789abcdef" * 4},
        errors=[NotAMember, TenantSuspended, ReauthenticationRequired, *CREATE_REFUSALS],
    )
    def post(self, request: Request) -> Response:
        require_recent_authentication(cast(Principal, request.auth).session)
        data = CreateApiKeyInput.parse(request.data)
        key, text = create_api_key(actor_id=request.auth.user.pk, **data)
        response = success_response(
            NewApiKeyOutput(key, context={"key": text}).data,
            message=_("API key made. Keep it now: it is not shown again."),
            status=201,
        )
        response.headers["Cache-Control"] = "no-store"
        return response


class ApiKeyDetailView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="api_keys_revoke",
        tag="tenants",
        summary="Revoke an API key",
        description="Its next request is refused. Repeating it is fine.",
        message=_("API key revoked."),
        errors=[NotAMember, TenantSuspended, AdminsOnly],
    )
    def delete(self, request: Request, key_id: UUID) -> Response:
        revoke_api_key(actor_id=request.auth.user.pk, key_id=key_id)
        return success_response(message=_("API key revoked."))
