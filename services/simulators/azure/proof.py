"""Who calls Azure Communication Services: an HMAC over method, target, date, host and body."""

from __future__ import annotations

import hmac
import time
from base64 import b64decode, b64encode
from email.utils import parsedate_to_datetime
from hashlib import sha256

from starlette.requests import Request

from services.simulators.world import Refusal

SIGNED_HEADERS = "x-ms-date;host;x-ms-content-sha256"
PREFIX = "/azure"
CLOCK_WINDOW = 300.0  # seconds; how many Azure allows is unconfirmed


def require_proof(request: Request, body: bytes, access_key: str) -> None:
    """Raise a 401 unless the caller has the key, signed these bytes and did so just now."""
    headers = request.headers
    date, digest = headers.get("x-ms-date", ""), headers.get("x-ms-content-sha256", "")
    if not hmac.compare_digest(digest, b64encode(sha256(body).digest()).decode("ascii")):
        raise denied("The body is not the one that was signed.")
    try:
        age = abs(time.time() - parsedate_to_datetime(date).timestamp())
    except ValueError:
        raise denied("x-ms-date cannot be read.") from None
    if age > CLOCK_WINDOW:
        raise denied("x-ms-date is too far from now.")
    query = request.scope["query_string"].decode("ascii")
    target = request.scope["raw_path"].decode("ascii") + (f"?{query}" if query else "")
    host, given = headers.get("host", ""), headers.get("authorization", "").encode()
    # Azure's own client signs the endpoint without its scheme as the host. A real one has no path; ours has.
    for signed_host in (host, host + PREFIX):
        text = f"{request.method}\n{target}\n{date};{signed_host};{digest}"
        signature = b64encode(hmac.digest(b64decode(access_key), text.encode(), "sha256")).decode("ascii")
        if hmac.compare_digest(given, f"HMAC-SHA256 SignedHeaders={SIGNED_HEADERS}&Signature={signature}".encode()):
            return
    raise denied("The signature does not match.")


def denied(why: str) -> Refusal:
    return Refusal(401, {"error": {"code": "Denied", "message": why}})
