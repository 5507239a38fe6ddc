"""Who may enter the admin: password, second factor, and an operator's own password."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm
from unfold.widgets import BASE_INPUT_CLASSES

from apps.accounts.models import User
from apps.accounts.selectors import has_second_factor
from apps.accounts.services.accounts import count_guess
from apps.accounts.services.operators import change_operators_password
from apps.accounts.services.proofs import prove_with_any_code
from core.client_address import client_address
from core.exceptions import DomainError
from core.throttling.limits import Throttled


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


class OwnPasswordForm(AdminOwnPasswordChangeForm):  # type: ignore[misc]
    """An operator's own password: every other session of theirs ends, they are told, and the audit log too."""

    def save(self, commit: bool = True) -> User:
        change_operators_password(operator=self.user, password=self.cleaned_data["new_password1"])
        return cast(User, self.user)


def _may_enter(request: HttpRequest) -> bool:
    """Whoever signed in while no second factor was demanded is shown the door when one is."""
    if not _is_staff(request):
        return False
    return not settings.ADMIN_REQUIRES_MFA or has_second_factor(user_id=cast(User, request.user).pk)


_is_staff = admin.site.has_permission
admin.site.has_permission = _may_enter  # type: ignore[method-assign]
admin.site.login_form = LimitedLoginForm
admin.site.login_template = "accounts/admin_login.html"
admin.site.password_change_form = OwnPasswordForm
