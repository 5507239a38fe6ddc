"""Use cases for a person's phone number: prove it, change it.

A number is a claim until a code that was texted to it comes back. One account at a time can have proven a number, and
the newest proof counts: operators give a number that was given up to somebody else, and whoever holds it now could
otherwise sign in to the account of whoever held it before.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy

from apps.accounts.models import AuthSession, User, VerificationCode
from apps.accounts.selectors import Principal
from apps.accounts.services.codes import OtpInvalid, guess_code, request_code
from apps.accounts.services.notices import send_notice
from apps.accounts.services.sessions import continue_session, end_all_sessions, require_alive
from apps.accounts.services.step_up import require_proof
from apps.accounts.tokens import TokenPair
from apps.messaging.services.messages import queue_message
from apps.messaging.services.templates import render
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import RuleViolated
from core.locks import lock_name
from core.outbox.publisher import publish
from core.tenancy import tenant_atomic

Purpose = VerificationCode.Purpose


class PhoneMissing(RuleViolated):
    """There is no number to prove: give one by changing it."""

    code = "phone_missing"
    message = gettext_lazy("Your account has no phone number yet.")


def request_phone_proof(*, user: User) -> VerificationCode:
    """Have a code sent to the person's own number, or `PhoneMissing` or `Throttled`. Not inside a transaction."""
    if not user.phone:
        raise PhoneMissing
    return request_code(purpose=Purpose.VERIFY_PHONE, phone=user.phone, user=user)


def request_phone_change(*, session: AuthSession, phone: str, password: str = "") -> VerificationCode:
    """Have a code sent to a new number, which moves in when the code comes back. Not inside a transaction.

    Needs the password or a fresh proof of identity: `WrongPassword`, `ReauthenticationRequired` or `Throttled`. Whether
    the number belongs to somebody is not told.
    """
    require_proof(session=session, password=password)
    return request_code(purpose=Purpose.CHANGE_PHONE, phone=phone, user=session.user)


def confirm_phone(*, user: User, challenge: UUID, guess: str) -> None:
    """Take a code as proof of the person's own number, or `OtpInvalid` or `OtpLocked`. Not inside a transaction."""
    with transaction.atomic():
        code = guess_code(purpose=Purpose.VERIFY_PHONE, challenge=challenge, guess=guess, user=user)
        is_proven = code is not None and code.phone == user.phone
        if is_proven:
            _prove(user, user.phone)
    if not is_proven:
        raise OtpInvalid


def confirm_phone_change(*, session: AuthSession, challenge: UUID, guess: str) -> tuple[Principal, TokenPair]:
    """Take a code as proof of a new number, which moves in; or `OtpInvalid` or `OtpLocked`. Not inside a transaction.

    Every session of the person ends, theirs too, in whose place a new one is answered. Whoever reads the old number or
    the mailbox is told.
    """
    done = _change(session, challenge=challenge, guess=guess)
    if done is None:
        raise OtpInvalid
    return done


@tenant_atomic
def _change(session: AuthSession, *, challenge: UUID, guess: str) -> tuple[Principal, TokenPair] | None:
    user = session.user
    code = guess_code(purpose=Purpose.CHANGE_PHONE, challenge=challenge, guess=guess, user=user)
    if code is None:
        return None
    if user.is_phone_verified and user.phone != code.phone:
        text = render("phone_changed", language=user.language, channel="sms", values={}).text
        key = f"phone-changed:{code.pk}"
        queue_message(channel="sms", to=user.phone, text=text, key=key, kind="security")
    before = user.phone
    _prove(user, code.phone)
    require_alive(session)  # now that the person is locked
    told = {"from": before, "to": code.phone}
    record(Action.PHONE_CHANGED, actor=user, target=user, data=told)
    end_all_sessions(user_id=user.pk, reason=AuthSession.Reason.NEW_PHONE)
    return continue_session(session=session)


def _prove(user: User, phone: str) -> None:
    """The number is `user`'s now, and nobody else's any more."""
    lock_name(f"phone:{phone}")  # two proofs at once: one after the other
    now = timezone.now()
    held = Q(phone=phone, phone_verified_at__isnull=False)
    # In one order, or two people who exchange their numbers deadlock.
    for each in User.objects.select_for_update().filter(held | Q(pk=user.pk)).order_by("pk"):
        if each.pk != user.pk:
            User.objects.filter(pk=each.pk).update(phone_verified_at=None, updated_at=now)
            publish("account.phone_lost", {"user_id": str(each.pk)})
    User.objects.filter(pk=user.pk).update(phone=phone, phone_verified_at=now, updated_at=now)
    if not (user.is_phone_verified and user.phone == phone):
        publish("account.phone_proven", {"user_id": str(user.pk)})
    user.phone, user.phone_verified_at = phone, now


def tell_phone_proven(*, user_id: UUID) -> None:
    """The notice: another way to sign in. If it was not them, they learn it now."""
    _tell(
        user_id,
        gettext_lazy("A phone number was confirmed"),
        gettext_lazy(
            "A phone number was confirmed for your account; it can be used to sign in now. If this was not you, reset "
            "your password at once and contact us."
        ),
    )


def tell_phone_lost(*, user_id: UUID) -> None:
    """The notice to whoever had proven a number before."""
    _tell(
        user_id,
        gettext_lazy("Your phone number is no longer confirmed"),
        gettext_lazy(
            "Somebody else has confirmed the phone number of your account as theirs, so it no longer signs you in. If "
            "it is still yours, sign in with your password and confirm it again."
        ),
    )


def _tell(user_id: UUID, subject: object, text: object) -> None:
    send_notice(user_id=user_id, wording=lambda _user: (str(subject), str(text)))
