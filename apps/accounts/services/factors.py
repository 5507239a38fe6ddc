"""Use cases for second factors: switch on, switch off, renew the recovery codes, help who has lost theirs."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from allauth.mfa.utils import decrypt, encrypt
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.methods import Method
from apps.accounts.models import AuthSession, TotpSetup, User
from apps.accounts.selectors import Principal, has_second_factor, summarise_factors
from apps.accounts.services.notices import Wording, send_notice
from apps.accounts.services.proofs import Change, MfaCodeInvalid, MfaNotEnabled, lock_person, step_of, tell
from apps.accounts.services.sessions import continue_session, end_all_sessions, require_alive
from apps.accounts.services.step_up import require_recent_authentication
from apps.accounts.tokens import TokenPair
from core.audit.actions import Action, ActorKind
from core.audit.record import record
from core.exceptions import Conflict, RuleViolated
from core.purge import delete_in_batches
from core.sealing import reseal


class MfaAlreadyEnabled(Conflict):
    """The account has a second factor. To move to another device, remove it first."""

    code = "mfa_already_enabled"
    message = gettext_lazy("Your account has a second factor already.")


class MfaSetupExpired(RuleViolated):
    """No set-up was begun within the last 30 minutes, or it was begun anew elsewhere."""

    code = "mfa_setup_expired"
    message = gettext_lazy("The set-up has expired. Please start again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TotpOffer:
    """What an authenticator app is given: by hand, by address, or as a picture of the address (a `data:` URL)."""

    secret: str
    otpauth_url: str
    qr: str
    expires_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """After a change of factors: the session that goes on, and new recovery codes when there are any."""

    principal: Principal
    tokens: TokenPair
    recovery_codes: Sequence[str] = ()


@transaction.atomic
def begin_totp(*, session: AuthSession) -> TotpOffer:
    """A new secret for an authenticator app, good once `confirm_totp` has seen a code of it. Or `MfaAlreadyEnabled`.

    Beginning again replaces the secret before.
    """
    person = _lock_for_change(session)
    if has_second_factor(user_id=person.pk):
        raise MfaAlreadyEnabled
    offer = offer_totp(user=person)
    kept = {"secret": encrypt(offer.secret), "expires_at": offer.expires_at}
    TotpSetup.objects.update_or_create(user=person, defaults=kept)
    return offer


def offer_totp(*, user: User) -> TotpOffer:
    """A new secret, in the forms in which authenticator apps take one. Stores nothing."""
    adapter, secret = get_adapter(), generate_totp_secret()
    url = adapter.build_totp_url(user, secret)
    picture = base64.b64encode(adapter.build_totp_svg(url).encode()).decode()
    return TotpOffer(
        secret=secret,
        otpauth_url=url,
        qr=f"data:image/svg+xml;base64,{picture}",
        expires_at=timezone.now() + settings.MFA_SETUP_LIFETIME,
    )


@transaction.atomic
def confirm_totp(*, session: AuthSession, code: str) -> Renewed:
    """Switch the factor on: `code` shows that the app has the secret. Ends every session but gives one back.

    `MfaAlreadyEnabled`, `MfaSetupExpired` or `MfaCodeInvalid`.
    """
    person = _lock_for_change(session)
    if has_second_factor(user_id=person.pk):
        raise MfaAlreadyEnabled
    setup = TotpSetup.objects.filter(user=person, expires_at__gt=timezone.now()).first()
    if setup is None:
        raise MfaSetupExpired
    secret = decrypt(setup.secret)
    codes = _activate(person, secret, step=step_of(secret, code))
    session.authenticated_at = timezone.now()
    session.methods = [*session.methods, Method.OTP.value]
    return _renew(person, session, Change.ENABLED, codes)


@transaction.atomic
def disable_totp(*, session: AuthSession) -> Renewed:
    """Switch the factor off, recovery codes included, or `MfaNotEnabled`. Ends every session but gives one back."""
    person = _lock_for_change(session)
    if not has_second_factor(user_id=person.pk):
        raise MfaNotEnabled
    Authenticator.objects.filter(user=person).delete()
    return _renew(person, session, Change.DISABLED)


@transaction.atomic
def renew_recovery_codes(*, session: AuthSession) -> Renewed:
    """New recovery codes in place of the old ones, or `MfaNotEnabled`. Ends every session but gives one back."""
    person = _lock_for_change(session)
    if not has_second_factor(user_id=person.pk):
        raise MfaNotEnabled
    return _renew(person, session, Change.RECOVERY_CODES, _new_recovery_codes(person))


@transaction.atomic
def enable_totp_for(*, user_id: UUID, secret: str, code: str) -> Sequence[str]:
    """Switch the factor on for somebody who has no session yet, by whoever has a shell. Returns the recovery codes.

    `MfaAlreadyEnabled` or `MfaCodeInvalid`.
    """
    person = lock_person(user_id)
    if has_second_factor(user_id=user_id):
        raise MfaAlreadyEnabled
    codes = _activate(person, secret, step=step_of(secret, code))
    _changed(person, Change.ENABLED)
    return codes


@transaction.atomic
def reset_factors(*, user_id: UUID, operator: User | None = None) -> bool:
    """Remove the factors of somebody who has lost them, for platform staff. Ends every session. False: there was none.

    `operator` is None for whoever has a shell.
    """
    person = lock_person(user_id, is_inactive_fine=True)
    removed, _rows = Authenticator.objects.filter(user=person).delete()
    if not removed:
        return False
    _changed(person, Change.RESET)
    record(Action.MFA_REMOVED, actor=operator, kind=ActorKind.STAFF if operator else ActorKind.SYSTEM, target=person)
    return True


def _lock_for_change(session: AuthSession) -> User:
    """The person, locked. The session must be fresh, and still be alive then: a change elsewhere may have ended it."""
    require_recent_authentication(session)
    person = lock_person(session.user_id)
    require_alive(session)
    return person


def _activate(person: User, secret: str, *, step: int | None) -> list[str]:
    if step is None:
        raise MfaCodeInvalid(errors={"code": [MfaCodeInvalid.message]})
    factor = TOTP.activate(person, secret).instance
    factor.data["last_step"] = step
    factor.save(update_fields=["data"])
    TotpSetup.objects.filter(user=person).delete()
    return _new_recovery_codes(person)


def _new_recovery_codes(person: User) -> list[str]:
    Authenticator.objects.filter(user=person, type=Authenticator.Type.RECOVERY_CODES).delete()
    codes: list[str] = RecoveryCodes.activate(person).generate_codes()
    return [f"{code[:4]}-{code[4:]}" for code in codes]


def _renew(person: User, session: AuthSession, change: Change, codes: Sequence[str] = ()) -> Renewed:
    _changed(person, change)
    principal, tokens = continue_session(session=session)
    return Renewed(principal=principal, tokens=tokens, recovery_codes=codes)


def _changed(person: User, change: Change) -> None:
    TotpSetup.objects.filter(user=person).delete()
    person.factors_changed_at = timezone.now()
    person.save(update_fields=["factors_changed_at", "updated_at"])
    end_all_sessions(user_id=person.pk, reason=AuthSession.Reason.NEW_FACTOR)
    tell(person, change)


def tell_factors_changed(*, user_id: UUID, change: str) -> None:
    """The notice: if it was not them, they learn it now."""

    def wording(user: User) -> Wording:
        subject, text = _wording(Change(change), summarise_factors(user=user).recovery_codes_left)
        warning = _("If this was not you, choose a new password at once and contact us.")
        return subject, f"{text} {warning}"

    send_notice(user_id=user_id, wording=wording)


def _wording(change: Change, codes_left: int) -> tuple[str, str]:
    if change == Change.ENABLED:
        return _("Second factor switched on"), _("Signing in now takes a code from your authenticator app as well.")
    if change == Change.DISABLED:
        return _("Second factor switched off"), _("Signing in no longer takes a code from your authenticator app.")
    if change == Change.RESET:
        text = _("Our staff removed the second factor of your account. You are signed out everywhere.")
        return _("Second factor removed"), text
    if change == Change.RECOVERY_CODES:
        return _("New recovery codes"), _("New recovery codes were made for your account. The old ones are void.")
    text = _("A recovery code was used in place of a code from your authenticator app. Codes left: %(count)d.")
    return _("A recovery code was used"), text % {"count": codes_left}


def reseal_factors() -> int:
    """Encrypt every stored secret under the newest key, so that older keys can go; returns how many."""
    count = 0
    for pk in Authenticator.objects.values_list("pk", flat=True).iterator():
        count += _reseal(pk)
    TotpSetup.objects.all().delete()  # minutes old: whoever is in the middle of it starts again
    return count


@transaction.atomic
def _reseal(pk: int) -> int:
    row = Authenticator.objects.select_for_update().filter(pk=pk).first()
    if row is None:
        return 0
    for name in ("secret", "seed"):
        if name in row.data:
            row.data[name] = reseal(row.data[name])
    row.save(update_fields=["data"])
    return 1


def purge_setups() -> None:
    """Forget secrets that were shown and never confirmed."""
    delete_in_batches(TotpSetup.objects.filter(expires_at__lt=timezone.now()))
