"""The door: a token, a live session behind it, and the tenant's room opened for the rest of the request."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication
from rest_framework.request import Request

from apps.accounts import cookies
from apps.accounts.models import User
from apps.accounts.selectors import Principal
from apps.accounts.services.sessions import (
    AccountInactive,
    RefreshReused,
    SessionRevoked,
    authenticate_session,
)
from apps.accounts.tokens import SessionExpired, TokenExpired, TokenInvalid, bearer_token, read_access
from core import context
from core.exception_handler import BEARER_CHALLENGE
from core.exceptions import DomainError
from core.tenancy import enter_tenant


class SessionTokenAuthentication(BaseAuthentication):
    """Bearer header first; without one, the access cookie with its proof.

    A bad header never falls back to the cookie.
    """

    def authenticate(self, request: Request) -> tuple[User, Principal] | None:
        raw = bearer_token(request.headers.get("Authorization"))
        is_cookie = raw is None
        if raw is None:
            raw = request.COOKIES.get(cookies.access_cookie())
            if raw is None:
                return None
        principal = authenticate_session(claims=read_access(raw))
        if is_cookie:
            cookies.check_csrf(request, principal.session)
        enter_tenant(principal.tenant_id)
        context.user_id.set(str(principal.user.pk))
        return principal.user, principal

    def refusals(self, method: str) -> Sequence[type[DomainError]]:
        """How this door can refuse a request of `method`, for the schema."""
        told = (TokenInvalid, TokenExpired, SessionRevoked, SessionExpired, RefreshReused, AccountInactive)
        return told if method in cookies.SAFE_METHODS else (*told, cookies.CsrfFailed)

    def authenticate_header(self, request: Request) -> str:
        return BEARER_CHALLENGE


class SessionTokenScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """How the schema describes it."""

    target_class = "apps.accounts.authentication.SessionTokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
