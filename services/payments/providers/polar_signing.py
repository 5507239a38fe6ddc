"""Polar's signatures on its callbacks: Standard Webhooks 1.0, with one of two keys.

Secrets made since 8 September 2026 are true Standard Webhooks secrets: `whsec_` and the key in base64. Older ones, and
those that a merchant chose, are a key as they stand, prefix included (polar-sdk 1.0.2, and Polar's server). A secret
does not say which it is, so a delivery that either key signed is accepted, as Polar's own clients do.
"""

from __future__ import annotations

import hmac
import re
import time
from base64 import b64decode, b64encode
from collections.abc import Iterable
from hashlib import sha256

from services.http import Delivery

PREFIX = "whsec_"
TOLERANCE = 5 * 60  # seconds, either way (Standard Webhooks, and both of Polar's clients)
MESSAGE_ID = re.compile(r"[!-~]{1,100}")
# As Polar writes it: whole seconds. Wider readings (signs, spaces, other scripts' digits) would serve forgers only.
TIMESTAMP = re.compile(r"[0-9]{1,12}")


def signing_keys(secret: str) -> tuple[bytes, ...]:
    """The keys that `secret` may stand for: all of it as text, and what it encodes where it is strict base64."""
    whole = secret.encode("utf-8", "surrogatepass")
    rest = secret.removeprefix(PREFIX)
    try:
        decoded = b64decode(rest + "=" * (-len(rest) % 4), validate=True)
    except ValueError:
        return (whole,)
    # Never an empty key: anybody can sign with that.
    return (whole, decoded) if decoded and decoded != whole else (whole,)


def signature(key: bytes, *, message_id: str, timestamp: str, body: bytes) -> str:
    """What `key` makes of a delivery, as it stands in the header: `v1,` and base64."""
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "surrogatepass") + body
    return "v1," + b64encode(hmac.new(key, signed, sha256).digest()).decode("ascii")


def is_signed(delivery: Delivery, keys: Iterable[bytes]) -> bool:
    """Whether one of `keys` signed these exact bytes, within the last five minutes (or the next, by our clock)."""
    message_id = delivery.headers.get("webhook-id", "")
    timestamp = delivery.headers.get("webhook-timestamp", "")
    if not MESSAGE_ID.fullmatch(message_id) or not TIMESTAMP.fullmatch(timestamp):
        return False
    if abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    # Several stand in one header while a secret is being replaced; other versions than v1 never match.
    offered = [each.encode("utf-8", "surrogatepass") for each in delivery.headers.get("webhook-signature", "").split()]
    expected = [
        signature(key, message_id=message_id, timestamp=timestamp, body=delivery.body).encode("ascii") for key in keys
    ]
    return any(hmac.compare_digest(right, claim) for right in expected for claim in offered)
