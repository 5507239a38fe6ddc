"""Checking an OpenID Connect `id_token`: signature, issuer, audience, time and nonce.

Not allauth's own check: that takes the algorithm from the token, fetches the keys for every token, and knows one
issuer only.
"""

from __future__ import annotations

import hmac
import json
import logging
import threading
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import jwt

from core.exceptions import Unavailable
from services.http import HttpClient
from services.oauth.base import IdTokenInvalid, SocialProviderUnavailable
from services.oauth.wire import client_for

logger = logging.getLogger("faraja.security")

MAX_LENGTH = 8192  # characters of a token
LEEWAY = 30  # seconds that the clocks may differ
KEEP_KEYS = 3600.0  # seconds; Google rotates its keys over days and announces the next one ahead
ASK_AGAIN = 60.0  # seconds at least between two fetches: unknown key ids cost anybody nothing to make up


class KeySet:
    """A provider's public keys, fetched when needed and kept. Thread-safe."""

    def __init__(self, url: str, *, timeout: float = 5.0) -> None:
        parts = urlsplit(url)
        self._client: HttpClient = client_for(f"{parts.scheme}://{parts.netloc}", timeout)
        self._path = parts.path
        self._keys: dict[str, Any] = {}
        self._fetched_at = float("-inf")
        self._lock = threading.Lock()

    def find(self, kid: str) -> Any:
        """The RSA key with this id, or `IdTokenInvalid`; `SocialProviderUnavailable` when the keys cannot be had."""
        with self._lock:
            age = time.monotonic() - self._fetched_at
            if age > KEEP_KEYS or (kid not in self._keys and age > ASK_AGAIN):
                self.remember(self._fetch())
            if kid not in self._keys:
                raise IdTokenInvalid
            return self._keys[kid]

    def remember(self, document: Any) -> None:
        """Take a JWK set (RFC 7517) for the present keys."""
        self._keys = {
            each["kid"]: jwt.PyJWK(each, algorithm="RS256").key
            for each in document["keys"]
            if each.get("kty") == "RSA" and each.get("use", "sig") == "sig" and isinstance(each.get("kid"), str)
        }
        self._fetched_at = time.monotonic()

    def _fetch(self) -> Any:
        try:
            answer = self._client.request("GET", self._path)
            answer.refuse_unusable()
            document = json.loads(answer.body)
            if not answer.is_success or not isinstance(document["keys"], list):
                raise ValueError(answer.status)
            return document
        except (Unavailable, ValueError, KeyError, TypeError):
            raise SocialProviderUnavailable from None


def verify_id_token(
    id_token: str, *, keys: KeySet, issuers: Sequence[str], audiences: Sequence[str], nonce: str = ""
) -> dict[str, Any]:
    """The claims of a good token, or `IdTokenInvalid` (the reason is logged, never told).

    The audience must be one of `audiences`, alone. `nonce` is compared when it is given; some libraries put one of
    their own into the token and do not tell the app, so a token's nonce alone is no fault.
    """
    try:
        return _verify(id_token, keys, list(issuers), list(audiences), nonce)
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        logger.warning("id_token refused", extra={"reason": type(error).__name__})
        raise IdTokenInvalid from None


def _verify(id_token: str, keys: KeySet, issuers: list[str], audiences: list[str], nonce: str) -> dict[str, Any]:
    if len(id_token) > MAX_LENGTH or not id_token.isascii():
        raise ValueError("shape")
    header = jwt.get_unverified_header(id_token)
    if header.get("alg") != "RS256":
        raise ValueError("algorithm")
    claims: dict[str, Any] = jwt.decode(
        id_token,
        key=keys.find(header["kid"]),
        algorithms=["RS256"],
        issuer=issuers,
        audience=audiences,
        leeway=LEEWAY,
        options={"require": ["iss", "aud", "sub", "exp", "iat"]},
    )
    if not isinstance(claims["aud"], str) or not isinstance(claims["sub"], str) or not claims["sub"]:
        raise ValueError("audience or subject")
    if nonce and not hmac.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
        raise ValueError("nonce")
    return claims
