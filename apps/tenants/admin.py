"""Tenants for operators."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from apps.tenants.models import ApiKey, Invitation, Membership, Tenant
from apps.tenants.services.api_keys import revoke_for_safety
from apps.tenants.services.tenants import suspend_tenant, unsuspend_tenant


class MembershipInline(TabularInline):  # type: ignore[misc]
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Tenant)
class TenantAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("name", "id", "created_at", "suspended_at")
    list_filter = (("suspended_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "id", "memberships__user__email")
    readonly_fields = ("id", "created_at", "updated_at", "suspended_at")
    ordering = ("-created_at", "-id")
    inlines = (MembershipInline,)
    actions = ("suspend", "unsuspend")

    @admin.action(description="Suspend: members are refused from their next request on", permissions=["change"])
    def suspend(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> None:
        self._change(request, queryset, is_suspended=True)

    @admin.action(description="End the suspension", permissions=["change"])
    def unsuspend(self, request: HttpRequest, queryset: QuerySet[Tenant]) -> None:
        self._change(request, queryset, is_suspended=False)

    def _change(self, request: HttpRequest, queryset: QuerySet[Tenant], *, is_suspended: bool) -> None:
        """Each change leaves a line in the admin's own history of the tenant, and one in the log."""
        use_case, told = (suspend_tenant, "Suspended.") if is_suspended else (unsuspend_tenant, "Unsuspended.")
        changed, operator_id = 0, cast(UUID, request.user.pk)
        for tenant in queryset:
            if use_case(tenant_id=tenant.pk, operator_id=operator_id):
                self.log_change(request, tenant, told)
                changed += 1
        self.message_user(request, f"{changed} changed.", messages.SUCCESS)

    def has_delete_permission(self, request: HttpRequest, obj: Tenant | None = None) -> bool:
        return False  # its payments stay; suspend instead


@admin.register(Invitation)
class InvitationAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = (
        "created_at",
        "tenant",
        "email",
        "phone",
        "role",
        "sends",
        "expires_at",
        "accepted_at",
        "revoked_at",
    )
    list_filter = ("role", ("accepted_at", admin.EmptyFieldListFilter), ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("tenant",)
    search_fields = ("email", "phone", "tenant__name", "tenant__id")
    ordering = ("-created_at", "-id")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = (
        "created_at",
        "tenant",
        "name",
        "shown_prefix",
        "created_by",
        "expires_at",
        "last_used_at",
        "revoked_at",
    )
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    list_select_related = ("tenant", "created_by")
    search_fields = ("name", "prefix", "tenant__name", "tenant__id", "created_by__email")
    ordering = ("-created_at", "-id")
    exclude = ("secret_hash",)
    actions = ("revoke",)

    @admin.action(description="Revoke: refused from the next request on", permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiKey]) -> None:
        revoked = 0
        for key in queryset:
            if revoke_for_safety(key_id=key.pk, operator_id=cast(UUID, request.user.pk)):
                self.log_change(request, key, "Revoked.")
                revoked += 1
        self.message_user(request, f"{revoked} revoked.", messages.SUCCESS)

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("tenants.change_apikey")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiKey | None = None) -> bool:
        return False
