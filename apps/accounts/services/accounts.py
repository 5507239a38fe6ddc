"""Use cases for accounts: register, prove a password."""

from __future__ import annotations

from django.contrib.auth.hashers import make_password
from django.db import IntegrityError, transaction
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.accounts.selectors import find_user_by_email, is_known_client
from apps.accounts.services.links import request_verification
from apps.accounts.services.passwords import check_password_strength
from apps.accounts.services.sessions import AccountInactive
from apps.tenants.services.tenants import create_tenant
from core.exceptions import NotAuthenticated, RuleViolated
from core.throttling.limits import Spent, spend


class EmailTaken(RuleViolated):
    """Somebody has registered with this e-mail address."""

    code = "email_taken"
    message = _("An account with this e-mail address exists already.")


class InvalidCredentials(NotAuthenticated):
    """Unknown e-mail address or wrong password; the answer does not say which."""

    code = "invalid_credentials"
    message = _("The e-mail address or the password is wrong.")


def register(
    *,
    email: str,
    password: str,
    first_name: str = "",
    last_name: str = "",
    phone: str = "",
    language: str = "en",
    client: str | None = None,
) -> User:
    """A new person with a personal tenant, or `EmailTaken`, `PasswordTooWeak` or `Throttled`.

    `client` is the network that asks; None when nobody outside does (a seed), and then nothing is counted.
    """
    user = User(email=email.strip().lower(), first_name=first_name, last_name=last_name, phone=phone, language=language)
    check_password_strength(password=password, user=user)
    if client is not None:
        spend({"register_client": client})
    user.set_password(password)
    with transaction.atomic():
        store_with_tenant(user)
        request_verification(user=user)
    return user


@transaction.atomic
def store_with_tenant(user: User) -> None:
    """Store a new person and make their personal tenant, or `EmailTaken`."""
    try:
        with transaction.atomic():
            user.save()
    except IntegrityError:
        raise EmailTaken(errors={"email": [EmailTaken.message]}) from None
    create_tenant(name=user.get_full_name() or user.email, owner_id=user.pk)


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


def check_credentials(*, email: str, password: str, client: str) -> User:
    """The person behind e-mail and password, or `InvalidCredentials`, `AccountInactive` or `Throttled`.

    An unknown e-mail address costs as much time as a wrong password, and is counted the same. The attempt is counted
    before the password is looked at, so a hundred at once are not a hundred guesses; a right password gives back its
    own count and no other. `client` is the network that asks.
    """
    counted = count_guess(email=email, client=client)
    user = find_user_by_email(email=email)
    if user is None:
        make_password(password)
        raise InvalidCredentials
    if not user.check_password(password):
        raise InvalidCredentials
    if not user.is_active:
        raise AccountInactive
    counted.give_back()
    return user


def count_guess(*, email: str, client: str) -> Spent:
    """Count an attempt to sign in before its password is looked at, or raise `Throttled`.

    Give it back when the password was right.
    """
    account = email.strip().lower()
    if is_known_client(email=account, client=client):
        return spend({"login_client": client, "login_known": f"{account} {client}"})
    return spend({"login_client": client, "login_account": account})
