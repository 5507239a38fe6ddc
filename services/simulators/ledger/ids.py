"""Identifiers a provider makes up."""

from __future__ import annotations

import secrets

_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"


def new_id(prefix: str, length: int) -> str:
    """A provider's own id: `prefix` and `length` random upper-case letters or digits."""
    return prefix + "".join(secrets.choice(_LETTERS) for _ in range(length))
