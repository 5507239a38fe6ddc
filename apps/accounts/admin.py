"""People and sessions for operators."""

from __future__ import annotations

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

from apps.accounts.models import AuthSession, User

admin.site.unregister(Group)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    ordering = ("-created_at",)
    list_display = ("email", "first_name", "last_name", "phone", "is_active", "is_staff", "created_at")
    list_filter = ("is_active", "is_staff", "language")
    search_fields = ("email", "first_name", "last_name", "phone", "id")
    readonly_fields = ("id", "created_at", "last_login")
    fieldsets = (
        (None, {"fields": ("id", "email", "password", "first_name", "last_name", "phone", "language")}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser", "user_permissions")}),
        ("Dates", {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "password1", "password2")}),)
    filter_horizontal = ("user_permissions",)

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        return False  # payments name the person who started them; deactivate instead


@admin.register(AuthSession)
class AuthSessionAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("user", "transport", "tenant", "created_at", "last_used_at", "expires_at", "revoked_at")
    list_filter = ("transport", "revoked_reason")
    search_fields = ("user__email", "id")
    list_select_related = ("user", "tenant")
    date_hierarchy = "created_at"

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AuthSession | None = None) -> bool:
        return False
