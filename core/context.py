"""What one request (or task) carries implicitly: its id, who is asking, and whose room they are in."""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar
from uuid import UUID

request_id: ContextVar[str] = ContextVar("request_id", default="")
user_id: ContextVar[str] = ContextVar("user_id", default="")
# From which network (`core.client_address`), and as what: `staff` in the admin, `api_key` with one. For audit lines.
client: ContextVar[str] = ContextVar("client", default="")
actor_kind: ContextVar[str] = ContextVar("actor_kind", default="")
# Set and read through `core.tenancy` only; it stands here because log formatters exist before models do.
tenant_id: ContextVar[UUID | None] = ContextVar("tenant_id", default=None)

_ACCEPTABLE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def acceptable_request_id(value: str | None) -> str:
    """The caller's request id when it is short and plain, else a new one (a hostile one must not reach the log)."""
    return value if value and _ACCEPTABLE_ID.fullmatch(value) else uuid.uuid4().hex
