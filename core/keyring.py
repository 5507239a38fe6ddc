"""The ring of keys that sign and check tokens, read from `JWT_KEYS`.

The first key signs; every key checks until its `retire_at`. A key brings its algorithm with it, so whatever a token
says about algorithms decides nothing. All three algorithms sign the same claims with the same text each time (ES256 and
PS256 do not), which refresh tokens rely on.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from django.core.exceptions import ImproperlyConfigured
from jwt.algorithms import HMACAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

HS256, EDDSA, RS256 = ALGORITHMS = ("HS256", "EdDSA", "RS256")
MIN_RSA_BITS = 2048  # RFC 7518, 3.3
FIELDS = frozenset({"kid", "alg", "key", "public", "retire_at"})
_KID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_KINDS: dict[str, tuple[type, type]] = {
    EDDSA: (Ed25519PrivateKey, Ed25519PublicKey),
    RS256: (RSAPrivateKey, RSAPublicKey),
}


class KeyRingInvalid(ImproperlyConfigured):
    """`JWT_KEYS` cannot be used. `faults` has a sentence per reason; none repeats key material."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = faults
        super().__init__("JWT_KEYS cannot be used:\n- " + "\n- ".join(faults))


class _Fault(Exception):
    """One reason, while reading."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Key:
    """One key, parsed. Of HS256 `private` and `public` are the same bytes; a key without `private` only checks."""

    kid: str
    alg: str
    private: Any = field(repr=False)
    public: Any = field(repr=False)
    retire_at: datetime | None = None
    entry: Mapping[str, str] = field(repr=False)  # as it stands in JWT_KEYS

    @property
    def can_sign(self) -> bool:
        return self.private is not None

    def is_retired(self, now: datetime) -> bool:
        """Whether its tokens are refused."""
        return self.retire_at is not None and now >= self.retire_at

    def jwk(self) -> dict[str, str] | None:
        """The public half as RFC 7517 writes it; None for a symmetric key, which has none."""
        if self.alg == HS256:
            return None
        printed = (
            OKPAlgorithm.to_jwk(self.public, True) if self.alg == EDDSA else RSAAlgorithm.to_jwk(self.public, True)
        )
        # `use` and `key_ops` should not stand together (RFC 7517, 4.3).
        shown = {name: str(value) for name, value in printed.items() if name != "key_ops"}
        return shown | {"kid": self.kid, "alg": self.alg, "use": "sig"}


@dataclass(frozen=True, eq=False)
class KeyRing:
    """The keys in order; the first one signs."""

    keys: tuple[Key, ...]

    @property
    def signing(self) -> Key:
        return self.keys[0]

    def find(self, kid: object, *, now: datetime) -> Key | None:
        """The key with this name, unless it is retired; None for anything that names none."""
        found = next((key for key in self.keys if key.kid == kid), None)
        return None if found is None or found.is_retired(now) else found

    def jwks(self, *, now: datetime) -> dict[str, list[dict[str, str]]]:
        """The public keys that check tokens now (RFC 7517, 5), those included that will sign later."""
        shown = (key.jwk() for key in self.keys if not key.is_retired(now))
        return {"keys": [jwk for jwk in shown if jwk is not None]}


@lru_cache(maxsize=16)
def read_ring(text: str, secret: str) -> KeyRing:
    """The ring in `text` (the value of `JWT_KEYS`), or without any the one HS256 key `secret`. Or `KeyRingInvalid`.

    Remembered by its text: parsing an RSA key costs more than many signatures.
    """
    keys: list[Key] = []
    faults: list[str] = []
    for position, entry in enumerate(_entries(text, secret)):
        try:
            keys.append(_read_key(entry))
        except _Fault as fault:
            faults.append(f"{_called(entry, position)}: {fault}")
    faults += _faults_among(keys, is_complete=not faults)
    if faults:
        raise KeyRingInvalid(faults)
    return KeyRing(tuple(keys))


def derived_kid(secret: str) -> str:
    """A name for a key that was given without one: always the same for the same secret, and no way back to it."""
    return hashlib.sha256(b"kid:" + secret.encode()).hexdigest()[:16]


def dump_entries(entries: list[dict[str, str]]) -> str:
    """The value of `JWT_KEYS`: one line without spaces, fit for an environment variable."""
    return json.dumps(entries, separators=(",", ":"))


def print_time(moment: datetime) -> str:
    """ISO 8601 in UTC, to the second."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _entries(text: str, secret: str) -> list[Any]:
    if not text.strip():
        if not secret:
            raise KeyRingInvalid(["neither JWT_KEYS nor JWT_SIGNING_KEY is set"])
        return [{"kid": derived_kid(secret), "alg": HS256, "key": secret}]
    try:
        entries = json.loads(text)
    except (ValueError, RecursionError) as error:
        where = f" (position {error.pos})" if isinstance(error, json.JSONDecodeError) else ""
        raise KeyRingInvalid([f"it is not valid JSON{where}"]) from None
    if not isinstance(entries, list) or not entries:
        raise KeyRingInvalid(["it must be a list with at least one key"])
    return entries


def _called(entry: Any, position: int) -> str:
    kid = entry.get("kid") if isinstance(entry, dict) else None
    return f"key {kid}" if isinstance(kid, str) and _KID.fullmatch(kid) else f"key at place {position + 1}"


def _faults_among(keys: list[Key], *, is_complete: bool) -> Iterator[str]:
    kids = [key.kid for key in keys]
    for kid in sorted({kid for kid in kids if kids.count(kid) > 1}):
        yield f"key {kid}: there is more than one of this name"
    if not is_complete:
        return
    if not keys[0].can_sign:
        yield f"key {kids[0]}: it is the first and has no private half, so nothing could be signed"
    if keys[0].retire_at is not None:
        yield f"key {kids[0]}: it signs, so it cannot have a retire_at; promote another key first"


def _read_key(entry: Any) -> Key:
    if not isinstance(entry, dict) or not all(isinstance(value, str) for value in entry.values()):
        raise _Fault("it must be an object of texts")
    if unknown := sorted(set(entry) - FIELDS):
        raise _Fault(f"unknown field {unknown[0][:40]!r}")
    kid, alg = entry.get("kid", ""), entry.get("alg")
    if not _KID.fullmatch(kid):
        raise _Fault("its kid must be 1 to 64 letters, digits, dots, hyphens or underscores")
    if alg not in ALGORITHMS:
        raise _Fault(f"its alg must be one of {', '.join(ALGORITHMS)}")
    private, public = _read_secret(entry) if alg == HS256 else _read_pair(alg, entry)
    return Key(
        kid=kid, alg=alg, private=private, public=public, retire_at=_read_time(entry.get("retire_at")), entry=entry
    )


def _read_secret(entry: Mapping[str, str]) -> tuple[bytes, bytes]:
    if "public" in entry:
        raise _Fault("an HS256 key has no public half")
    if not entry.get("key"):
        raise _Fault("its key is missing")
    try:
        secret = HMACAlgorithm(HMACAlgorithm.SHA256).prepare_key(entry["key"].encode())
    except (InvalidKeyError, UnicodeEncodeError):
        raise _Fault("its key is an asymmetric one, which must not be used as a secret") from None
    return secret, secret


def _read_pair(alg: str, entry: Mapping[str, str]) -> tuple[Any, Any]:
    private_kind, public_kind = _KINDS[alg]
    private = public = None
    if "key" in entry:
        private = _load(entry["key"], private_kind, f"its key is no private key for {alg} (PEM, or base64 of PKCS8)")
        public = private.public_key()
    if "public" in entry:
        told = _load(entry["public"], public_kind, f"its public is no public key for {alg} (PEM, or base64 of SPKI)")
        if public is not None and told != public:
            raise _Fault("its public does not belong to its key")
        public = told
    if public is None:
        raise _Fault("it has neither key nor public")
    if alg == RS256 and public.key_size < MIN_RSA_BITS:
        raise _Fault(f"an RSA key needs {MIN_RSA_BITS} bits or more")
    return private, public


def _load(text: str, kind: type, fault: str) -> Any:
    """A key from PEM, or from the base64 in the middle of PEM, which survives every form and file for variables."""
    is_private = kind in {private for private, _public in _KINDS.values()}
    try:
        raw = text.encode("ascii")
        if raw.lstrip().startswith(b"-----"):
            found = (
                serialization.load_pem_private_key(raw, None) if is_private else serialization.load_pem_public_key(raw)
            )
        else:
            der = base64.b64decode(raw, validate=True)
            found = (
                serialization.load_der_private_key(der, None) if is_private else serialization.load_der_public_key(der)
            )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise _Fault(fault) from None
    if not isinstance(found, kind):
        raise _Fault(fault)
    return found


def _read_time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise _Fault("its retire_at must be a time with its zone, such as 2030-01-31T09:00:00Z")
    return moment
