"""The secret part of a tenant's callback address: derived, so that nothing is stored, and checked without the database.

It names the tenant, the account and the address's version (a rotation raises it), and ends on a MAC of them. Whether
the account exists, and has that version, is for whoever reads the row.
"""

from __future__ import annotations

import base64
import hmac
from binascii import Error as NotBase64
from dataclasses import dataclass
from uuid import UUID

from core.derived import derive_each

PURPOSE = "gateway-callback"
_NAMED = 16 + 16 + 4  # bytes: tenant, account, version
_MAC = 18  # bytes, 144 bits; in all 54, which base64 writes without padding
LENGTH = (_NAMED + _MAC) * 4 // 3


@dataclass(frozen=True, slots=True, kw_only=True)
class CallbackAddress:
    """What a token names."""

    tenant_id: UUID
    account_id: UUID
    version: int


def callback_token(address: CallbackAddress) -> str:
    """The token for this address: 72 characters of A-Z, a-z, 0-9, `-` and `_`."""
    return _tokens(_told(address))[0]


def read_callback_token(token: str) -> CallbackAddress | None:
    """What the token names, or None unless this server made it (under `SECRET_KEY` or one of its fallbacks)."""
    if len(token) != LENGTH or not token.isascii():
        return None
    try:
        told = base64.b64decode(token, altchars=b"-_", validate=True)[:_NAMED]
    except (NotBase64, ValueError):
        return None
    if not any(hmac.compare_digest(made, token) for made in _tokens(told)):
        return None
    tenant, account, version = told[:16], told[16:32], told[32:]
    return CallbackAddress(
        tenant_id=UUID(bytes=tenant), account_id=UUID(bytes=account), version=int.from_bytes(version, "big")
    )


def _told(address: CallbackAddress) -> bytes:
    return address.tenant_id.bytes + address.account_id.bytes + address.version.to_bytes(4, "big")


def _tokens(told: bytes) -> list[str]:
    macs = derive_each(PURPOSE, told)
    return [base64.urlsafe_b64encode(told + mac[:_MAC]).decode() for mac in macs]
