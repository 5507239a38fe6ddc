"""People and sessions for operators."""

from __future__ import annotations

from typing import Any, cast

from allauth.account.models import EmailAddress, EmailConfirmation
from allauth.mfa.models import Authenticator
from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.forms import AdminPasswordChangeForm, AuthenticationForm, UserChangeForm, UserCreationForm
from unfold.widgets import BASE_INPUT_CLASSES

from apps.accounts.models import AuthSession, User
from apps.accounts.selectors import has_second_factor
from apps.accounts.services.accounts import count_guess
from apps.accounts.services.factors import reset_factors
from apps.accounts.services.proofs import prove_with_any_code
from core.client_address import client_address
from core.exceptions import DomainError
from core.throttling.limits import Throttled

admin.site.unregister(Group)


class LimitedLoginForm(AuthenticationForm):  # type: ignore[misc]
    """The admin's sign-in, under the same limits as the API's: another door would be another five guesses.

    The code is asked of everybody, so the page tells nobody who has a second factor.
    """

    code = forms.CharField(
        label=_("Code from your authenticator app, or a recovery code"),
        required=False,
        max_length=20,
        widget=forms.TextInput(
            attrs={"autocomplete": "one-time-code", "inputmode": "numeric", "class": " ".join(BASE_INPUT_CLASSES)}
        ),
    )

    def clean(self) -> dict[str, Any]:
        email = self.cleaned_data.get("username") or ""
        try:
            counted = count_guess(email=email, client=client_address(self.request))
        except Throttled as refusal:
            raise ValidationError(refusal.message, code=refusal.code) from None
        cleaned: dict[str, Any] = super().clean()
        counted.give_back()
        self._check_second_factor(self.get_user())
        return cleaned

    def _check_second_factor(self, user: User) -> None:
        if not has_second_factor(user_id=user.pk):
            if settings.ADMIN_REQUIRES_MFA:
                raise ValidationError(_("The admin needs a second factor, and your account has none."), code="no_mfa")
            return
        code = self.cleaned_data.get("code") or ""
        if not code:
            raise ValidationError(_("Enter your password again, and the code."), code="mfa_required")
        try:
            prove_with_any_code(user=user, code=code, client=client_address(self.request))
        except DomainError as refusal:
            raise ValidationError(str(refusal.message), code=refusal.code) from None


def _may_enter(request: HttpRequest) -> bool:
    """Whoever signed in while no second factor was demanded is shown the door when one is."""
    if not _is_staff(request):
        return False
    return not settings.ADMIN_REQUIRES_MFA or has_second_factor(user_id=cast(User, request.user).pk)


_is_staff = admin.site.has_permission
admin.site.has_permission = _may_enter  # type: ignore[method-assign]
admin.site.login_form = LimitedLoginForm
admin.site.login_template = "accounts/admin_login.html"
for model in (EmailAddress, EmailConfirmation, Authenticator):  # allauth's: empty, empty, and secret
    if admin.site.is_registered(model):
        admin.site.unregister(model)


@admin.register(User)
class UserAdmin(DjangoUserAdmin, ModelAdmin):  # type: ignore[misc,type-arg]
    form, add_form, change_password_form = UserChangeForm, UserCreationForm, AdminPasswordChangeForm
    ordering = ("-created_at",)
    list_display = ("email", "first_name", "last_name", "phone", "is_active", "is_staff", "created_at")
    list_filter = ("is_active", "is_staff", "language")
    search_fields = ("email", "first_name", "last_name", "phone", "id")
    readonly_fields = ("id", "created_at", "last_login")
    actions = ("remove_second_factor",)
    fieldsets = (
        (None, {"fields": ("id", "email", "password", "first_name", "last_name", "phone", "language")}),
        ("Access", {"fields": ("is_active", "is_staff", "is_superuser", "user_permissions")}),
        ("Dates", {"fields": ("created_at", "last_login")}),
    )
    add_fieldsets = ((None, {"fields": ("email", "password1", "password2")}),)
    filter_horizontal = ()  # two lists side by side are wider than the page

    def has_superuser_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.is_active and request.user.is_superuser)

    @admin.action(description=_("Remove the second factor (lost phone)"), permissions=["superuser"])
    def remove_second_factor(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        operator_id = cast(User, request.user).pk
        done = sum(reset_factors(user_id=person.pk, operator_id=operator_id) for person in queryset)
        self.message_user(request, _("Second factors removed: %(count)d.") % {"count": done})

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
