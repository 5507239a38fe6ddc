"""Use cases for signing in: the first factor opens a session, or a challenge where there is a second one.

A challenge is one row and a token that names it. The token is signed over the row's id and the hash of the person's
password, so a new password voids it even if nobody remembered to.
"""

from __future__ import annotations

import hmac
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.methods import Method
from apps.accounts.models import MfaChallenge, User
from apps.accounts.selectors import Principal, has_second_factor, summarise_factors
from apps.accounts.services.proofs import count_code_guess, lock_person, prove_factor
from apps.accounts.services.sessions import AccountInactive, open_session
from apps.accounts.tokens import TokenPair
from core.derived import derive, row_named_in
from core.exceptions import NotAuthenticated
from core.purge import delete_in_batches

MAX_GUESSES = 5
MAX_OPEN_CHALLENGES = 20
# The fields of the second step, under the names by which a challenge offers them.
FACTORS = ("code", "recovery_code")

SignedIn = tuple[Principal, TokenPair]


class MfaRequired(NotAuthenticated):
    """The first factor is right, and the account has a second one: send `data.challenge` with a code to
    `auth/mfa/verify/`. Nobody is signed in yet."""

    code = "mfa_required"
    message = _("Enter the code from your authenticator app to finish signing in.")
    example_data = {
        "challenge": "6f1c1b1e6f0e4b399d5a0a8d3f5f1c1115c1b0b6112f987a924e4b5e80104c2d",
        "methods": ["code", "recovery_code"],
        "expires_at": "2026-11-20T09:05:00Z",
    }


class MfaChallengeInvalid(NotAuthenticated):
    """Used, five times wrong, expired, ended by a new password, or never given out: sign in again."""

    code = "mfa_challenge_invalid"
    message = _("This sign-in is no longer open. Please sign in again.")


@transaction.atomic
def begin_sign_in(
    *, user: User, transport: str, method: Method, user_agent: str = "", client: str = ""
) -> SignedIn | MfaRequired:
    """A session for somebody who has proven themselves by `method`; for who has a second factor, what asks for it.

    `MfaRequired` is returned, not raised: what it names has to be kept.
    """
    # Locked, so that a factor that is being switched on at this moment is waited for.
    person = lock_person(user.pk)
    if has_second_factor(user_id=person.pk):
        return _challenge(person, transport, method)
    return open_session(user=person, transport=transport, methods=[method], user_agent=user_agent, client=client)


def _challenge(person: User, transport: str, method: Method) -> MfaRequired:
    challenge = MfaChallenge.objects.create(
        user=person, transport=transport, method=method, expires_at=timezone.now() + settings.MFA_CHALLENGE_LIFETIME
    )
    _drop_surplus(person.pk)
    methods = [name for name in FACTORS if name in summarise_factors(user=person).proofs]
    return MfaRequired(
        data={"challenge": token_of(challenge, person), "methods": methods, "expires_at": challenge.expires_at}
    )


def _drop_surplus(user_id: UUID) -> None:
    """Keep a person's newest challenges; whoever has their password and no code fills no table."""
    newest = MfaChallenge.objects.filter(user_id=user_id).order_by("-created_at", "-pk")
    surplus = list(newest.values_list("pk", flat=True)[MAX_OPEN_CHALLENGES : MAX_OPEN_CHALLENGES + 100])
    if surplus:
        MfaChallenge.objects.filter(pk__in=surplus).delete()


def token_of(challenge: MfaChallenge, person: User) -> str:
    """What the client holds between the two steps."""
    return f"{challenge.pk.hex}{_signature(challenge.pk, person)}"


def _signature(challenge_id: UUID, person: User) -> str:
    return derive("mfa-challenge", f"{challenge_id.hex}:{person.password}".encode()).hex()[:32]


def get_challenge(*, token: str, transport: str = "") -> MfaChallenge:
    """The open challenge behind a token, or `MfaChallengeInvalid` or `AccountInactive`.

    `transport` is how the client says its tokens will travel, when it says so: as chosen in the first step.
    """
    challenge = MfaChallenge.objects.select_related("user").filter(pk=row_named_in(token)).first()
    if challenge is None or not hmac.compare_digest(token.encode(), token_of(challenge, challenge.user).encode()):
        raise MfaChallengeInvalid
    if not challenge.user.is_active:
        raise AccountInactive
    if challenge.used_at is not None or challenge.guesses >= MAX_GUESSES or challenge.expires_at <= timezone.now():
        raise MfaChallengeInvalid
    if transport not in {"", challenge.transport}:
        raise MfaChallengeInvalid(errors={"transport": [_("As in the first step, or not at all.")]})
    return challenge


def finish_sign_in(
    *, token: str, code: str = "", recovery_code: str = "", user_agent: str = "", client: str = ""
) -> SignedIn:
    """The session behind a challenge and a code; or `MfaChallengeInvalid`, `MfaCodeInvalid`, `Throttled`.

    The guess is counted, on the account and on the challenge, before the code is looked at. Must not run inside a
    transaction that a refusal rolls back: a guess that was wrong has to stay counted.
    """
    challenge = get_challenge(token=token)
    counted = count_code_guess(user_id=challenge.user_id, client=client)
    now = timezone.now()
    left = MfaChallenge.objects.filter(pk=challenge.pk, used_at=None, expires_at__gt=now, guesses__lt=MAX_GUESSES)
    if not left.update(guesses=F("guesses") + 1):
        raise MfaChallengeInvalid
    with transaction.atomic():
        person = lock_person(challenge.user_id)
        # Once more, now that nothing can change: the password, the person, another answer to the same challenge.
        still_open = MfaChallenge.objects.filter(pk=challenge.pk, used_at=None)
        if not still_open.update(used_at=now) or token != token_of(challenge, person):
            raise MfaChallengeInvalid
        method = prove_factor(user=person, code=code, recovery_code=recovery_code)
        methods = [challenge.method, method.value]
        signed_in = open_session(
            user=person, transport=challenge.transport, methods=methods, user_agent=user_agent, client=client
        )
    counted.give_back()
    return signed_in


def purge_challenges() -> None:
    """Forget challenges that expired a day ago, a thousand at a time."""
    delete_in_batches(MfaChallenge.objects.filter(expires_at__lt=timezone.now() - timedelta(days=1)))
