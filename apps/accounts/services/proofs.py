"""Use cases for using up the codes of a second factor.

The rows, the secrets and the arithmetic are django-allauth's; its memory of used codes is not used. That memory is the
cache, which may forget, and forgets after one step of 30 seconds although a code is good for three. Here the row says
which step was used last, and no code of that step or an earlier one is good again (RFC 6238, 5.2).

Everything that reads a code or changes a factor first locks the person's row. So of twenty simultaneous uses of one
code one wins, and what a request decided on is still so when it writes.
"""

from __future__ import annotations

from uuid import UUID

from allauth.core.internal.cryptokit import compare_user_code
from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value, yield_hotp_counters_from_time
from allauth.mfa.utils import decrypt
from django.db import models, transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.methods import Method
from apps.accounts.models import User
from apps.accounts.selectors import is_known_network
from apps.accounts.services.sessions import AccountInactive
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import RuleViolated
from core.outbox.publisher import publish
from core.throttling.limits import Spent, spend


class MfaCodeInvalid(RuleViolated):
    """The code is wrong, too old, or has been used; the answer does not say which. Each code works once."""

    code = "mfa_code_invalid"
    message = _("This code is not valid. Wait for the next one and try again.")


class MfaNotEnabled(RuleViolated):
    """The account has no second factor."""

    code = "mfa_not_enabled"
    message = _("Your account has no second factor.")


class Change(models.TextChoices):
    """What a person is told by mail."""

    ENABLED = "enabled"
    DISABLED = "disabled"
    RESET = "reset"
    RECOVERY_CODES = "recovery_codes"
    RECOVERY_CODE_USED = "recovery_code_used"


# RESET is not here: its line names the operator.
ACTIONS = {
    Change.ENABLED: Action.MFA_ENABLED,
    Change.DISABLED: Action.MFA_DISABLED,
    Change.RECOVERY_CODES: Action.MFA_RECOVERY_CODES_MADE,
    Change.RECOVERY_CODE_USED: Action.MFA_RECOVERY_CODE_USED,
}


def lock_person(user_id: UUID, *, is_inactive_fine: bool = False) -> User:
    """The person, whose proofs nobody else uses or changes until the transaction ends; or `AccountInactive`."""
    # Not the key: their sessions and payments name them in foreign keys, and must not wait for this.
    person = User.objects.select_for_update(no_key=True).filter(pk=user_id).first()
    if person is None or not (person.is_active or is_inactive_fine):
        raise AccountInactive
    return person


def tell(person: User, change: Change) -> None:
    """Have the notice about `change` sent, and write the audit line. Call inside a transaction."""
    if change in ACTIONS:
        record(ACTIONS[change], actor=person, target=person)
    publish("account.factors_changed", {"user_id": str(person.pk), "change": change.value})


def count_code_guess(*, user_id: UUID, client: str) -> Spent:
    """Count a code before it is looked at, or raise `Throttled`. Give it back when the code was right."""
    if is_known_network(user_id=user_id, client=client):
        return spend({"login_client": client, "mfa_known": f"{user_id} {client}"})
    return spend({"login_client": client, "mfa_account": user_id})


def prove_factor(*, user: User, code: str = "", recovery_code: str = "") -> Method:
    """Use up a code of the app, or a recovery code; `MfaCodeInvalid` or `MfaNotEnabled`.

    `user` must be locked by this transaction (`lock_person`).
    """
    factors = {row.type: row for row in Authenticator.objects.filter(user_id=user.pk)}
    totp = factors.get(Authenticator.Type.TOTP)
    if totp is None:
        raise MfaNotEnabled
    if code:
        _use_code(totp, code)
        return Method.OTP
    _use_recovery_code(factors.get(Authenticator.Type.RECOVERY_CODES), recovery_code)
    tell(user, Change.RECOVERY_CODE_USED)
    return Method.RECOVERY


def prove_with_any_code(*, user: User, code: str, client: str) -> None:
    """As `prove_factor`, for a form with one field for both kinds of code. `Throttled` too, so not in a transaction."""
    counted = count_code_guess(user_id=user.pk, client=client)
    is_recovery_code = sum(character.isdigit() for character in code) > app_settings.TOTP_DIGITS
    with transaction.atomic():
        person = lock_person(user.pk)
        if is_recovery_code:
            prove_factor(user=person, recovery_code=code)
        else:
            prove_factor(user=person, code=code)
    counted.give_back()


def _use_code(totp: Authenticator, code: str) -> None:
    step = step_of(decrypt(totp.data["secret"]), code, after=totp.data.get("last_step", 0))
    if step is None:
        raise MfaCodeInvalid(errors={"code": [MfaCodeInvalid.message]})
    totp.data["last_step"], totp.last_used_at = step, timezone.now()
    totp.save(update_fields=["data", "last_used_at"])


def _use_recovery_code(row: Authenticator | None, code: str) -> None:
    if row is None or not (codes := RecoveryCodes(row)).validate_code(code):
        raise MfaCodeInvalid(errors={"recovery_code": [MfaCodeInvalid.message]})
    codes.instance.record_usage()


def step_of(secret: str, code: str, *, after: int = 0) -> int | None:
    """The step of 30 seconds whose code this is: now, or one early or late; None when there is none after `after`."""
    found = None
    for step in yield_hotp_counters_from_time():
        is_right = compare_user_code(actual=code, expected=format_hotp_value(hotp_value(secret, step)))
        if is_right and step > after:
            found = step
    return found
