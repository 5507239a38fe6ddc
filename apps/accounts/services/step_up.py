"""Use cases for proving oneself again, before something that a stolen token must not be able to do.

Who has a second factor proves themselves with it. Otherwise whoever has stolen a password and a session could switch
the factor off, which is there for exactly that case.
"""

from __future__ import annotations

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.methods import Method
from apps.accounts.models import AuthSession
from apps.accounts.selectors import has_second_factor, summarise_factors
from apps.accounts.services.passwords import check_own_password
from apps.accounts.services.proofs import lock_person, prove_factor
from core.exceptions import NotPermitted, RuleViolated


class ReauthenticationRequired(NotPermitted):
    """The last proof of identity in this session is older than ten minutes: `data.methods` lists the fields of which
    `auth/reauthenticate/` takes one; repeat the request afterwards. An empty list: sign in again."""

    code = "reauthentication_required"
    message = _("Please confirm that it is you.")
    example_data = {"methods": ["password"]}


class MfaCodeRequired(RuleViolated):
    """Who has a second factor confirms with it; the password alone proves too little."""

    code = "mfa_code_required"
    message = _("Please confirm with a code from your authenticator app, or with a recovery code.")


def require_recent_authentication(session: AuthSession) -> None:
    """`ReauthenticationRequired` unless the session's person proved themselves within `AUTH_STEP_UP_LIFETIME`."""
    if timezone.now() - session.authenticated_at > settings.AUTH_STEP_UP_LIFETIME:
        raise ReauthenticationRequired(data={"methods": list(summarise_factors(user=session.user).proofs)})


def require_proof(*, session: AuthSession, password: str = "") -> None:
    """As `require_recent_authentication`, for a request that may bring the password along, or `WrongPassword`.

    Without a second factor the right password is proof enough.
    """
    if password:
        check_own_password(user=session.user, password=password)
        if not has_second_factor(user_id=session.user_id):
            return
    require_recent_authentication(session)


@transaction.atomic
def reauthenticate(*, session: AuthSession, password: str = "", code: str = "", recovery_code: str = "") -> None:
    """Prove oneself again, by one of the three.

    `WrongPassword`, or `MfaCodeRequired` for the password of somebody who has a second factor; `MfaCodeInvalid`, or
    `MfaNotEnabled` for a code of somebody who has none.
    """
    person = lock_person(session.user_id)
    if password:
        if has_second_factor(user_id=person.pk):
            raise MfaCodeRequired
        check_own_password(user=person, password=password)
        method = Method.PASSWORD
    else:
        method = prove_factor(user=person, code=code, recovery_code=recovery_code)
    mark_authenticated(session, method)


def mark_authenticated(session: AuthSession, method: Method) -> None:
    """The session's person has just proven who they are, by `method`."""
    session.authenticated_at = timezone.now()
    session.methods = [*session.methods, method.value] if method.value not in session.methods else session.methods
    AuthSession.objects.filter(pk=session.pk).update(authenticated_at=session.authenticated_at, methods=session.methods)
