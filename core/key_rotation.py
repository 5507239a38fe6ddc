"""The steps of changing a key: add, promote, retire. Each takes the ring as it is and returns the next `JWT_KEYS`.

Nothing is stored here or anywhere: operators set the value in the environment of every process. The order makes it
safe: a key is known everywhere before it signs, and checks for as long as a token that it signed may live.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from core.keyring import EDDSA, HS256, Key, KeyRing, dump_entries, print_time

# Until the last process runs with the new key, and until nobody holds a key set without it (`max-age` 300 s).
WAIT_BEFORE_PROMOTION = timedelta(minutes=10)
# Between a value being printed and every process running with it.
TIME_TO_DEPLOY = timedelta(days=1)


class RotationRefused(Exception):
    """The step would lock people out, or has nothing to do. Says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to set, and what it means. `kid` is the key that the step was about."""

    kid: str
    value: str = field(repr=False)
    told: str


def add_key(ring: KeyRing, *, alg: str, now: datetime) -> Step:
    """A new key at the end of the ring: it checks and does not sign yet."""
    entry = new_entry(alg, now=now)
    return Step(
        kid=entry["kid"],
        value=dump_entries([*_entries(ring.keys), entry]),
        told=(
            f"Key {entry['kid']} ({alg}) is added: it checks tokens and signs none yet.\n"
            f"From {print_time(now + WAIT_BEFORE_PROMOTION)} on, and not before ten minutes after the last process was "
            f"restarted with it: jwt_keys promote {entry['kid']}"
        ),
    )


def promote_key(ring: KeyRing, *, kid: str | None, refresh_lifetime: timedelta, now: datetime) -> Step:
    """Another key signs from now on; the one before keeps checking for as long as its refresh tokens may live.

    Promoting a key that was replaced takes the change back.
    """
    key = _named(ring, kid) if kid is not None else _waiting(ring)
    if key is ring.signing:
        raise RotationRefused(f"Key {key.kid} signs already.")
    if not key.can_sign:
        raise RotationRefused(f"Key {key.kid} has no private half here: it can only check.")
    if key.is_retired(now):
        raise RotationRefused(f"Key {key.kid} is retired: its tokens are refused. Add another one.")
    before = ring.signing
    retire_at = now + refresh_lifetime + TIME_TO_DEPLOY
    entries = [
        _without_end(key),
        _with_end(before, retire_at),
        *_entries(each for each in ring.keys if each not in (key, before)),
    ]
    return Step(
        kid=key.kid,
        value=dump_entries(entries),
        told=(
            f"Key {key.kid} signs. Set the value within a day; if it takes longer, promote again.\n"
            f"Key {before.kid} goes on checking, access tokens for 15 minutes and refresh tokens for "
            f"{refresh_lifetime.days} days, and is refused from {print_time(retire_at)} on. "
            f"From then on: jwt_keys retire"
        ),
    )


def retire_keys(ring: KeyRing, *, kid: str | None, refresh_lifetime: timedelta, now: datetime) -> Step:
    """Take out what is retired. A key that still checks is first given the time at which it ends."""
    if kid is None:
        gone = [key for key in ring.keys if key.is_retired(now)]
        if not gone:
            raise RotationRefused(f"No key is retired yet. {_next_end(ring)}")
    else:
        gone = [_named(ring, kid)]
    (key, *_others) = gone
    if key is ring.signing:
        raise RotationRefused(f"Key {key.kid} signs: promote another one first, or remove a leaked key with --now.")
    if key.retire_at is None:
        retire_at = now + refresh_lifetime + TIME_TO_DEPLOY
        entries = [_with_end(each, retire_at) if each is key else dict(each.entry) for each in ring.keys]
        told = f"Key {key.kid} checks until {print_time(retire_at)}. From then on: jwt_keys retire {key.kid}"
        return Step(kid=key.kid, value=dump_entries(entries), told=told)
    if not key.is_retired(now):
        until = print_time(key.retire_at)
        raise RotationRefused(
            f"Key {key.kid} checks until {until}: tokens that it signed are in use. Wait, or use --now."
        )
    names = ", ".join(each.kid for each in gone)
    return Step(
        kid=key.kid,
        value=dump_entries(_entries(each for each in ring.keys if each not in gone)),
        told=f"Taken out: {names}. Nothing changes for anybody: it was refused already.",
    )


def remove_key(ring: KeyRing, *, kid: str, now: datetime) -> Step:
    """The emergency: a key out at once, with every token that it signed. Who signs next is here already, or is new."""
    key = _named(ring, kid)
    left = [each for each in ring.keys if each is not key]
    successor = next((each for each in left if each.can_sign and each.retire_at is None), None)
    if successor is not None:
        entries = _entries([successor, *(each for each in left if each is not successor)])
        signs = successor.kid
    else:
        entry = new_entry(key.alg, now=now)
        entries = [entry, *_entries(left)]
        signs = entry["kid"]
    return Step(
        kid=key.kid,
        value=dump_entries(entries),
        told=(
            f"Key {key.kid} is out: once every process runs with this value, each token that it signed is refused, and "
            f"their people sign in again. Key {signs} signs.\n"
            "Restart all processes together: one that still has the key goes on accepting it."
        ),
    )


def new_entry(alg: str, *, now: datetime) -> dict[str, str]:
    """A fresh random key as it stands in `JWT_KEYS`. Its name tells the day it was made."""
    kid = f"{now:%Y%m%d}-{secrets.token_hex(4)}"
    if alg == HS256:
        return {"kid": kid, "alg": alg, "key": secrets.token_urlsafe(48)}
    private: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    private = ed25519.Ed25519PrivateKey.generate() if alg == EDDSA else rsa.generate_private_key(65537, 2048)
    der = private.private_bytes(
        serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return {"kid": kid, "alg": alg, "key": base64.b64encode(der).decode()}


def describe(key: Key, *, is_first: bool, now: datetime) -> str:
    """What a key does, in a word or two."""
    if is_first:
        return "signs"
    if key.is_retired(now):
        return f"retired since {print_time(key.retire_at)}" if key.retire_at else "retired"
    until = f" until {print_time(key.retire_at)}" if key.retire_at else ""
    return f"checks{until}" + ("" if key.can_sign else " (public half only)")


def _entries(keys: Iterable[Key]) -> list[dict[str, str]]:
    return [dict(key.entry) for key in keys]


def _without_end(key: Key) -> dict[str, str]:
    return {name: value for name, value in key.entry.items() if name != "retire_at"}


def _with_end(key: Key, retire_at: datetime) -> dict[str, str]:
    return dict(key.entry) | {"retire_at": print_time(retire_at)}


def _named(ring: KeyRing, kid: str) -> Key:
    for key in ring.keys:
        if key.kid == kid:
            return key
    raise RotationRefused(f"There is no key {kid[:64]}.")


def _waiting(ring: KeyRing) -> Key:
    """The one key that could sign and does not yet."""
    waiting = [key for key in ring.keys[1:] if key.can_sign and key.retire_at is None]
    if not waiting:
        raise RotationRefused("No key waits to sign: jwt_keys add makes one.")
    if len(waiting) > 1:
        raise RotationRefused(f"Say which key: {', '.join(key.kid for key in waiting)}.")
    return waiting[0]


def _next_end(ring: KeyRing) -> str:
    ends = [key.retire_at for key in ring.keys if key.retire_at is not None]
    return f"The next one is, from {print_time(min(ends))} on." if ends else "None has an end; promote sets one."
