"""Text that the database keeps encrypted, because it has to be read again and a hash would not do.

Fernet: AES-128-CBC and HMAC-SHA256. Keys are strings of any form, stretched by HKDF, in `ENCRYPTION_KEYS`: the first
one seals, every one opens, so a new key is put in front and the old one stays until `manage.py mfa reseal` has run. The
key derived from `SECRET_KEY` always opens, and seals while there is no other.
"""

from __future__ import annotations

import base64
import logging
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

from core.exceptions import Unavailable

logger = logging.getLogger("faraja.security")


class SealBroken(Unavailable):
    """No key of this installation opens a stored secret: one was removed too early."""


def seal(text: str) -> str:
    """`text`, encrypted under the newest key."""
    return _keys().encrypt(text.encode()).decode()


def unseal(sealed: str) -> str:
    """What was sealed, or `SealBroken`."""
    try:
        return _keys().decrypt(sealed.encode()).decode()
    except InvalidToken:
        logger.error("a sealed secret cannot be opened: is a key missing from ENCRYPTION_KEYS?")
        raise SealBroken from None


def find_sealed(brought: str) -> str | None:
    """What was sealed in a text that a stranger brings back, or None: it need not be one of ours."""
    try:
        return _keys().decrypt(brought.encode()).decode()
    except InvalidToken:
        return None


def reseal(sealed: str) -> str:
    """The same secret under the newest key, or `SealBroken`."""
    return seal(unseal(sealed))


def _keys() -> MultiFernet:
    return _derive((*settings.ENCRYPTION_KEYS, settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS))


@lru_cache(maxsize=8)
def _derive(secrets: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_stretch(secret))) for secret in secrets])


def _stretch(secret: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=b"core.sealing").derive(secret.encode())
