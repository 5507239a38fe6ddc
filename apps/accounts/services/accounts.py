"""Use cases for accounts: register, prove a password."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.accounts.selectors import find_user_by_email
from apps.tenants.services import create_tenant
from core.exceptions import Malformed, NotAuthenticated, RuleViolated


class EmailTaken(RuleViolated):
    """Somebody has registered with this e-mail address."""

    code = "email_taken"
    message = _("An account with this e-mail address exists already.")


class PasswordTooWeak(Malformed):
    """The new password is too short, too common, or too like the person's name or e-mail address."""

    code = "validation_error"
    message = _("Please correct the marked fields.")


class InvalidCredentials(NotAuthenticated):
    """Unknown e-mail address or wrong password; the answer does not say which."""

    code = "invalid_credentials"
    message = _("The e-mail address or the password is wrong.")


class AccountInactive(NotAuthenticated):
    """The account has been deactivated."""

    code = "account_inactive"
    message = _("This account is not active.")


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
    return user


def create_operator(*, email: str, password: str) -> User:
    """A member of the platform's staff: everything in the admin, no tenant of their own."""
    return User.objects.create_superuser(email, password)


def check_password_strength(*, password: str, user: User) -> None:
    """Refuse a weak password with `PasswordTooWeak`, naming every fault."""
    try:
        validate_password(password, user)
    except DjangoValidationError as faults:
        raise PasswordTooWeak(errors={"password": faults.messages}) from None


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
