"""What a gateway sent, as far as operators may read it: without phone numbers, addresses and secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from core.logging import is_secret_name, redact

MAX_SHOWN = 20_000
MAX_DEPTH = 30


def readable_body(body: bytes, content_type: str = "") -> str:
    """The body of a callback, laid out, with what is private masked. Never raises."""
    text = body.decode("utf-8", "backslashreplace")
    if "urlencoded" in content_type:
        pairs = parse_qsl(text[:MAX_SHOWN], keep_blank_values=True, max_num_fields=None)
        if pairs:
            return "\n".join(f"{name} = {_shown(name, value)}" for name, value in pairs)
    try:
        told = json.dumps(_redacted("", json.loads(text), 0), ensure_ascii=False, indent=2)
    except (ValueError, RecursionError):
        told = redact(text[:MAX_SHOWN])
    return told if len(told) <= MAX_SHOWN else f"{told[:MAX_SHOWN]} ..."


def readable_headers(headers: Mapping[str, Any]) -> str:
    """Headers by name, those that prove who sent them masked."""
    return "\n".join(f"{name}: {_shown(name, str(value))}" for name, value in sorted(headers.items()))


def _shown(name: str, text: str) -> str:
    return "[secret]" if _is_private(name) else redact(text)


def _is_private(name: str) -> bool:
    lowered = name.lower()
    return is_secret_name(name) or any(word in lowered for word in ("signature", "digest", "checksum", "webhook-"))


def _redacted(name: str, value: Any, depth: int) -> Any:
    if _is_private(name) and value not in (None, "", [], {}):
        return "[secret]"
    if depth >= MAX_DEPTH and isinstance(value, dict | list):
        return "..."
    if isinstance(value, dict):
        return {redact(str(key)): _redacted(str(key), each, depth + 1) for key, each in value.items()}
    if isinstance(value, list):
        return [_redacted(name, each, depth + 1) for each in value]
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        told = redact(str(value))
        return value if told == str(value) else told
    return value
