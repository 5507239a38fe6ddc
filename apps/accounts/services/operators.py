"""Use cases of platform staff about people: bring, change, deactivate, end sessions. Each leaves an audit line.

Staff and superusers are changed by superusers only: an operator who could give a superuser another e-mail address could
then reset the password and be that superuser.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from uuid import UUID

from django.contrib.auth.models import Permission
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import AuthSession, User
from apps.accounts.selectors import find_user_by_email
from apps.accounts.services.accounts import store_with_tenant
from apps.accounts.services.links import issue_reset_link
from apps.accounts.services.passwords import set_password
from apps.accounts.services.sessions import end_all_sessions
from core.audit.actions import Action, ActorKind
from core.audit.record import record
from core.exceptions import NotFound, NotPermitted, RuleViolated
from core.locks import lock_name

STAFF = ActorKind.STAFF
RIGHTS = ("is_staff", "is_superuser")


class EmailTaken(RuleViolated):
    """Somebody else has this e-mail address, or claims it. Told to operators only: registering tells nobody."""

    code = "email_taken"
    message = _("An account with this e-mail address exists already.")


def may_manage(*, operator: User, person: User) -> bool:
    """Whether `operator` may change `person` at all; whether they have the permission is the admin's question."""
    return operator.is_superuser or not (person.is_staff or person.is_superuser)


@transaction.atomic
def bring_person(
    *,
    operator: User,
    email: str,
    first_name: str = "",
    last_name: str = "",
    phone: str = "",
    language: str = "en",
) -> User:
    """A person from another system, with a personal tenant and no password: they choose one by a reset link.

    Nothing is mailed. `EmailTaken` when there is such a person already.
    """
    user = User(email=email.strip().lower(), first_name=first_name, last_name=last_name, phone=phone, language=language)
    _refuse_taken(user)
    user.set_unusable_password()
    store_with_tenant(user)
    record(Action.ACCOUNT_CREATED, actor=operator, kind=STAFF, target=user)
    return user


@transaction.atomic
def change_person(*, operator: User, user: User, changed: Collection[str]) -> None:
    """Store what was `changed` in `user`. Another e-mail address or phone is a claim; the former ends every session.

    `NotPermitted` for staff changed by anybody but a superuser, `EmailTaken`.
    """
    before = _lock(user.pk, operator)
    if set(changed) & set(RIGHTS) and not operator.is_superuser:
        raise NotPermitted
    user.email = user.email.strip().lower()
    if user.email != before.email:
        _refuse_taken(user)
        user.email_verified_at = None
    if user.phone != before.phone:
        user.phone_verified_at = None
    user.save()
    if user.email != before.email:
        end_all_sessions(user_id=user.pk, reason=AuthSession.Reason.STAFF)
        told = {"from": before.email, "to": user.email}
        record(Action.EMAIL_CHANGED, actor=operator, kind=STAFF, target=user, data=told)
    others = sorted(set(changed) - {"email", *RIGHTS, "user_permissions"})
    if others:
        record(Action.ACCOUNT_CHANGED, actor=operator, kind=STAFF, target=user, data={"fields": others})


@transaction.atomic
def record_rights(*, operator: User, user: User, before: dict[str, bool], held: Iterable[Permission]) -> None:
    """The audit line of a change of rights, if there was one.

    `before` has the marks of `RIGHTS` and `held` the permissions, as they were before the change.
    """
    old = {f"{each.content_type.app_label}.{each.codename}" for each in held}
    now = {
        f"{each.content_type.app_label}.{each.codename}"
        for each in user.user_permissions.select_related("content_type")
    }
    told: dict[str, object] = {
        name: [before[name], getattr(user, name)] for name in RIGHTS if before[name] != getattr(user, name)
    }
    told |= {name: found for name, found in (("given", now - old), ("taken", old - now)) if found}
    if told:
        record(Action.STAFF_RIGHTS_CHANGED, actor=operator, kind=STAFF, target=user, data=told)


@transaction.atomic
def deactivate_person(*, operator: User, user_id: UUID, reason: str = "") -> bool:
    """Refuse the person from their next request on and end their sessions. False: they were inactive.

    Somebody who is leaving can no longer come back, and is not deleted either: whoever is shut out keeps their traces.
    `NotPermitted` for oneself, and for staff unless the operator is a superuser.
    """
    user = _lock(user_id, operator)
    if user.pk == operator.pk:
        raise NotPermitted
    if not user.is_active and not user.is_leaving:
        return False
    User.objects.filter(pk=user.pk).update(is_active=False, deletion_due_at=None, updated_at=timezone.now())
    ended = end_all_sessions(user_id=user.pk, reason=AuthSession.Reason.DEACTIVATED)
    told = {"reason": reason, "sessions": ended}
    record(Action.ACCOUNT_DEACTIVATED, actor=operator, kind=STAFF, target=user, data=told)
    return True


@transaction.atomic
def reactivate_person(*, operator: User, user_id: UUID) -> bool:
    """Let the person sign in again; their old sessions stay ended. `NotPermitted`.

    Takes the deletion of somebody who is leaving back. False: they were active, or have been deleted.
    """
    user = _lock(user_id, operator)
    if user.is_active or user.deleted_at is not None:
        return False
    User.objects.filter(pk=user.pk).update(is_active=True, deletion_due_at=None, updated_at=timezone.now())
    record(Action.ACCOUNT_REACTIVATED, actor=operator, kind=STAFF, target=user)
    return True


@transaction.atomic
def end_sessions_of_person(*, operator: User, user_id: UUID) -> bool:
    """End every session of a person. False: there was none. `NotPermitted`."""
    user = _lock(user_id, operator)
    ended = end_all_sessions(user_id=user.pk, reason=AuthSession.Reason.STAFF)
    if ended:
        record(Action.SESSIONS_ENDED, actor=operator, kind=STAFF, target=user, data={"sessions": ended})
    return ended > 0


@transaction.atomic
def end_session_of_person(*, operator: User, session_id: UUID) -> bool:
    """End one session of anybody. False: it had ended. `NotFound`, `NotPermitted`."""
    session = AuthSession.objects.select_related("user").filter(pk=session_id).first()
    if session is None:
        raise NotFound
    if not may_manage(operator=operator, person=session.user):
        raise NotPermitted
    live = AuthSession.objects.filter(pk=session_id, revoked_at=None)
    if not live.update(revoked_at=timezone.now(), revoked_reason=AuthSession.Reason.STAFF):
        return False
    record(Action.SESSION_ENDED, actor=operator, kind=STAFF, target=session.user, data={"session": session_id})
    return True


@transaction.atomic
def send_reset_to_person(*, operator: User, user_id: UUID) -> bool:
    """Mail a reset link to a person. False: they are inactive. `NotPermitted`."""
    user = _lock(user_id, operator)
    if not user.is_active:
        return False
    issue_reset_link(email=user.email)
    record(Action.PASSWORD_RESET_SENT, actor=operator, kind=STAFF, target=user)
    return True


@transaction.atomic
def change_operators_password(*, operator: User, password: str) -> None:
    """An operator's own password, from the admin, which has asked for the old one. `PasswordTooWeak`."""
    set_password(user=operator, password=password)
    record(Action.PASSWORD_CHANGED, actor=operator, target=operator)


@transaction.atomic
def record_admin_login(*, user: User, **_signal: object) -> None:
    """The audit line of a sign-in to the admin: nothing else signs in through Django's own sessions."""
    record(Action.ADMIN_SIGNED_IN, actor=user, kind=STAFF, target=user)


def _refuse_taken(user: User) -> None:
    lock_name(f"register:{user.email}")
    holder = find_user_by_email(email=user.email)
    if holder is not None and holder.pk != user.pk:
        raise EmailTaken(errors={"email": [EmailTaken.message]})


def _lock(user_id: UUID, operator: User) -> User:
    """The person, whom nobody else changes until the transaction ends; `NotFound` or `NotPermitted`."""
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None:
        raise NotFound
    if not may_manage(operator=operator, person=user):
        raise NotPermitted
    return user
