"""Twilio's signature of what it calls, from the vendor notes: section 3 of the document on other SMS providers.

Written against the document only, so that it can disagree with an adapter.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence


def signature(secret: str, url: str, parameters: Mapping[str, Sequence[str]], *, algorithm: str = "sha1") -> str:
    """HMAC in base64 over the address, and after it each parameter's name with each of its different values.

    `algorithm` is `sha1`, or `sha256` for webhooks signed with a shared key.
    """
    text = url
    for name in sorted(parameters):
        for value in sorted(set(parameters[name])):
            text += name + value
    digest = hmac.new(secret.encode(), text.encode(), getattr(hashlib, algorithm)).digest()
    return base64.b64encode(digest).decode()


def url_with_hash(url: str, body: bytes) -> str:
    """The address to which a JSON body goes: the body's hash stands in its query, and the address alone is signed."""
    return f"{url}{'&' if '?' in url else '?'}bodySHA256={hashlib.sha256(body).hexdigest()}"
