"""Who is at the other end of the wire, as far as the proxies in front of us can be trusted."""

from __future__ import annotations

import ipaddress
import re
from typing import Protocol

from django.conf import settings
from django.utils.crypto import salted_hmac

# Some proxies write the port too: 203.0.113.7:4711, [2001:db8::1]:4711.
_WITH_PORT = re.compile(r"\[(?P<v6>[^\]]+)\](?::\d+)?|(?P<v4>[0-9.]+):\d+")
UNKNOWN = "unknown"


class HasMeta(Protocol):
    """Django's request, or DRF's around it."""

    META: dict[str, str]


def client_address(request: HasMeta) -> str:
    """The client's network, for limits: an IPv4 address, or the /64 of an IPv6 one (a household has a whole /64).

    With NUM_PROXIES = n the n-th entry from the right of `X-Forwarded-For` counts: each trusted proxy appends the
    address it was asked from, so what a client writes there itself stands further left and changes nothing. Too few
    entries, or one that is no address, mean that the request did not come through the proxies: then the address of
    the connection counts.
    """
    peer = _network(request.META.get("REMOTE_ADDR") or "") or UNKNOWN
    if settings.NUM_PROXIES < 1:
        return peer
    hops = (request.META.get("HTTP_X_FORWARDED_FOR") or "").split(",")
    if len(hops) < settings.NUM_PROXIES:
        return peer
    return _network(hops[-settings.NUM_PROXIES]) or peer


def client_key(client: str) -> str:
    """A short keyed hash of what `client_address` gave, for a row that must recognise it and not tell it."""
    return salted_hmac("core.client_address", client, algorithm="sha256").hexdigest()[:32]


def _network(text: str) -> str | None:
    told = text.strip()
    if found := _WITH_PORT.fullmatch(told):
        told = found["v6"] or found["v4"]
    try:
        address = ipaddress.ip_address(told)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
