"""People with a second factor, and the authenticator app in their hands.

The app is written from RFC 4226 and RFC 6238 alone, so that it can disagree with the code under test.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from apps.accounts.models import AuthSession
from apps.accounts.services.factors import begin_totp, enable_totp_for, offer_totp
from apps.accounts.services.proofs import MfaCodeInvalid
from tests.factories.accounts import Member, signed_in_again


def totp(key: bytes, at: float, *, digits: int = 6) -> str:
    """RFC 6238 with its defaults: HMAC-SHA-1 over the number of 30 second steps since 1970."""
    mac = hmac.new(key, (int(at) // 30).to_bytes(8, "big"), hashlib.sha1).digest()
    offset = mac[19] & 15
    number = int.from_bytes(mac[offset : offset + 4], "big") & 0x7FFFFFFF
    return str(number % 10**digits).rjust(digits, "0")


@dataclass(frozen=True)
class Phone:
    """An authenticator app, and the recovery codes that its owner has written down."""

    secret: str
    recovery_codes: Sequence[str] = ()

    def code(self, steps: int = 0) -> str:
        """What the app shows now, or so many steps of 30 seconds later."""
        return totp(base64.b32decode(self.secret), time.time() + 30 * steps)

    def wrong_code(self) -> str:
        """Six digits that are no code of these two minutes."""
        good = {self.code(steps) for steps in range(-2, 3)}
        return next(code for code in ("000000", "111111", "222222", "333333", "444444", "555555") if code not in good)


def phone_being_set_up(member: Member) -> Phone:
    """The secret was shown and stands in the app; nothing is in force yet."""
    return Phone(begin_totp(session=AuthSession.objects.filter(user=member.user, revoked_at=None)[0]).secret)


def with_second_factor(member: Member) -> tuple[Member, Phone]:
    """`member`, signed in anew, and their app. The code of the step before is used up."""
    secret = offer_totp(user=member.user).secret
    codes = enable_with_the_code_before(user_id=member.user.pk, secret=secret)
    member.user.refresh_from_db()
    return signed_in_again(member), Phone(secret, codes)


def enable_with_the_code_before(*, user_id: UUID, secret: str) -> Sequence[str]:
    """Switch the factor on with the code of the step before, so that the code of now is still unused."""
    try:
        return enable_totp_for(user_id=user_id, secret=secret, code=Phone(secret).code(-1))
    except MfaCodeInvalid:  # a step began between the reading of the code and its use
        return enable_totp_for(user_id=user_id, secret=secret, code=Phone(secret).code(-1))


def with_second_factor_still_signed_in(member: Member) -> Phone:
    """As `with_second_factor`, with the sessions of before alive, for tests that hold their tokens."""
    sessions = list(AuthSession.objects.filter(user=member.user, revoked_at=None).values_list("pk", flat=True))
    phone = with_second_factor(member)[1]
    AuthSession.objects.filter(pk__in=sessions).update(revoked_at=None, revoked_reason="")
    return phone
