"""Access and refresh tokens: simplejwt's signing and checking, our claims.

A refresh token is a pure function of its session row and the key that signs, so the same generation always gives the
same text. When another key is promoted in between, header and signature differ, and both texts stand for the same
generation: either is good, as long as its key checks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from apps.accounts.token_backend import RingBackend, current_backend
from core.derived import derive
from core.exceptions import NotAuthenticated

if TYPE_CHECKING:
    from apps.accounts.models import AuthSession

MAX_TOKEN_LENGTH = 4096
MAX_GENERATION = 2**31 - 1  # of the column


class TokenInvalid(NotAuthenticated):
    """Not a token of ours, of the wrong kind, or altered."""

    code = "token_invalid"
    message = _("This token is not valid.")


class TokenExpired(NotAuthenticated):
    """The access token is older than 15 minutes: refresh and repeat."""

    code = "token_expired"
    message = _("This token has expired.")


class SessionExpired(NotAuthenticated):
    """Not used for 14 days, or 90 days old."""

    code = "session_expired"
    message = _("This session has expired. Please sign in again.")


class SessionToken(tokens.Token):
    """A token that the ring of keys signs and checks."""

    def get_token_backend(self) -> RingBackend:
        return current_backend()

    def check_exp(self, claim: str = "exp", current_time: datetime | None = None) -> None:
        """Nothing left to do: the backend has compared it with the clock, and `_claims_of` demands it."""


class AccessToken(SessionToken):
    """Proves a session for 15 minutes. Claims beyond who and which session are for the client's eyes only."""

    token_type = "access"  # noqa: S105
    lifetime = settings.AUTH_ACCESS_LIFETIME


class RefreshToken(SessionToken):
    """Names one generation of one session."""

    token_type = "refresh"  # noqa: S105
    lifetime = settings.AUTH_REFRESH_LIFETIME


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a client holds after signing in or refreshing."""

    access: str
    refresh: str
    access_expires_at: datetime
    refresh_expires_at: datetime


@dataclass(frozen=True, slots=True)
class Claims:
    """The part of a verified token that we act on. An access token has generation 0; only it names a tenant."""

    session_id: UUID
    user_id: UUID
    generation: int = 0
    tenant_id: UUID | None = None


def bearer_token(header: str | None) -> str | None:
    """The token in an `Authorization: Bearer ...` header; None without a header, `TokenInvalid` when malformed."""
    if header is None:
        return None
    scheme, _space, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise TokenInvalid
    return token.strip()


def mint(session: AuthSession, *, role: str | None) -> TokenPair:
    """The tokens of this session's current generation. `session.user` must be loaded."""
    now = timezone.now()
    access = AccessToken()
    access.set_exp(from_time=now, lifetime=min(settings.AUTH_ACCESS_LIFETIME, session.absolute_expires_at - now))
    access["sub"], access["sid"] = str(session.user_id), str(session.pk)
    access["tenant_id"] = str(session.tenant_id) if session.tenant_id else None
    access["role"] = role
    access["auth_time"], access["amr"] = int(session.authenticated_at.timestamp()), session.methods
    refresh = RefreshToken()
    refresh.payload |= {
        "sub": str(session.user_id),
        "sid": str(session.pk),
        "gen": session.generation,
        "jti": _refresh_jti(session),
        "iat": int(session.rotated_at.timestamp()),
        "exp": int(session.expires_at.timestamp()),
    }
    expires = datetime.fromtimestamp(access["exp"], tz=session.expires_at.tzinfo)
    return TokenPair(str(access), str(refresh), expires, session.expires_at)


def _refresh_jti(session: AuthSession) -> str:
    # Not with a key of the ring: the same generation keeps its name when another key signs.
    return derive("refresh-jti", f"{session.pk}:{session.generation}".encode()).hex()[:32]


def read_access(raw: str) -> Claims:
    """Verify an access token, or raise `TokenExpired` or `TokenInvalid`. Says nothing about the session's life."""
    return _read(AccessToken, raw)


def read_refresh(raw: str) -> Claims:
    """Verify a refresh token, or raise `SessionExpired` (it lives as long as its session) or `TokenInvalid`."""
    try:
        return _read(RefreshToken, raw)
    except TokenExpired:
        raise SessionExpired from None


def _read(kind: type[SessionToken], raw: str) -> Claims:
    if len(raw) > MAX_TOKEN_LENGTH:
        raise TokenInvalid
    try:
        token = kind(raw)  # type: ignore[arg-type]  # the stubs want a Token; text is the documented use
        return _claims_of(kind, token.payload)
    except ExpiredTokenError:
        raise TokenExpired from None
    except (TokenError, KeyError, ValueError):
        raise TokenInvalid from None


def _claims_of(kind: type[SessionToken], claims: dict[str, Any]) -> Claims:
    """What we act on. `KeyError` for a claim that is missing, `ValueError` for one that we would not have written."""
    latest = (timezone.now() + settings.AUTH_SESSION_LIFETIME).timestamp() + settings.SIMPLE_JWT["LEEWAY"]
    _whole(claims["iat"], up_to=latest)
    _whole(claims["exp"], up_to=latest)
    if not isinstance(claims["aud"], str):
        raise ValueError("several audiences")
    tenant = None if kind is RefreshToken or claims["tenant_id"] is None else _uuid(claims["tenant_id"])
    generation = _whole(claims["gen"], up_to=MAX_GENERATION) if kind is RefreshToken else 0
    return Claims(_uuid(claims["sid"]), _uuid(claims["sub"]), generation, tenant)


def _whole(value: Any, *, up_to: float) -> int:
    if type(value) is not int or not 0 < value <= up_to:  # a bool is an int too
        raise ValueError("not a whole number in its range")
    return value


def _uuid(value: Any) -> UUID:
    found = UUID(value) if isinstance(value, str) else None
    if found is None or str(found) != value:
        raise ValueError("not the one spelling of a UUID")
    return found
