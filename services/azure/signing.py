"""How Azure Communication Services knows a caller: an HMAC over method, target, date, host and body.

Facts come from Azure's page on HMAC authentication and from its own Python clients, whose signatures equal these.
"""

from __future__ import annotations

import hmac
from base64 import b64decode, b64encode
from datetime import datetime
from email.utils import format_datetime
from hashlib import sha256
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

SIGNED_HEADERS = "x-ms-date;host;x-ms-content-sha256"


class AcsSigner:
    """Signs calls to the resource at `endpoint` (https://name.region.communication.azure.com) with its access key."""

    def __init__(self, endpoint: str, access_key: str) -> None:
        """Raise `ImproperlyConfigured` for a key that is not base64, without showing it."""
        try:
            self._key = b64decode(access_key, validate=True)
        except ValueError:
            self._key = b""
        if not self._key:
            raise ImproperlyConfigured("The Azure access key must be base64, as the portal shows it.")
        parts = urlsplit(endpoint)
        # With the port only where it is not the scheme's own: what an HTTP client sends as Host.
        is_default = parts.port in (None, {"http": 80, "https": 443}.get(parts.scheme))
        self.host = (parts.hostname or "") if is_default else f"{parts.hostname}:{parts.port}"

    def headers(self, *, method: str, target: str, body: bytes, at: datetime) -> dict[str, str]:
        """The headers that prove this one call, some minutes long. `target`: path and query exactly as sent.

        `body`: the exact bytes, b"" for none. `at`: now, aware, in UTC. Sign again for every try.
        """
        date = format_datetime(at, usegmt=True)
        digest = b64encode(sha256(body).digest()).decode("ascii")
        text = f"{method}\n{target}\n{date};{self.host};{digest}"
        signature = b64encode(hmac.digest(self._key, text.encode(), sha256)).decode("ascii")
        return {
            "x-ms-date": date,
            "x-ms-content-sha256": digest,
            "Authorization": f"HMAC-SHA256 SignedHeaders={SIGNED_HEADERS}&Signature={signature}",
        }
