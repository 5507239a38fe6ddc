"""Use cases for accounts: register, prove a password."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.accounts.selectors import find_user_by_email
from apps.accounts.services.links import request_verification
from apps.accounts.services.passwords import check_password_strength
from apps.accounts.services.sessions import AccountInactive
from apps.tenants.services.tenants import create_tenant
from core.exceptions import NotAuthenticated, RuleViolated


class EmailTaken(RuleViolated):
    """Somebody has registered with this e-mail address."""

    code = "email_taken"
    message = _("An account with this e-mail address exists already.")


class InvalidCredentials(NotAuthenticated):
    """Unknown e-mail address or wrong password; the answer does not say which."""

    code = "invalid_credentials"
    message = _("The e-mail address or the password is wrong.")


@transaction.atomic
def register(
    *, email: str, password: str, first_name: str = "", last_name: str = "", phone: str = "", language: str = "en"
) -> User:
    """A new person with a personal tenant, or `EmailTaken` or `PasswordTooWeak`."""
    user = User(email=email.strip().lower(), first_name=first_name, last_name=last_name, phone=phone, language=language)
    check_password_strength(password=password, user=user)
    user.set_password(password)
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise EmailTaken(errors={"email": [EmailTaken.message]}) from None
    create_tenant(name=user.get_full_name() or user.email, owner_id=user.pk)
    request_verification(user=user)
    return user


def update_profile(*, user: User, **changes: str) -> User:
    """Change what a person may change about themselves: names and language."""
    for name in ("first_name", "last_name", "language"):
        if name in changes:
            setattr(user, name, changes[name])
    user.save(update_fields=["first_name", "last_name", "language", "updated_at"])
    return user


def create_operator(*, email: str, password: str) -> User:
    """A member of the platform's staff: everything in the admin, no tenant of their own."""
    return User.objects.create_superuser(email, password)


def check_credentials(*, email: str, password: str) -> User:
    """The person behind e-mail and password, or `InvalidCredentials` or `AccountInactive`.

    An unknown address costs as much time as a wrong password.
    """
    user = find_user_by_email(email=email)
    if user is None:
        make_password(password)
        raise InvalidCredentials
    if not user.check_password(password):
        raise InvalidCredentials
    if not user.is_active:
        raise AccountInactive
    return user
