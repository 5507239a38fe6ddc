"""Tenants for operators. Their owners manage them; staff suspend, revoke, and help where no owner can."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.tenants.models import ApiKey, Invitation, InvitationStatus, Membership, Tenant
from apps.tenants.services.api_keys import revoke_for_safety
from apps.tenants.services.members import make_owner_for_safety
from apps.tenants.services.tenants import suspend_tenant, unsuspend_tenant
from core.admin import ReadOnlyAdmin, ReadOnlyInline, asked_actions
from core.exports import AuditedExport, ExportResource


def operator_id_of(request: HttpRequest) -> UUID:
    """Who works in the admin."""
    return cast(UUID, request.user.pk)


class MembershipInline(ReadOnlyInline):
    model = Membership
    fields = ("user", "role", "created_at")
    ordering = ("created_at", "id")
    per_page = 20


class ApiKeyInline(ReadOnlyInline):
    model = ApiKey
    fields = ("name", "shown_prefix", "created_by", "expires_at", "last_used_at", "revoked_at")
    ordering = ("-created_at", "-id")
    per_page = 20


class TenantExport(ExportResource):
    class Meta:
        model = Tenant
        fields = export_order = ("id", "name", "created_at", "suspended_at")


class MembershipExport(ExportResource):
    class Meta:
        model = Membership
        fields = export_order = ("id", "tenant", "tenant__name", "user", "user__email", "role", "created_at")


@admin.register(Tenant)
class TenantAdmin(AuditedExport, ReadOnlyAdmin):
    resource_classes = [TenantExport]
    list_display = ("name", "id", "created_at", "suspended_at")
    list_filter = (("suspended_at", admin.EmptyFieldListFilter), "created_at")
    search_fields = ("name", "id", "memberships__user__email")
    search_help_text = _("Name or id, or the e-mail address of a member")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    fields = ("id", "name", "created_at", "updated_at", "suspended_at")
    inlines = (MembershipInline, ApiKeyInline)
    actions = ("suspend", "unsuspend")
    actions_detail = ("suspend_one", "unsuspend_one")

    suspend, suspend_one = asked_actions(
        "suspend",
        use_case=lambda request, tenant, reason: suspend_tenant(
            tenant_id=tenant.pk, operator_id=operator_id_of(request), reason=reason
        ),
        permission="suspend",
        title=_("Suspend"),
        warning=_("The members of these organisations, and their API keys, are refused from their next request on."),
        done=_("Suspended."),
        needs_reason=True,
    )
    unsuspend, unsuspend_one = asked_actions(
        "unsuspend",
        use_case=lambda request, tenant, reason: unsuspend_tenant(
            tenant_id=tenant.pk, operator_id=operator_id_of(request), reason=reason
        ),
        permission="suspend",
        title=_("End the suspension"),
        warning=_("The members of these organisations may work again."),
        done=_("Unsuspended."),
        needs_reason=True,
    )

    def has_suspend_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("tenants.change_tenant")


@admin.register(Membership)
class MembershipAdmin(AuditedExport, ReadOnlyAdmin):
    resource_classes = [MembershipExport]
    list_display = ("user", "tenant", "role", "created_at")
    list_filter = ("role", "created_at")
    search_fields = ("user__email", "user__first_name", "user__last_name", "tenant__name", "tenant__id", "user__id")
    search_help_text = _("E-mail address, name or id of the person, or name or id of the organisation")
    list_select_related = ("user", "tenant")
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    actions = ("make_owner",)
    actions_detail = ("make_owner_one",)

    make_owner, make_owner_one = asked_actions(
        "make_owner",
        use_case=lambda request, membership, _reason: make_owner_for_safety(
            membership_id=membership.pk, operator_id=operator_id_of(request)
        ),
        permission="make_owner",
        title=_("Make an owner"),
        warning=_("For an organisation whose owner cannot do it. These members may then do everything in it."),
        done=_("Made an owner."),
    )

    def has_make_owner_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("tenants.change_membership")


@admin.register(Invitation)
class InvitationAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "tenant", "email", "phone", "role", "shown_status", "sends", "expires_at")
    list_filter = ("role", ("accepted_at", admin.EmptyFieldListFilter), ("revoked_at", admin.EmptyFieldListFilter))
    list_select_related = ("tenant",)
    search_fields = ("email", "phone", "tenant__name", "tenant__id")
    search_help_text = _("E-mail address or phone number, or name or id of the organisation")
    ordering = ("-created_at", "-id")

    @display(  # type: ignore[untyped-decorator]
        description=_("status"),
        label={
            InvitationStatus.PENDING: "info",
            InvitationStatus.ACCEPTED: "success",
            InvitationStatus.EXPIRED: "warning",
        },
    )
    def shown_status(self, invitation: Invitation) -> str:
        return invitation.status


@admin.register(ApiKey)
class ApiKeyAdmin(ReadOnlyAdmin):
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
    list_filter = (("revoked_at", admin.EmptyFieldListFilter), ("expires_at", admin.EmptyFieldListFilter))
    list_select_related = ("tenant", "created_by")
    search_fields = ("name", "prefix", "tenant__name", "tenant__id", "created_by__email")
    search_help_text = _("Name or prefix of the key, name or id of the organisation, or who made it")
    ordering = ("-created_at", "-id")
    exclude = ("secret_hash",)
    actions = ("revoke",)
    actions_detail = ("revoke_one",)

    revoke, revoke_one = asked_actions(
        "revoke",
        use_case=lambda request, key, _reason: revoke_for_safety(key_id=key.pk, operator_id=operator_id_of(request)),
        permission="revoke",
        title=_("Revoke"),
        warning=_("Machines that use these keys are refused from their next request on."),
        done=_("Revoked."),
    )

    def has_revoke_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("tenants.change_apikey")
