"""Selcom's digest: how requests and webhooks are signed (vendor notes, section 2), and what is no signature at all."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

METHOD = "HS256"

_TIMESTAMP = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[+-][0-9]{2}:?[0-9]{2}")


class NotSignable(ValueError):
    """A value that two clients would write differently: a fraction, true, null, something nested."""


def rendered(value: object) -> str:
    """A value as it stands in the signed text: raw, neither quoted nor URL-encoded."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise NotSignable(f"Only text and whole numbers can be signed, not {type(value).__name__}.")
    return str(value)


def signed_text(timestamp: str, fields: Mapping[str, object], names: Iterable[str]) -> str:
    """The text the digest is over: the timestamp first, then the fields in the order of `names`."""
    return "&".join([f"timestamp={timestamp}", *(f"{name}={rendered(fields[name])}" for name in names)])


def digest(secret: str, timestamp: str, fields: Mapping[str, object], names: Iterable[str] | None = None) -> str:
    """Base64 of HMAC-SHA256. Raises `NotSignable`, and `KeyError` for a name that is not among the fields."""
    text = signed_text(timestamp, fields, fields if names is None else names)
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest()).decode()


def authorization(key: str) -> str:
    """The `Authorization` header."""
    return f"SELCOM {base64.b64encode(key.encode()).decode()}"


def headers(
    key: str, secret: str, timestamp: str, fields: Mapping[str, object], names: Iterable[str]
) -> dict[str, str]:
    """Every header that a signed message carries."""
    names = tuple(names)
    return {
        "Authorization": authorization(key),
        "Digest-Method": METHOD,
        "Digest": digest(secret, timestamp, fields, names),
        "Timestamp": timestamp,
        "Signed-Fields": ",".join(names),
    }


def names_of(signed_fields: str) -> list[str]:
    """The names in a `Signed-Fields` header."""
    return signed_fields.split(",") if signed_fields else []


def is_valid(secret: str, given: Mapping[str, str], fields: Mapping[str, Any]) -> bool:
    """Whether the headers `given` sign exactly these fields, in the order they name them.

    A field that was sent but not signed makes it invalid: "sign all fields you send" (what Selcom does is unconfirmed).
    """
    names = names_of(given.get("signed-fields", ""))
    if given.get("digest-method") != METHOD or set(names) != set(fields):
        return False
    try:
        expected = digest(secret, given.get("timestamp", ""), fields, names)
    except NotSignable:
        return False
    return hmac.compare_digest(given.get("digest", "").encode(), expected.encode())


def read_timestamp(text: str) -> float | None:
    """The moment in a `Timestamp` header, with `+03:00` or `+0300` and no fractions; None for anything else."""
    if not _TIMESTAMP.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S%z").timestamp()
    except ValueError:
        return None
