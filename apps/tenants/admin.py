"""Tenants for operators."""

from __future__ import annotations

from typing import cast
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin, TabularInline

from apps.tenants.models import Invitation, Membership, Tenant
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
    exclude = ("token_hash",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False
