"""People and sessions for operators."""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.models import SocialAccount, SocialApp, SocialToken
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, AuthenticationForm, UserChangeForm, UserCreationForm

from apps.accounts.models import AuthSession, User
from apps.accounts.services.accounts import count_guess
from core.client_address import client_address
from core.throttling.limits import Throttled

# allauth's tables that stay empty here (addresses, apps and tokens have other places), and its own page of the other.
for _unused in (Group, EmailAddress, SocialApp, SocialToken, SocialAccount):
    admin.site.unregister(_unused)


class LimitedLoginForm(AuthenticationForm):  # type: ignore[misc]
    """The admin's sign-in, under the same limits as the API's: another door would be another five guesses."""

    def clean(self) -> dict[str, Any]:
        email = self.cleaned_data.get("username") or ""
        try:
            counted = count_guess(email=email, client=client_address(self.request))
        except Throttled as refusal:
            raise ValidationError(refusal.message, code=refusal.code) from None
        cleaned: dict[str, Any] = super().clean()
        counted.give_back()
        return cleaned


admin.site.login_form = LimitedLoginForm


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
    filter_horizontal = ()  # two lists side by side are wider than the page

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


@admin.register(SocialAccount)
class SocialAccountAdmin(ModelAdmin):  # type: ignore[misc]
    """Linked accounts, to look at: linking needs the person."""

    list_display = ("provider", "uid", "user", "date_joined", "last_login")
    list_filter = ("provider",)
    search_fields = ("user__email", "uid")
    list_select_related = ("user",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: SocialAccount | None = None) -> bool:
        return False
