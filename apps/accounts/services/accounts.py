"""Use cases for accounts: register, prove a password."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.hashers import make_password
from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import User
from apps.accounts.selectors import Claimants, is_known_client, list_claimants
from apps.accounts.services.links import request_verification
from apps.accounts.services.passwords import check_password_strength
from apps.accounts.services.sessions import AccountInactive
from apps.tenants.selectors.members import find_member
from apps.tenants.services.members import change_role, get_managed_member, remove_member
from apps.tenants.services.tenants import create_tenant
from core.exceptions import NotAuthenticated, NotFound
from core.locks import lock_name
from core.tenancy import tenant_atomic
from core.throttling.limits import Spent, spend


class InvalidCredentials(NotAuthenticated):
    """Unknown e-mail address or wrong password; the answer does not say which."""

    code = "invalid_credentials"
    message = _("The e-mail address or the password is wrong.")


class DeletionPending(NotAuthenticated):
    """The password is right, and the person has asked for deletion: restore the account to sign in again."""

    code = "deletion_pending"
    message = _("This account is about to be deleted. Restore it if you want to keep it.")


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
    """A new person with a personal tenant; `PasswordTooWeak`, `AccountInactive`, `DeletionPending` or `Throttled`.

    Costs and answers the same whether the address is known or not: an address is a claim until it is proven, so a
    stranger gets an account that can never prove it, and the mail tells its owner. Who registers again with the
    password they have (the first answer was lost, or they forgot) is taken for who they are.

    `client` is the network that asks; None when nobody outside does (a seed), and then nothing is counted.
    """
    email = email.strip().lower()
    user = User(email=email, first_name=first_name, last_name=last_name, phone=phone, language=language)
    check_password_strength(password=password, user=user)
    if client is not None:
        # Also a guess at the password of whoever has the address.
        spend({"register_client": client, "register_account": email})
    user.set_password(password)
    claimants = list_claimants(email=email)
    known = _match_password(claimants, password)
    if known is not None:
        return _active(known)
    return _store_once(user, password, claimants)


@transaction.atomic
def _store_once(user: User, password: str, seen: Claimants) -> User:
    """Store the person; or, of two equal requests at once, give the second the person whom the first has stored."""
    lock_name(f"register:{user.email}")
    claimants = list_claimants(email=user.email)
    if claimants != seen:
        known = _match_password(claimants, password)
        if known is not None:
            return known
    store_with_tenant(user)
    request_verification(user=user)
    return user


@transaction.atomic
def store_with_tenant(user: User) -> None:
    """Store a new person and make their personal tenant."""
    user.save()
    create_tenant(name=user.get_full_name() or user.email, owner_id=user.pk)


def update_profile(*, user: User, **changes: str) -> User:
    """Change what a person may change about themselves: names and language."""
    for name in ("first_name", "last_name", "language"):
        if name in changes:
            setattr(user, name, changes[name])
    user.save(update_fields=["first_name", "last_name", "language", "updated_at"])
    return user


@tenant_atomic
def change_person(*, actor_id: UUID, user_id: UUID, role: str | None = None, **names: str) -> None:
    """Change a person of the current tenant: their names, and their role in it.

    Oneself, or as an admin somebody else; `NotFound`, `AdminsOnly`, `OwnersOnly`, `LastOwner`. What an account is
    entered by (e-mail, phone, password) belongs to its person alone, who may be in other tenants too.
    """
    if user_id == actor_id:
        member = find_member(user_id=user_id)
        if member is None:
            raise NotFound
    else:
        member = get_managed_member(actor_id=actor_id, user_id=user_id)
    if role is not None and role != member.role:
        change_role(actor_id=actor_id, member_id=member.pk, role=role)
    update_profile(user=member.user, **names)


@tenant_atomic
def remove_person(*, actor_id: UUID, user_id: UUID) -> None:
    """Take a person out of the current tenant, as an admin: `NotFound`, `AdminsOnly`, `OwnersOnly`, `LastOwner`."""
    member = get_managed_member(actor_id=actor_id, user_id=user_id)
    remove_member(actor_id=actor_id, member_id=member.pk)


def create_operator(*, email: str, password: str) -> User:
    """A member of the platform's staff: everything in the admin, no tenant of their own."""
    return User.objects.create_superuser(email, password)


def check_credentials(*, email: str, password: str, client: str) -> User:
    """The active person behind e-mail and password: `InvalidCredentials`, `AccountInactive`, `DeletionPending`,
    `Throttled`.
    """
    return _active(find_by_credentials(email=email, password=password, client=client))


def find_by_credentials(*, email: str, password: str, client: str) -> User:
    """The person behind e-mail and password, active or not; `InvalidCredentials` or `Throttled`.

    An unknown e-mail address costs as much time as a wrong password, and is counted the same. The attempt is counted
    before the password is looked at, so a hundred at once are not a hundred guesses; a right password gives back its
    own count and no other. `client` is the network that asks.
    """
    counted = count_guess(email=email, client=client)
    user = _match_password(list_claimants(email=email), password)
    if user is None:
        raise InvalidCredentials
    if user.is_active:
        counted.give_back()
    return user


def _active(user: User) -> User:
    if user.is_leaving:
        raise DeletionPending
    if not user.is_active:
        raise AccountInactive
    return user


def _match_password(claimants: Claimants, password: str) -> User | None:
    """Who of them has this password. Always two hashes, so that the time says nothing about who exists."""
    found = None
    for user in claimants:
        if user is None:
            make_password(password)
        elif user.check_password(password):
            found = found or user
    return found


def count_guess(*, email: str, client: str) -> Spent:
    """Count an attempt to sign in before its password is looked at, or raise `Throttled`.

    Give it back when the password was right.
    """
    account = email.strip().lower()
    if is_known_client(email=account, client=client):
        return spend({"login_client": client, "login_known": f"{account} {client}"})
    return spend({"login_client": client, "login_account": account})
