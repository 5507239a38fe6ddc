"""Use cases for proving oneself again, before something that a stolen token must not be able to do."""

from __future__ import annotations

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.accounts.models import AuthSession
from apps.accounts.services.passwords import check_own_password
from core.exceptions import NotPermitted


class ReauthenticationRequired(NotPermitted):
    """The last proof of identity in this session is too old for this: reauthenticate, then repeat the request."""

    code = "reauthentication_required"
    message = _("Please confirm that it is you.")


def require_recent_authentication(session: AuthSession) -> None:
    """`ReauthenticationRequired` unless the session's person proved themselves within `AUTH_STEP_UP_LIFETIME`."""
    if timezone.now() - session.authenticated_at > settings.AUTH_STEP_UP_LIFETIME:
        raise ReauthenticationRequired


def reauthenticate_with_password(*, session: AuthSession, password: str) -> None:
    """Prove oneself again by the password, or `WrongPassword`."""
    check_own_password(user=session.user, password=password)
    mark_authenticated(session)


def mark_authenticated(session: AuthSession) -> None:
    """The session's person has just proven who they are."""
    session.authenticated_at = timezone.now()
    AuthSession.objects.filter(pk=session.pk).update(authenticated_at=session.authenticated_at)
