"""Use cases for passwords: strength, change, and the notice that goes out."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import AuthSession, User
from apps.accounts.services.notices import Wording, send_notice
from apps.accounts.services.sessions import end_all_sessions
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import Malformed, RuleViolated
from core.outbox.publisher import publish


class PasswordTooWeak(Malformed):
    """The new password is too short, too common, or too like the person's name or e-mail address."""

    code = "validation_error"
    message = gettext_lazy("Please correct the marked fields.")


class WrongPassword(RuleViolated):
    """Somebody who is signed in did not know the current password."""

    code = "wrong_password"
    message = gettext_lazy("The current password is wrong.")


def check_password_strength(*, password: str, user: User, field: str = "password") -> None:
    """Refuse a weak password with `PasswordTooWeak`, naming every fault under `field`."""
    try:
        validate_password(password, user)
    except DjangoValidationError as faults:
        raise PasswordTooWeak(errors={field: faults.messages}) from None


def check_own_password(*, user: User, password: str, field: str = "password") -> None:
    """Let somebody who is signed in prove themselves again, or `WrongPassword` under `field`."""
    if not user.check_password(password):
        raise WrongPassword(errors={field: [WrongPassword.message]})


@transaction.atomic
def change_password(*, user: User, current_password: str, new_password: str) -> None:
    """Replace the password of somebody who is signed in; every session ends, theirs too (the view opens a new one)."""
    check_own_password(user=user, password=current_password, field="current_password")
    set_password(user=user, password=new_password, field="new_password")
    record(Action.PASSWORD_CHANGED, actor=user, target=user)


def set_password(*, user: User, password: str, field: str = "password") -> None:
    """Store a new password, end every session, and tell the person. Call inside a transaction."""
    check_password_strength(password=password, user=user, field=field)
    user.set_password(password)
    user.save(update_fields=["password", "updated_at"])
    end_all_sessions(user_id=user.pk, reason=AuthSession.Reason.NEW_PASSWORD)
    publish("account.password_changed", {"user_id": str(user.pk)})


def tell_password_changed(*, user_id: UUID) -> None:
    """The notice: if it was not them, they learn it now."""

    def wording(_user: User) -> Wording:
        text = _("The password of your account was changed. If this was not you, reset it at once and contact us.")
        return _("Your password was changed"), text

    send_notice(user_id=user_id, wording=wording)
