"""Who may knock."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from apps.tenants.selectors.api_keys import KeyPrincipal
from apps.tenants.services.members import AdminsOnly
from core.exceptions import NotPermitted
from core.tenancy import find_current_tenant_id


class NotAMember(NotPermitted):
    """The session's tenant is gone, or its person no longer belongs to it."""

    code = "not_a_member"
    message = _("You are not a member of this organisation.")


class TenantSuspended(NotPermitted):
    """Platform staff have suspended the tenant."""

    code = "tenant_suspended"
    message = _("This organisation is suspended.")


class IsTenantMember(BasePermission):
    """The authenticator has opened a tenant's scope, which it does only for a live member of a live tenant."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if find_current_tenant_id() is not None:
            return True
        principal = request.auth
        if getattr(principal, "is_tenant_suspended", False):
            raise TenantSuspended
        raise NotAMember


class IsTenantAdmin(BasePermission):
    """For what plain members may not even see. Stands behind `IsTenantMember`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if getattr(request.auth, "role", None) not in {"owner", "admin"}:
            raise AdminsOnly
        return True


def _role_behind(principal: Any) -> str | None:
    """The role of the person who asks, or of whoever made the key that asks."""
    return principal.makers_role if isinstance(principal, KeyPrincipal) else getattr(principal, "role", None)


class IsTenantAdminOrKey(BasePermission):
    """As `IsTenantAdmin`, and for keys that an owner or an admin made. Stands behind `IsTenantMember`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if _role_behind(request.auth) not in {"owner", "admin"}:
            raise AdminsOnly
        return True


class IsTenantAdminToWrite(BasePermission):
    """Members look; owners and admins act, and so do keys of theirs. Stands behind `IsTenantMember`."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method not in SAFE_METHODS and _role_behind(request.auth) not in {"owner", "admin"}:
            raise AdminsOnly
        return True


class ScopeMissing(NotPermitted):
    """The API key was made without the scope that this operation needs."""

    code = "scope_missing"
    message = _("This API key may not do this.")


class HasScope(BasePermission):
    """People pass. A key passes when it has the scope that the view's `key_scopes` names for the method."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.auth, KeyPrincipal):
            return True
        method = "GET" if request.method == "HEAD" else request.method
        if view.key_scopes.get(method) not in request.auth.key.scopes:
            raise ScopeMissing
        return True
