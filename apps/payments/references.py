"""References for attempts: what a gateway knows us by."""

from __future__ import annotations

import secrets
import string

ALPHABET = string.digits + string.ascii_uppercase
LENGTH = 20  # ClickPesa takes at most 20 alphanumerics; other gateways take more


def new_reference() -> str:
    """19 random base-36 characters and a check character: unguessable, and a typing error is noticed."""
    body = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH - 1))
    return body + check_character(body)


def check_character(body: str) -> str:
    """The weighted sum of the characters, modulo 36."""
    return ALPHABET[sum((place + 1) * ALPHABET.index(char) for place, char in enumerate(body)) % len(ALPHABET)]


def is_well_formed(reference: str) -> bool:
    """Whether this could be a reference of ours."""
    if len(reference) != LENGTH or any(char not in ALPHABET for char in reference):
        return False
    return reference[-1] == check_character(reference[:-1])
