"""Tokens in cookies, and the proof that a page of ours asked.

The refresh cookie is scoped to the auth paths, so no other request carries it. `__Host-` needs `Path=/`, hence the
other prefix for the scoped one. Plain-http development has no prefixes, because browsers refuse them there.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response

from apps.accounts.tokens import TokenPair
from apps.accounts.transports import Transport
from core.derived import derive
from core.exceptions import NotPermitted

if TYPE_CHECKING:
    from apps.accounts.models import AuthSession

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class CsrfFailed(NotPermitted):
    """A cookie proved who is asking, and nothing proved that our own page asked."""

    code = "csrf_failed"
    message = _("The request could not be confirmed as yours.")


def access_cookie() -> str:
    return "__Host-access" if settings.AUTH_COOKIE_SECURE else "access"


def refresh_cookie() -> str:
    return "__Secure-refresh" if settings.AUTH_COOKIE_SECURE else "refresh"


def csrf_cookie() -> str:
    return "__Host-csrf" if settings.AUTH_COOKIE_SECURE else "csrf"


def auth_path(request: Request) -> str:
    """The path of the auth endpoints as this client addresses them (`/api/v1/auth/`)."""
    # Registering has a second address, `/api/v1/users/`.
    head = request.path.partition("/auth/")[0].removesuffix("/users/")
    return f"{head}/auth/"


def set_cookies(request: Request, response: Response, session: AuthSession, tokens: TokenPair, csrf: str) -> None:
    """Put the tokens where the session's transport wants them."""
    secure = settings.AUTH_COOKIE_SECURE
    response.set_cookie(
        refresh_cookie(),
        tokens.refresh,
        expires=tokens.refresh_expires_at,
        path=auth_path(request),
        secure=secure,
        httponly=True,
        samesite="Strict",
    )
    if session.transport == Transport.COOKIES:
        age = int(settings.AUTH_ACCESS_LIFETIME.total_seconds())
        response.set_cookie(
            access_cookie(), tokens.access, max_age=age, path="/", secure=secure, httponly=True, samesite="Lax"
        )
        set_csrf_cookie(response, session, csrf)


def set_csrf_cookie(response: Response, session: AuthSession, csrf: str) -> None:
    """The half of the proof that the browser keeps; a page of another origin has the other half from an answer."""
    secure = settings.AUTH_COOKIE_SECURE
    response.set_cookie(csrf_cookie(), csrf, expires=session.expires_at, path="/", secure=secure, samesite="Lax")


def clear_cookies(request: Request, response: Response) -> None:
    """Logout only: a refusal elsewhere must not wipe what a parallel request has just set."""
    secure = settings.AUTH_COOKIE_SECURE
    for name, path in ((refresh_cookie(), auth_path(request)), (access_cookie(), "/"), (csrf_cookie(), "/")):
        # delete_cookie guesses Secure from the prefix only; without it browsers keep a __Secure- cookie.
        response.set_cookie(name, "", max_age=0, path=path, secure=secure, httponly=name != csrf_cookie())


def csrf_token_for(request: Request, session_id: UUID) -> str:
    """The token that this browser holds for the session, else a new one.

    A random value signed together with the session (signed double submit). It stays the same while the session lives:
    a new one at each refresh would be unknown to the other tabs, which share the cookie and not the answer.
    """
    held = request.COOKIES.get(csrf_cookie(), "")
    if _is_csrf_token_of(session_id, held):
        return held
    nonce = secrets.token_urlsafe(16)
    return f"{nonce}.{_csrf_signature(session_id, nonce)}"


def _is_csrf_token_of(session_id: UUID, token: str) -> bool:
    nonce, _dot, signature = token.partition(".")
    return hmac.compare_digest(signature.encode(), _csrf_signature(session_id, nonce).encode())


def _csrf_signature(session_id: UUID, nonce: str) -> str:
    return derive("csrf", f"{session_id}:{nonce}".encode()).hex()


def check_csrf(request: Request, session: AuthSession) -> None:
    """For unsafe requests that a cookie authenticates: `CsrfFailed` unless our own page is asking.

    Always: an `Origin` on the list, and no cross-site fetch. With all tokens in cookies also the `X-CSRF-Token` of this
    session. A page that keeps only the refresh token in a cookie need not send that header (clients written for plain
    refresh cookies go on working): all it can do with the cookie is rotate it, and the answer is readable to listed
    origins only.
    """
    if request.method in SAFE_METHODS:
        return
    check_origin(request)
    told = request.headers.get("X-CSRF-Token", "")
    if session.transport != Transport.COOKIES and not told:
        return
    if not _is_csrf_token_of(session.pk, told):
        raise CsrfFailed
    if session.transport == Transport.COOKIES:
        cookie = request.COOKIES.get(csrf_cookie(), "")
        if not hmac.compare_digest(cookie.encode(), told.encode()):
            raise CsrfFailed


def check_origin(request: Request) -> None:
    """`CsrfFailed` unless the request comes from a listed origin (or this very host) and is no cross-site fetch."""
    origin = request.headers.get("Origin", "")
    own = f"{request.scheme}://{request.get_host()}"
    if origin not in settings.CORS_ALLOWED_ORIGINS and origin != own:
        raise CsrfFailed
    if request.headers.get("Sec-Fetch-Site", "") == "cross-site":
        raise CsrfFailed
