"""The machines' door: a key, and its tenant's room opened for the rest of the request."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.tenants.selectors.api_keys import KeyPrincipal
from apps.tenants.services.api_keys import authenticate_key
from core import context
from core.exception_handler import BEARER_CHALLENGE
from core.exceptions import NotPermitted
from core.tenancy import enter_tenant

KEYWORD = "api-key"


class ApiKeyNotAccepted(NotPermitted):
    """This operation is for people: sign in."""

    code = "api_key_not_accepted"
    message = _("API keys are not accepted here.")


class ApiKeyAuthentication(BaseAuthentication):
    """`Authorization: Api-Key fk_...`, on views that declare `key_scopes` (method to scope) and on no others."""

    def authenticate(self, request: Request) -> tuple[Any, KeyPrincipal] | None:
        scheme, _space, text = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != KEYWORD:
            return None
        principal = authenticate_key(text=text.strip())
        view = (request.parser_context or {}).get("view")
        if not getattr(view, "key_scopes", None):
            raise ApiKeyNotAccepted
        enter_tenant(principal.tenant_id)
        context.user_id.set(str(principal.user.pk))
        context.actor_kind.set("api_key")
        return principal.user, principal

    def authenticate_header(self, request: Request) -> str:
        return BEARER_CHALLENGE


class ApiKeyScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes it. OpenAPI has no word for a scheme of one's own, so it is a header."""

    target_class = "apps.tenants.authentication.ApiKeyAuthentication"
    name = "apiKey"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {
            "type": "apiKey",
            "in": "header",
            "name": "Authorization",
            "description": "For machines: `Authorization: Api-Key fk_...`, made under `/api/v1/tenants/api-keys/`.",
        }
