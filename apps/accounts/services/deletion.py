"""Use cases for the end of an account: ask for it, take it back, carry it out.

From the request on the account is not active, so every door is shut that asks for that: sessions, API keys, the admin.
After the days of grace an event that was written with the request has the person redacted, in one transaction: a crash
leaves all or nothing, and a repetition finds nothing to do. Payments stay, under way or settled: they are the books of
the tenant, and name the person by an id that has become nobody's.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.conf import settings
from django.contrib.admin.models import LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from apps.accounts.models import AuthSession, EmailLink, MfaChallenge, TotpSetup, User, VerificationCode
from apps.accounts.selectors import subject_of
from apps.accounts.services.accounts import InvalidCredentials, find_by_credentials
from apps.accounts.services.notices import Wording, send_notice
from apps.accounts.services.sessions import AccountInactive, end_all_sessions
from apps.accounts.services.step_up import ReauthenticationRequired, require_recent_authentication
from apps.tenants.services.deletion import SoleOwner, lock_tenants_of, refuse_sole_owner
from core.audit.actions import Action
from core.audit.record import record
from core.crash import crash_point
from core.outbox.models import OutboxEvent
from core.outbox.publisher import publish
from core.personal_data import Subject, personal_data

# How `request_deletion` can refuse, for the schema.
DELETION_REFUSALS = (ReauthenticationRequired, SoleOwner)


@transaction.atomic
def request_deletion(*, session: AuthSession) -> datetime:
    """Shut the account of the session's person and have it deleted after the grace; returns when.

    `ReauthenticationRequired`, `SoleOwner`, or `AccountInactive` when another request was first.
    """
    require_recent_authentication(session)
    refuse_sole_owner(user_id=session.user_id)
    user = User.objects.select_for_update(no_key=True).get(pk=session.user_id)
    if not user.is_active:
        raise AccountInactive
    due_at = timezone.now() + settings.ACCOUNT_DELETION_GRACE
    user.is_active, user.deletion_due_at = False, due_at
    user.save(update_fields=["is_active", "deletion_due_at", "updated_at"])
    end_all_sessions(user_id=user.pk, reason=AuthSession.Reason.DELETION)
    told = {"user_id": str(user.pk)}
    publish("account.deletion_requested", told)
    publish("account.deletion_due", told, delay=settings.ACCOUNT_DELETION_GRACE)
    record(Action.ACCOUNT_DELETION_REQUESTED, actor=user, target=user)
    return due_at


def restore_account(*, email: str, password: str, client: str) -> None:
    """Take a deletion back; `InvalidCredentials`, `AccountInactive` (not by their own wish) or `Throttled`.

    An account that is active already is fine. Opens no session: signing in asks whatever else it asks.
    """
    user = find_by_credentials(email=email, password=password, client=client)
    if user.is_leaving:
        # One statement: the deletion, which looks again under its lock, has either happened or will not.
        leaving = User.objects.filter(pk=user.pk, deletion_due_at__isnull=False)
        with transaction.atomic():
            if not leaving.update(is_active=True, deletion_due_at=None, updated_at=timezone.now()):
                raise InvalidCredentials
            record(Action.ACCOUNT_DELETION_CANCELLED, actor=user, target=user)
    elif not user.is_active:
        raise AccountInactive


def tell_deletion(*, user_id: UUID) -> None:
    """The notice, with the date: if it was not them, they can still take it back."""

    def wording(user: User) -> Wording | None:
        if user.deletion_due_at is None:
            return None
        text = _(
            "Your account will be deleted on %(date)s. Until then you can keep it: open this link and sign in.\n\n"
            "%(url)s\n\nIf you did not ask for this, do so at once, choose a new password and contact us."
        )
        told = {
            "date": date_format(timezone.localtime(user.deletion_due_at), "DATE_FORMAT"),
            "url": f"{settings.FRONTEND_URL}/restore-account",
        }
        return _("Your account will be deleted"), text % told

    send_notice(user_id=user_id, wording=wording)


@transaction.atomic
def erase_account(*, user_id: UUID) -> None:
    """Carry out a deletion whose time has come. Does nothing when it was taken back, put off, or done already."""
    lock_tenants_of(user_id=user_id)
    user = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if user is None or user.deletion_due_at is None or user.deletion_due_at > timezone.now():
        return
    subject = subject_of(user)
    for erase in personal_data().erasers:
        erase(subject=subject)
        crash_point("person_partly_erased")
    record(Action.ACCOUNT_DELETED, target=user_id)  # by the id: the row in hand still knows the address


@transaction.atomic
def redact_person(*, subject: Subject) -> None:
    """Leave of a person the id that payments name, and nothing by which anybody would know them.

    The address is free for a new account. Sessions stay as empty rows until they are purged: whoever still shows a
    token of one is told that the account is not active.
    """
    user = User.objects.get(pk=subject.id)
    # Also without proof: what was asked for by this address was asked for by whoever claims it.
    resets = OutboxEvent.objects.filter(name="account.reset_requested", payload__email=user.email)
    resets.filter(Q(done_at__isnull=False) | Q(dead_at__isnull=False)).delete()
    user.email, user.email_verified_at = subject.placeholder, None
    phone, user.phone_verified_at = user.phone, None
    user.first_name = user.last_name = user.phone = ""
    user.is_active = user.is_staff = user.is_superuser = False
    user.deletion_due_at, user.deleted_at, user.last_login = None, timezone.now(), None
    user.factors_changed_at = None
    user.set_unusable_password()
    user.save()
    user.groups.clear()
    user.user_permissions.clear()
    for model in (EmailLink, MfaChallenge, TotpSetup, Authenticator, SocialAccount):
        model._base_manager.filter(user=user).delete()
    # Codes for signing in name a number and no person: the number counts if they have proven it.
    VerificationCode.objects.filter(Q(user=user) | Q(phone=phone, phone__in=subject.proven)).delete()
    end_all_sessions(user_id=user.pk, reason=AuthSession.Reason.DELETION)
    AuthSession.objects.filter(user=user).update(user_agent="", client_key="", updated_at=timezone.now())
    # The admin's history of the person shows them by their address.
    history = LogEntry.objects.filter(content_type=ContentType.objects.get_for_model(User), object_id=str(user.pk))
    history.update(object_repr=subject.placeholder)
