"""Secrets that are a function of a row and the server's key, so that nothing has to keep them.

Whoever has only the database, or only the key, has none of them; a worker that repeats its work makes the same one.
"""

from __future__ import annotations

import hashlib
import hmac
from uuid import UUID

from django.conf import settings


def derive(purpose: str, told: bytes) -> bytes:
    """32 bytes that follow from `told` and the server's key; `purpose` keeps one kind of secret apart from another."""
    return _derive(settings.SECRET_KEY, purpose, told)


def derive_each(purpose: str, told: bytes) -> list[bytes]:
    """The same under the present key, and then under each of `SECRET_KEY_FALLBACKS`.

    For what others keep for longer than a key lives.
    """
    return [_derive(key, purpose, told) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)]


def _derive(secret: str, purpose: str, told: bytes) -> bytes:
    key = hashlib.sha256(f"{purpose}:".encode() + secret.encode()).digest()
    return hmac.new(key, told, hashlib.sha256).digest()


NO_ROW = UUID(int=0)  # RFC 9562, section 5.9: never the id of anything


def row_named_in(token: str) -> UUID:
    """The id of a row with which such a token begins, as 32 hex digits; `NO_ROW` for text that begins with none.

    Says nothing about the rest of the token, by which whoever calls this has to compare it.
    """
    try:
        return UUID(hex=token[:32])
    except ValueError:
        return NO_ROW


def derive_digits(purpose: str, told: bytes, *, count: int) -> str:
    """`count` decimal digits that follow from `told` and the server's key, each of the numbers equally likely."""
    numbers = 10**count
    # Above the largest multiple of `numbers` some remainders would come up once more than others: those are drawn anew.
    limit = 2**64 // numbers * numbers
    draw = 0
    while True:
        number = int.from_bytes(derive(purpose, told + draw.to_bytes(4, "big"))[:8], "big")
        if number < limit:
            return f"{number % numbers:0{count}d}"
        draw += 1
