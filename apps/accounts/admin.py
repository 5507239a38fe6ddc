"""People and sessions for operators."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, AuthenticationForm, UserChangeForm, UserCreationForm

from apps.accounts.models import AuthSession, User, VerificationCode
from apps.accounts.services.accounts import count_guess
from core.client_address import client_address
from core.throttling.limits import Throttled

admin.site.unregister(Group)


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
    readonly_fields = ("id", "phone_verified_at", "created_at", "last_login")
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "id",
                    "email",
                    "password",
                    "first_name",
                    "last_name",
                    "phone",
                    "phone_verified_at",
                    "language",
                )
            },
        ),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser", "user_permissions")}),
        ("Dates", {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "password1", "password2")}),)
    filter_horizontal = ()  # two lists side by side are wider than the page

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        if "phone" in form.changed_data:
            obj.phone_verified_at = None  # what an operator types is a claim like any other
        super().save_model(request, obj, form, change)

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


@admin.register(VerificationCode)
class VerificationCodeAdmin(ModelAdmin):  # type: ignore[misc]
    """What was asked for and how it went. The codes themselves stand nowhere."""

    list_display = ("created_at", "purpose", "phone", "user", "guesses", "expires_at", "used_at")
    list_filter = ("purpose", ("used_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("phone", "id", "user__email")
    ordering = ("-created_at", "-id")
    exclude = ("nonce",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: VerificationCode | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: VerificationCode | None = None) -> bool:
        return False
