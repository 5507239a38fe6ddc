"""Use cases for sessions: open, refresh, end. One row per login; rotation happens in place.

Eight simultaneous refreshes with one token all get the same successor: the database lets one of them move the
generation, and the others, finding themselves one generation behind within the grace, are given the token that the row
now stands for. Anything older is a replay, and ends the family.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Least
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.accounts.models import AuthSession, MfaChallenge, User
from apps.accounts.selectors import Principal, find_principal
from apps.accounts.services.notices import Wording, send_notice
from apps.accounts.tokens import Claims, SessionExpired, TokenExpired, TokenInvalid, TokenPair, mint
from apps.tenants.selectors.tenants import find_first_tenant, get_my_tenant
from core.audit.actions import Action
from core.audit.record import record
from core.client_address import client_key
from core.crash import crash_point
from core.exceptions import NotAuthenticated, NotFound
from core.outbox.publisher import publish
from core.purge import delete_in_batches
from core.throttling.limits import spend

logger = logging.getLogger("faraja.security")

LAST_USED_EVERY = timedelta(minutes=1)
MAX_LIVE_SESSIONS = 20


class AccountInactive(NotAuthenticated):
    """The account has been deactivated."""

    code = "account_inactive"
    message = gettext_lazy("This account is not active.")


class SessionRevoked(NotAuthenticated):
    """The session was ended: by logout, by its owner elsewhere, or because its account is gone."""

    code = "session_revoked"
    message = gettext_lazy("This session has ended. Please sign in again.")


class RefreshReused(NotAuthenticated):
    """An old refresh token came back: somebody has a copy, so every token of the session is dead now."""

    code = "refresh_reused"
    message = gettext_lazy("This session was ended for your safety. Please sign in again.")


def open_session(
    *, user: User, transport: str, methods: Sequence[str] = (), user_agent: str = "", client: str = ""
) -> tuple[Principal, TokenPair]:
    """A new login of `user`, in the tenant they joined first.

    Asks for no second factor: who signs somebody in calls `begin_sign_in`. `methods` are what they have proven
    themselves by, `client` is the network it comes from.
    """
    now = timezone.now()
    tenant = find_first_tenant(user_id=user.pk)
    session = AuthSession.objects.create(
        user=user,
        tenant_id=tenant.pk if tenant else None,
        transport=transport,
        rotated_at=now,
        last_used_at=now,
        expires_at=now + settings.AUTH_REFRESH_LIFETIME,
        absolute_expires_at=now + settings.AUTH_SESSION_LIFETIME,
        user_agent=user_agent[:300],
        methods=list(methods),
        client_key=client_key(client) if client else "",
    )
    _end_oldest(user.pk)
    principal = _principal(session.pk)
    return principal, mint(principal.session, role=principal.role)


def require_alive(session: AuthSession) -> None:
    """`SessionRevoked` when the session has been ended since it was read. Hold the lock of its person meanwhile."""
    if not AuthSession.objects.filter(pk=session.pk, revoked_at=None).exists():
        raise SessionRevoked


def continue_session(*, session: AuthSession) -> tuple[Principal, TokenPair]:
    """A new session in place of `session`, which a change of its person's proofs has just ended.

    Where it was and until when, and when its person last proved themselves by what, go over as `session` says.
    """
    now = timezone.now()
    successor = AuthSession.objects.create(
        user_id=session.user_id,
        tenant_id=session.tenant_id,
        transport=session.transport,
        rotated_at=now,
        last_used_at=now,
        expires_at=min(now + settings.AUTH_REFRESH_LIFETIME, session.absolute_expires_at),
        absolute_expires_at=session.absolute_expires_at,
        user_agent=session.user_agent,
        authenticated_at=session.authenticated_at,
        methods=session.methods,
        client_key=session.client_key,
    )
    principal = _principal(successor.pk)
    return principal, mint(principal.session, role=principal.role)


def refresh_session(*, claims: Claims) -> tuple[Principal, TokenPair]:
    """Exchange a verified refresh token for the next pair, or refuse with the reason, `Throttled` among them.

    Must not run inside a transaction that a refusal rolls back: ending a replayed family has to last.
    """
    spend({"refresh_session": claims.session_id})
    now = timezone.now()
    # One statement decides the race; everything after it only explains the result.
    AuthSession.objects.filter(
        pk=claims.session_id,
        user_id=claims.user_id,
        generation=claims.generation,
        revoked_at=None,
        expires_at__gt=now,
        absolute_expires_at__gt=now,
    ).update(
        generation=F("generation") + 1,
        rotated_at=now,
        last_used_at=now,
        expires_at=Least(Value(now + settings.AUTH_REFRESH_LIFETIME), F("absolute_expires_at")),
    )
    crash_point("session_rotated")
    principal = _principal(claims.session_id)
    session = principal.session
    check_alive(principal, user_id=claims.user_id)
    behind = session.generation - claims.generation
    if behind < 1:
        raise TokenInvalid
    if behind > 1 or now - session.rotated_at > settings.AUTH_REFRESH_GRACE:
        _end_replayed(session, behind=behind)
        raise RefreshReused
    return principal, mint(session, role=principal.role)


def check_alive(principal: Principal, *, user_id: UUID) -> None:
    """Refuse a session that is ended, expired, somebody else's, or whose person is deactivated."""
    session, now = principal.session, timezone.now()
    if session.user_id != user_id:
        raise TokenInvalid
    if not session.user.is_active:
        raise AccountInactive
    if session.revoked_at is not None:
        raise RefreshReused if session.revoked_reason == AuthSession.Reason.REUSE else SessionRevoked
    if session.expires_at <= now or session.absolute_expires_at <= now:
        raise SessionExpired


def authenticate_session(*, claims: Claims) -> Principal:
    """The live session behind a verified access token, or the reason why it is not. Once per request."""
    principal = _principal(claims.session_id)
    check_alive(principal, user_id=claims.user_id)
    if claims.tenant_id != principal.session.tenant_id:
        # The session has switched. A page that does not know must not act in the other room: let it refresh.
        raise TokenExpired
    now = timezone.now()
    if now - principal.session.last_used_at > LAST_USED_EVERY:
        AuthSession.objects.filter(pk=claims.session_id).update(last_used_at=now)
    return principal


def switch_tenant(*, session_id: UUID, user_id: UUID, tenant_id: UUID) -> tuple[Principal, TokenPair]:
    """Move a live session to another of its person's tenants, or `NotFound`. Older access tokens are dead.

    The generation stays, so the refresh token does too: an answer that is lost, or a refresh at the same moment, does
    not look like a replay.
    """
    get_my_tenant(user_id=user_id, tenant_id=tenant_id)
    AuthSession.objects.filter(pk=session_id, user_id=user_id).update(tenant_id=tenant_id, updated_at=timezone.now())
    principal = _principal(session_id)
    return principal, mint(principal.session, role=principal.role)


def end_session(*, session_id: UUID) -> None:
    """Log out. Ending a session that has ended already is fine."""
    _revoke(session_id, AuthSession.Reason.LOGOUT)


def end_session_of(*, user_id: UUID, session_id: UUID) -> None:
    """A person ends one of their own sessions, or `NotFound`."""
    if not AuthSession.objects.filter(pk=session_id, user_id=user_id, revoked_at=None).exists():
        raise NotFound
    _revoke(session_id, AuthSession.Reason.LOGOUT)


@transaction.atomic
def log_out_everywhere(*, user: User) -> None:
    """A person ends every session of theirs, this one included."""
    end_all_sessions(user_id=user.pk)
    record(Action.SESSIONS_ENDED, actor=user, target=user)


def end_all_sessions(
    *, user_id: UUID, reason: AuthSession.Reason = AuthSession.Reason.LOGOUT, but: UUID | None = None
) -> int:
    """Every session of a person but one, and every sign-in that waits for a second factor; returns how many sessions.

    Part of another deed, whose audit line says why.
    """
    now = timezone.now()
    MfaChallenge.objects.filter(user_id=user_id, used_at=None).update(used_at=now)
    live = AuthSession.objects.filter(user_id=user_id, revoked_at=None)
    if but is not None:
        live = live.exclude(pk=but)
    return live.update(revoked_at=now, revoked_reason=reason)


def _end_oldest(user_id: UUID) -> None:
    """Keep a person's newest sessions; whoever signs in for ever without signing out fills no table."""
    live = AuthSession.objects.filter(user_id=user_id, revoked_at=None).order_by("-last_used_at", "-pk")
    surplus = list(live.values_list("pk", flat=True)[MAX_LIVE_SESSIONS : MAX_LIVE_SESSIONS + 100])
    if surplus:
        AuthSession.objects.filter(pk__in=surplus).update(
            revoked_at=timezone.now(), revoked_reason=AuthSession.Reason.TOO_MANY
        )


def _revoke(session_id: UUID, reason: AuthSession.Reason) -> bool:
    """End a session; False when it had ended already."""
    live = AuthSession.objects.filter(pk=session_id, revoked_at=None)
    return bool(live.update(revoked_at=timezone.now(), revoked_reason=reason))


@transaction.atomic
@transaction.atomic
def _end_replayed(session: AuthSession, *, behind: int) -> None:
    """End a session of whose tokens somebody has a copy, and tell its owner: once, however often they try."""
    if _revoke(session.pk, AuthSession.Reason.REUSE):
        logger.warning("refresh token reused", extra={"session_id": str(session.pk), "behind": behind})
        publish("account.refresh_reused", {"user_id": str(session.user_id)})
        told = {"session": session.pk, "transport": session.transport}
        record(Action.SESSION_REUSED, target=session.user, data=told)


def tell_refresh_reused(*, user_id: UUID) -> None:
    """The notice: their own old client, or somebody with a copy. They know which."""

    def wording(_user: User) -> Wording:
        text = _(
            "An old sign-in token of your account was used again, so that session was ended for your safety. If you "
            "see anything that you did not do, change your password and contact us."
        )
        return _("A session of yours was ended"), text

    send_notice(user_id=user_id, wording=wording)


def _principal(session_id: UUID) -> Principal:
    principal = find_principal(session_id=session_id)
    if principal is None:
        raise SessionRevoked
    return principal


def purge_sessions() -> int:
    """Delete sessions past their absolute limit, a thousand at a time; returns how many."""
    # Oldest first, so along the index: without an order each batch walks over the rows that the last ones left dead.
    expired = AuthSession.objects.filter(absolute_expires_at__lt=timezone.now())
    return delete_in_batches(expired.order_by("absolute_expires_at"))
