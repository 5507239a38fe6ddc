"""JSON bodies, with everything refused that later layers cannot store."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import IO, Any

import orjson
from django.conf import settings
from rest_framework.parsers import BaseParser

from core import framework_errors
from core.exceptions import DomainError, Malformed
from core.framework_errors import FrameworkError

# PostgreSQL text cannot hold NUL, and a lone surrogate is no character: as escapes both are legal JSON.
_SUSPICIOUS_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class PayloadTooLarge(DomainError):
    """The body is larger than this endpoint reads (413)."""

    code = framework_errors.TOO_LARGE.code
    message = framework_errors.TOO_LARGE.message


def _refusal(error: FrameworkError) -> Malformed:
    refusal = Malformed(error.message)
    refusal.code = error.code
    return refusal


def is_storable(text: str) -> bool:
    """Whether every database and log can hold this text."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


def parse_json(raw: bytes) -> Any:
    """Parse a request body, or raise `Malformed`: invalid JSON, NUL or lone surrogates, nesting beyond the limit."""
    try:
        # Only a body with more brackets than the limit can be deeper than it; most are never walked.
        if (
            raw.count(b"[") + raw.count(b"{") > settings.API_MAX_JSON_DEPTH
            and _depth(raw) > settings.API_MAX_JSON_DEPTH
        ):
            raise _refusal(framework_errors.TOO_DEEP)
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        error = framework_errors.MALFORMED_JSON
        if _SUSPICIOUS_ESCAPE.search(raw) or b"\x00" in raw:
            error = framework_errors.INVALID_CHARACTERS
        raise _refusal(error) from None
    if _SUSPICIOUS_ESCAPE.search(raw) and not _all_storable(value):
        raise _refusal(framework_errors.INVALID_CHARACTERS)
    return value


def _depth(raw: bytes) -> int:
    """How deeply the brackets outside strings are nested."""
    depth = deepest = 0
    in_string = escaped = False
    for byte in raw:
        if in_string:
            if escaped:
                escaped = False
            elif byte == 0x5C:  # backslash
                escaped = True
            elif byte == 0x22:
                in_string = False
        elif byte == 0x22:
            in_string = True
        elif byte in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"]}":
            depth -= 1
    return deepest


def _all_storable(value: Any) -> bool:
    if isinstance(value, str):
        return is_storable(value)
    if isinstance(value, dict):
        return all(is_storable(key) and _all_storable(item) for key, item in value.items())
    if isinstance(value, list):
        return all(_all_storable(item) for item in value)
    return True


def read_limited(stream: IO[bytes], limit: int) -> bytes:
    """The whole stream, or `PayloadTooLarge` once it is longer than `limit` bytes."""
    raw = stream.read(limit + 1)
    if len(raw) > limit:
        raise PayloadTooLarge
    return raw


class StrictJSONParser(BaseParser):
    """The only parser of the API."""

    media_type = "application/json"

    def parse(
        self, stream: IO[bytes], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        return parse_json(read_limited(stream, settings.API_MAX_BODY_BYTES))
