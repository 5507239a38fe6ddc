"""What the simulated providers keep while people sign in, and how Google signs its tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from services.simulators.people import Fault, Person

TOKEN_LIFETIME = 3600  # seconds
KEY_ID = "simulator-key-1"


@dataclass(slots=True, kw_only=True)
class Grant:
    """What a person has agreed to: behind a code first, then behind an access token."""

    provider: str
    person: Person
    redirect_uri: str
    scopes: frozenset[str]
    challenge: str
    nonce: str
    until: float


@dataclass(kw_only=True)
class Desk:
    """Codes, tokens and keys of one running process."""

    codes: dict[str, Grant] = field(default_factory=dict)
    tokens: dict[str, Grant] = field(default_factory=dict)

    @cached_property
    def key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @cached_property
    def other_key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def published(self) -> dict[str, Any]:
        """The JWK set (RFC 7517)."""
        jwk = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key()))
        return {"keys": [{**jwk, "kid": KEY_ID, "use": "sig", "alg": "RS256"}]}

    def id_token(self, person: Person, *, issuer: str, audience: str, nonce: str = "") -> str:
        """A token about `person`, right or with their fault."""
        now = int(time.time())
        claims: dict[str, Any] = {
            "iss": issuer if person.fault != Fault.WRONG_ISSUER else "https://accounts.example.org",
            "aud": audience if person.fault != Fault.WRONG_AUDIENCE else "somebody-elses-app",
            "azp": audience,
            "sub": subject_of(person),
            "iat": now if person.fault != Fault.EXPIRED else now - 7200,
            "exp": now + TOKEN_LIFETIME if person.fault != Fault.EXPIRED else now - 3600,
            "name": person.name,
            "given_name": person.name.partition(" ")[0],
            "family_name": person.name.partition(" ")[2],
        }
        if person.email:
            claims |= {"email": person.email, "email_verified": person.is_verified}
        if nonce:
            claims["nonce"] = nonce
        key_id = KEY_ID if person.fault != Fault.UNKNOWN_KEY else "never-published"
        if person.fault == Fault.UNSIGNED:
            return jwt.encode(claims, "", algorithm="none", headers={"kid": key_id})
        if person.fault == Fault.SYMMETRIC:
            return self._signed_with_the_public_key(claims)
        key = self.other_key if person.fault == Fault.WRONG_KEY else self.key
        return jwt.encode(claims, key, algorithm="RS256", headers={"kid": key_id})

    def _signed_with_the_public_key(self, claims: dict[str, Any]) -> str:
        """By hand: the library refuses to take a public key for a secret, and that is what the attack hopes for."""
        secret = self.key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        parts = [{"alg": "HS256", "typ": "JWT", "kid": KEY_ID}, claims]
        text = ".".join(unpadded(json.dumps(part).encode()) for part in parts)
        return f"{text}.{unpadded(hmac.new(secret, text.encode(), hashlib.sha256).digest())}"


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def subject_of(person: Person) -> str:
    return f"1000000000000000{person.number}"
