"""Access and refresh tokens: simplejwt's signing and checking, our claims.

A refresh token is a pure function of its session row, so the same generation always gives the same text.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from rest_framework_simplejwt import tokens
from rest_framework_simplejwt.exceptions import ExpiredTokenError, TokenError

from core.exceptions import NotAuthenticated

if TYPE_CHECKING:
    from apps.accounts.models import AuthSession

MAX_TOKEN_LENGTH = 4096


class TokenInvalid(NotAuthenticated):
    """Not a token of ours, of the wrong kind, or altered."""

    code = "token_invalid"
    message = _("This token is not valid.")


class TokenExpired(NotAuthenticated):
    """The access token is older than 15 minutes: refresh and repeat. For a refresh token: sign in."""

    code = "token_expired"
    message = _("This token has expired.")


class AccessToken(tokens.Token):
    """Proves a session for 15 minutes. Claims beyond who and which session are for the client's eyes only."""

    token_type = "access"  # noqa: S105
    lifetime = settings.AUTH_ACCESS_LIFETIME


class RefreshToken(tokens.Token):
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
    told = f"{session.pk}:{session.generation}".encode()
    return hmac.new(settings.SIMPLE_JWT["SIGNING_KEY"].encode(), told, hashlib.sha256).hexdigest()[:32]


def read_access(raw: str) -> Claims:
    """Verify an access token, or raise `TokenExpired` or `TokenInvalid`. Says nothing about the session's life."""
    return _read(AccessToken, raw)


def read_refresh(raw: str) -> Claims:
    """Verify a refresh token, or raise `TokenExpired` or `TokenInvalid`."""
    return _read(RefreshToken, raw)


def _read(kind: type[tokens.Token], raw: str) -> Claims:
    if len(raw) > MAX_TOKEN_LENGTH or not raw.isascii():
        raise TokenInvalid
    try:
        token: Any = kind(raw)  # type: ignore[arg-type]  # the stubs want a Token; text is the documented use
        generation = token["gen"] if kind is RefreshToken else 0
        if not isinstance(generation, int):
            raise TokenInvalid
        tenant = token.get("tenant_id")
        return Claims(UUID(token["sid"]), UUID(token["sub"]), generation, UUID(tenant) if tenant else None)
    except ExpiredTokenError:
        raise TokenExpired from None
    except (TokenError, KeyError, ValueError, TypeError, AttributeError, RecursionError):
        raise TokenInvalid from None
