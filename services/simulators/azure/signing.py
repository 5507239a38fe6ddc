"""Azure's HMAC: who is calling (vendor notes, section 1). Shared by everything under the resource's address."""

from __future__ import annotations

import base64
import hashlib
import hmac
import time
from email.utils import parsedate_to_datetime

from starlette.requests import Request

from services.simulators.world import NotJSON, Refusal, read_bytes, world_of

PREFIX = "/azure"
SCHEME = "HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature="
CLOCK_WINDOW = 300.0  # seconds; "some minutes" is all that is known


def refuse(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, {"error": {"code": code, "message": message}})


async def require_signed(request: Request) -> bytes:
    """The body of a call that the resource's key has signed, or 401. Where each failure has a code is unconfirmed."""
    key = base64.b64decode(world_of(request).config.azure.access_key)
    try:
        body = await read_bytes(request)
    except NotJSON as error:
        raise refuse(400, "BadRequest", str(error)) from error
    headers = request.headers
    date, digest, given = (headers.get(name, "") for name in ("x-ms-date", "x-ms-content-sha256", "authorization"))
    if not hmac.compare_digest(digest.encode(), base64.b64encode(hashlib.sha256(body).digest())):
        raise refuse(401, "Denied", "The content hash does not match the body.")
    try:
        age = abs(time.time() - parsedate_to_datetime(date).timestamp())
    except ValueError as error:
        raise refuse(401, "Denied", "The date cannot be read.") from error
    if age > CLOCK_WINDOW:
        raise refuse(401, "Denied", "The date is too far from now.")
    path: str = request.scope.get("raw_path", request.url.path.encode()).decode("latin-1").partition("?")[0]
    query = request.scope["query_string"].decode("latin-1")
    target = f"{path}?{query}" if query else path
    host = headers.get("host", "")
    # Azure's own clients sign the endpoint without its scheme; a real one has no path.
    for signed_host in (host, host + PREFIX):
        text = f"{request.method}\n{target}\n{date};{signed_host};{digest}"
        signature = base64.b64encode(hmac.new(key, text.encode("latin-1"), hashlib.sha256).digest()).decode()
        if hmac.compare_digest(given.encode("latin-1", "replace"), (SCHEME + signature).encode()):
            return body
    raise refuse(401, "Denied", "The signature does not match.")
