"""simplejwt's signing and checking over the ring of keys."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jwt
from django.conf import settings
from django.utils import timezone
from jwt.utils import base64url_decode
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenBackendError

from core.keyring import Key, KeyRing, read_ring

# Three parts of base64url without padding (RFC 7515, 7.1). PyJWT takes padding too: a token would have many spellings.
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def current_ring() -> KeyRing:
    """The keys of this installation, parsed once."""
    return read_ring(settings.JWT_KEYS, settings.JWT_SIGNING_KEY)


def current_backend() -> RingBackend:
    """What signs and checks now."""
    rules = settings.SIMPLE_JWT
    return _backend_of(current_ring(), rules["ISSUER"], rules["AUDIENCE"], rules["LEEWAY"])


class KeyBackend(TokenBackend):
    """One key: signs with its name in the header, and checks with its own algorithm."""

    def __init__(self, key: Key, **rules: Any) -> None:
        super().__init__(key.alg, key.private, key.public, **rules)
        self.header = {"alg": key.alg, "kid": key.kid, "typ": "JWT"}

    def encode(self, payload: dict[str, Any]) -> str:
        told = payload | {"aud": self.audience, "iss": self.issuer}
        return jwt.encode(told, self.prepared_signing_key, algorithm=self.algorithm, headers=self.header)


class RingBackend(TokenBackend):
    """All keys: signs with the first, and checks with the one that a token names.

    A header that we would not have written is refused whatever it says, so `jku`, `jwk`, `x5u`, `crit` and a chosen
    `alg` never get to mean anything.
    """

    def __init__(self, ring: KeyRing, **rules: Any) -> None:
        super().__init__(ring.signing.alg, **rules)
        self.ring = ring
        self._backends = {key.kid: KeyBackend(key, **rules) for key in ring.keys}

    def encode(self, payload: dict[str, Any]) -> str:
        return self._backends[self.ring.signing.kid].encode(payload)

    def decode(self, token: Any, verify: bool = True) -> dict[str, Any]:
        """The claims of a token that one of our keys signed, or `TokenBackendError`. Never without checking."""
        if not isinstance(token, str) or not _COMPACT.fullmatch(token):
            raise TokenBackendError
        header, claims, _signature = token.split(".")
        found = _read_json(header)
        key = self.ring.find(found.get("kid"), now=timezone.now())
        if key is None or found != self._backends[key.kid].header:
            raise TokenBackendError
        self._backends[key.kid].decode(token)  # type: ignore[arg-type]  # the stubs want a Token; it takes text
        return _read_json(claims)


@lru_cache(maxsize=16)
def _backend_of(ring: KeyRing, issuer: str, audience: str, leeway: int) -> RingBackend:
    return RingBackend(ring, issuer=issuer, audience=audience, leeway=leeway)


def _read_json(segment: str) -> dict[str, Any]:
    """The object in one part of a token. Twice the same name is refused: two readers could choose differently."""
    try:
        found = json.loads(base64url_decode(segment), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise TokenBackendError from None
    if not isinstance(found, dict):
        raise TokenBackendError
    return found


def _unique(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("twice the same name")
    return found
