"""Keys, and tokens made by hand: base64, the standard library's HMAC and `cryptography`, nothing of the kit's own."""

from __future__ import annotations

import base64
import hmac
import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from django.conf import settings

Signer = Callable[[bytes], bytes]

SECRET = "bmV2ZXIgdXNlZCBhbnl3aGVyZSBidXQgaW4gdGVzdHMgb2Yga2V5cw"


def rsa_key(number: int = 0) -> rsa.RSAPrivateKey:
    """An RSA key; making one takes a while, so each `number` is made once."""
    return _make_rsa(number)


def ed_key(number: int = 0) -> ed25519.Ed25519PrivateKey:
    return _make_ed(number)


@lru_cache
def _make_rsa(number: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@lru_cache
def _make_ed(number: int) -> ed25519.Ed25519PrivateKey:
    return ed25519.Ed25519PrivateKey.generate()


def private_text(key: Any) -> str:
    """As `JWT_KEYS` takes it: base64 of PKCS8."""
    der = key.private_bytes(Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return base64.b64encode(der).decode()


def private_pem(key: Any) -> str:
    pem = key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return str(pem.decode())


def public_bytes(key: Any, encoding: Encoding = Encoding.PEM) -> bytes:
    return bytes(key.public_key().public_bytes(encoding, PublicFormat.SubjectPublicKeyInfo))


def hs_entry(kid: str, secret: str = SECRET, **more: str) -> dict[str, str]:
    return {"kid": kid, "alg": "HS256", "key": secret, **more}


def ed_entry(kid: str, number: int = 0, **more: str) -> dict[str, str]:
    return {"kid": kid, "alg": "EdDSA", "key": private_text(ed_key(number)), **more}


def rs_entry(kid: str, number: int = 0, **more: str) -> dict[str, str]:
    return {"kid": kid, "alg": "RS256", "key": private_text(rsa_key(number)), **more}


def ring(*entries: dict[str, str]) -> str:
    """The value of `JWT_KEYS`."""
    return json.dumps(entries)


def hs256(secret: str | bytes, alg: str = "HS256") -> Signer:
    raw = secret.encode() if isinstance(secret, str) else secret
    return lambda told: hmac.new(raw, told, f"sha{alg.removeprefix('HS')}").digest()


def eddsa(key: ed25519.Ed25519PrivateKey) -> Signer:
    return key.sign


def rs256(key: rsa.RSAPrivateKey) -> Signer:
    return lambda told: key.sign(told, padding.PKCS1v15(), hashes.SHA256())


def segment(value: Any) -> str:
    """One part of a token: `value` as JSON, or bytes as they are."""
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def seal(header: Any, claims: Any, sign: Signer) -> str:
    """A token of these parts."""
    told = f"{segment(header)}.{segment(claims)}"
    return f"{told}.{segment(sign(told.encode()))}"


def part_of(token: str, place: int) -> dict[str, Any]:
    """The header (0) or the claims (1) of a token, unverified."""
    text = token.split(".")[place]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def resign(token: str, **changes: Any) -> str:
    """A token of the suite's own key with other claims: what only a thief of the key could make."""
    return seal(part_of(token, 0), part_of(token, 1) | changes, hs256(settings.JWT_SIGNING_KEY))
