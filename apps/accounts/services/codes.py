"""Use cases for codes that are texted to prove a phone number: ask for one, send it, guess it.

A code stands nowhere. It is a function of its row and the server's key, so the worker that sends it, a repetition after
a crash and the comparison all make the same one. Nothing here tells whether a number belongs to anybody: a request
makes the same row for every number, the look-up is the worker's, and a wrong guess is compared in the same way.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy

from apps.accounts.models import User, VerificationCode
from apps.accounts.selectors import find_user_by_phone
from apps.messaging.services.guard import note_verified, refuse_paused
from apps.messaging.services.messages import queue_message
from apps.messaging.services.numbers import PhoneNotSupported, check_phone
from apps.messaging.services.templates import render
from apps.tenants.selectors.tenants import find_first_tenant
from core.derived import derive_digits
from core.exceptions import RuleViolated, TooManyRequests
from core.outbox.publisher import publish
from core.purge import delete_in_batches
from core.tenancy import find_current_tenant_id, tenant_scope
from core.throttling.limits import Throttled, spend
from services.sms.numbers import look_up

Purpose = VerificationCode.Purpose
DIGITS = 6
ONE_TEXT = 160  # characters of the GSM alphabet (3GPP TS 23.038) that fit one text message
Recipient = tuple[User, UUID]


class OtpInvalid(RuleViolated):
    """Not the code of this challenge; or the challenge is used, expired, replaced, of another purpose or made up."""

    code = "otp_invalid"
    message = gettext_lazy("This code is not right, or no longer valid.")


class OtpLocked(TooManyRequests):
    """Five guesses at this challenge were wrong. No other one will be looked at: ask for a new code."""

    code = "otp_locked"
    message = gettext_lazy("Too many wrong codes. Please ask for a new one.")


# How a request for a code can be refused, for the schema.
CODE_REFUSALS = (PhoneNotSupported, Throttled)


def request_login_code(*, phone: str, client: str) -> VerificationCode:
    """Have a code sent with which the person who has proven `phone` can sign in, or `Throttled`.

    Costs and answers the same for every number. `client` is the network that asks.
    """
    return request_code(purpose=Purpose.LOGIN, phone=phone, limits={"otp_client": client})


def request_code(
    *, purpose: str, phone: str, user: User | None = None, limits: dict[str, str] | None = None
) -> VerificationCode:
    """A new challenge for `phone` (E.164), or `Throttled`; it replaces the open ones of its purpose and its asker.

    Must not run inside a transaction. `limits` are counted besides those of the number, of its prefix and country, and
    of all codes; each request counts, whether or not somebody has the number. `PhoneNotSupported` for a number to which
    no texts go, whoever has it.
    """
    number = check_phone(phone)
    refuse_paused(number)
    spend(
        {
            "otp_resend": phone,
            "otp_phone": phone,
            "otp_phone_daily": phone,
            "otp_prefix": number.prefix,
            "otp_country": number.country,
            "otp_platform": "all",
            **(limits or {}),
        }
    )
    now = timezone.now()
    with transaction.atomic():
        older = VerificationCode.objects.filter(purpose=purpose, user=user, used_at=None)
        (older.filter(phone=phone) if user is None else older).update(used_at=now)
        code = VerificationCode.objects.create(
            user=user, purpose=purpose, phone=phone, expires_at=now + settings.OTP_LIFETIME
        )
        publish("account.code_requested", {"code_id": str(code.pk)})
    return code


def send_code(*, code_id: UUID) -> None:
    """Queue the text for a code that is still good, if there is somebody to whom it can be sent.

    Whose number it is, is looked up here, where no client can measure it. The text is logged in the tenant in which it
    was asked for, or in the person's first, without the code.
    """
    code = VerificationCode.objects.filter(pk=code_id, used_at=None, expires_at__gt=timezone.now()).first()
    found = code and _recipient(code)
    if code is None or not found:
        return
    person, tenant_id = found
    with tenant_scope(tenant_id):
        queue_message(
            channel="sms",
            to=code.phone,
            text=_with_autofill(_wording(code, language=person.language)),
            key=f"code:{code.pk}",
            secret=f"code:{code.pk}",
            is_repeatable=False,
            kind="code",
            expires_at=code.expires_at,
        )


def _recipient(code: VerificationCode) -> Recipient | None:
    """Who is to get this code, and the tenant in whose log its text is kept; None when nobody is."""
    person = code.user or (find_user_by_phone(phone=code.phone) if code.purpose == Purpose.LOGIN else None)
    if person is None or not person.is_active:
        return None
    tenant_id = find_current_tenant_id()
    if tenant_id is None:
        tenant = find_first_tenant(user_id=person.pk)
        tenant_id = tenant.pk if tenant else None
    return None if tenant_id is None else (person, tenant_id)


def _wording(code: VerificationCode, *, language: str) -> str:
    """The text, with a placeholder for the code. The default has it first, so that a locked screen shows it."""
    key = "sign_in_code" if code.purpose == Purpose.LOGIN else "number_code"
    told = {"secret": "{secret}", "minutes": settings.OTP_LIFETIME // timedelta(minutes=1)}
    return render(key, language=language, channel="sms", values=told).text


def _with_autofill(text: str) -> str:
    """`text` with a last line by which a browser fills the code in on our own site and on no other.

    The form is that of origin-bound one-time codes (wicg.github.io/sms-one-time-codes), which needs https. Left out
    when it would make two texts of one.
    """
    frontend = urlsplit(settings.FRONTEND_URL)
    line = f"\n\n@{frontend.hostname} #{{secret}}"
    if frontend.scheme != "https" or len((text + line).replace("{secret}", "0" * DIGITS)) > ONE_TEXT:
        return text
    return text + line


def code_of(code: VerificationCode) -> str:
    """The six digits of a challenge: a function of its row (id, purpose, phone, nonce) and the server's key."""
    told = f"{code.pk}:{code.purpose}:{code.phone}:{code.nonce}".encode()
    return derive_digits("verification-code", told, count=DIGITS)


def find_code(reference: str) -> str | None:
    """The digits for the text of a challenge, or None when they are no longer good."""
    code = VerificationCode.objects.filter(pk=UUID(reference), used_at=None, expires_at__gt=timezone.now()).first()
    return None if code is None else code_of(code)


def guess_code(*, purpose: str, challenge: UUID, guess: str, user: User | None = None) -> VerificationCode | None:
    """The challenge that `guess` answers, used up by this call; None when the guess is wrong, which is counted.

    Call inside a transaction, and let it commit before a None becomes a refusal: the count has to last. `OtpLocked`
    after five wrong guesses; `OtpInvalid` for a challenge that is used, expired, made up, somebody else's or for
    another purpose. Those two have written nothing. Of simultaneous right guesses one gets the challenge.
    """
    now = timezone.now()
    code = VerificationCode.objects.select_for_update().filter(pk=challenge, purpose=purpose, user=user).first()
    if code is None or code.used_at is not None or code.expires_at <= now:
        raise OtpInvalid
    if code.guesses >= settings.OTP_MAX_GUESSES:
        raise OtpLocked
    code.guesses += 1
    is_right = hmac.compare_digest(code_of(code).encode(), guess.encode())
    if is_right:
        code.used_at = now
        note_verified(look_up(code.phone))
    code.save(update_fields=["guesses", "used_at", "updated_at"])
    return code if is_right else None


def check_login_code(*, challenge: UUID, guess: str, client: str) -> User:
    """The person who has proven the number of this challenge, or `OtpInvalid`, `OtpLocked` or `Throttled`.

    Must not run inside a transaction. A right code for a number that nobody can sign in by is `OtpInvalid` too.
    `client` is the network that asks; a right code gives back what it was counted.
    """
    counted = spend({"otp_guess_client": client})
    with transaction.atomic():
        code = guess_code(purpose=Purpose.LOGIN, challenge=challenge, guess=guess)
    found = _recipient(code) if code is not None else None
    if found is None:
        raise OtpInvalid
    counted.give_back()
    return found[0]


def purge_codes() -> None:
    """Forget codes that expired a day ago, a thousand at a time: they hold numbers of people who are not ours."""
    delete_in_batches(VerificationCode.objects.filter(expires_at__lt=timezone.now() - timedelta(days=1)))
