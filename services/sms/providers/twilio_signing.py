"""Twilio's signature on what it calls at our address, as its documentation and its Python library (9.13.0) have it."""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from hashlib import sha1, sha256
from typing import Any
from urllib.parse import SplitResult, parse_qs, parse_qsl, urlsplit

from services.http import Delivery

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"
FORM = "application/x-www-form-urlencoded"
MAX_FIELDS = 200
DEFAULT_PORTS = {"https": 443, "http": 80}

HMAC_SHA1, HMAC_SHA256 = "HMAC_SHA1", "HMAC_SHA256"


def is_genuine(delivery: Delivery, *, auth_token: str, shared_key: str = "") -> bool:
    """Whether Twilio signed this delivery to `delivery.url`.

    `auth_token` is that of the account which owns the number; `shared_key` the secret of webhooks signed with SHA-256
    (when it is empty, none of those is accepted). The proof covers the whole address, and a form's fields or, for any
    other body, its hash in the address.
    """
    secret, algorithm = _choose(delivery.headers.get(SETTINGS, ""), auth_token=auth_token, shared_key=shared_key)
    given = delivery.headers.get(SIGNATURE, "")
    if not secret or not given.isascii():
        return False
    if is_form(delivery):
        fields = read_form(delivery.body)
        if fields is None:
            return False
    elif _has_its_hash(delivery):
        fields = []
    else:
        return False
    matches = [
        hmac.compare_digest(_signature(secret, algorithm, url, fields), given.encode("ascii"))
        for url in _spellings(delivery.url)
    ]
    return any(matches)


def is_form(delivery: Delivery) -> bool:
    """Whether the body is an HTML form's."""
    media_type = delivery.headers.get("content-type", "").partition(";")[0]
    return media_type.strip().lower() == FORM


def read_form(body: bytes) -> list[tuple[str, str]] | None:
    """The fields, empty ones included, or None when it cannot be read as a form."""
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
    except ValueError:
        return None


def _choose(settings: str, *, auth_token: str, shared_key: str) -> tuple[str, Callable[..., Any]]:
    """The secret and the hash that the settings header names: without it, the auth token and SHA-1."""
    named = dict(part.strip().partition("=")[::2] for part in settings.split(","))
    match named.get("algorithm", "").strip().upper() or HMAC_SHA1:
        case "HMAC_SHA1":
            return auth_token, sha1
        case "HMAC_SHA256":
            return shared_key, sha256
    return "", sha256


def _has_its_hash(delivery: Delivery) -> bool:
    """Whether the address, which is signed, names the hash of the body."""
    try:
        [told] = parse_qs(urlsplit(delivery.url).query).get("bodySHA256", [""])[:1]
    except ValueError:
        return False
    return hmac.compare_digest(sha256(delivery.body).hexdigest().encode(), told.encode("utf-8", "replace"))


def _signature(secret: str, algorithm: Callable[..., Any], url: str, fields: Iterable[tuple[str, str]]) -> bytes:
    # A field that comes twice with one value counts once.
    text = url + "".join(name + value for name, value in sorted(set(fields)))
    return b64encode(hmac.new(secret.encode(), text.encode("utf-8", "surrogatepass"), algorithm).digest())


def _spellings(url: str) -> Iterator[str]:
    """The address as it is, without its port, and with one: Twilio is not consistent about the port."""
    yield url
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return
    if port is not None:
        yield _at(parts, parts.netloc.rpartition(":")[0])
    elif parts.scheme in DEFAULT_PORTS:
        yield _at(parts, f"{parts.netloc.rstrip(':')}:{DEFAULT_PORTS[parts.scheme]}")


def _at(parts: SplitResult, netloc: str) -> str:
    # From the right: a name and password before the host, and the colons of an IPv6 host, stay as they are.
    return parts._replace(netloc=netloc).geturl()
