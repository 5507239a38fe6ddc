"""Phones and e-mail addresses as they are compared."""

from __future__ import annotations

from apps.messaging.channels import Channel
from core.derived import derive_each
from core.phones import to_e164

MAX_ADDRESS = 254


def normal_address(*, channel: str, to: str) -> str:
    """`to` as it is compared: E.164, or an e-mail address in lower case. What is no number stays as it is."""
    told = to.strip()[:MAX_ADDRESS]
    if channel == Channel.EMAIL:
        return told.lower()
    try:
        return to_e164(told)
    except ValueError:
        return told


def digests_of(*, channel: str, address: str) -> list[str]:
    """What stands for an address that may not be kept, under each key of the server: the present one's is first."""
    return [each.hex() for each in derive_each("opt-out", f"{channel}:{address}".encode())]


def masked(address: str) -> str:
    """As much of an address as whoever has it needs to know it again: `a***@example.com`, `+2557***78`."""
    name, at, domain = address.rpartition("@")
    return f"{name[:1]}***@{domain}" if at else f"{address[:5]}***{address[-2:]}"
