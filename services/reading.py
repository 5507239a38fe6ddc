"""Reading what others send: JSON with exact numbers, and text that a database will take."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

MAX_DEPTH = 32  # no provider nests its JSON nearly as deep


def read_json(body: bytes | str) -> Any:
    """JSON with exact numbers (int and `Decimal`, never float), or None when it cannot be read as JSON at all.

    None also for what only Python accepts (`NaN`, `Infinity`), numbers beyond any use and nesting deeper than 32.
    """
    try:
        text = body.decode("utf-8") if isinstance(body, bytes) else body
        value = json.loads(text, parse_float=Decimal, parse_constant=_refuse_constant)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    return value if _is_shallow(value, MAX_DEPTH) else None


def recordable(value: Any) -> Any:
    """A copy of a `read_json` value that any JSON column can hold.

    PostgreSQL refuses NUL and lone surrogates in JSON, and no encoder knows `Decimal`: the former become U+FFFD, the
    latter text with all its digits.
    """
    match value:
        case str():
            return storable(value)
        case Decimal():
            return str(value)
        case dict():
            return {storable(str(key)): recordable(item) for key, item in value.items()}
        case list():
            return [recordable(item) for item in value]
        case _:
            return value


def storable(text: str, *, limit: int | None = None) -> str:
    """`text` without what a database refuses (NUL, lone surrogates), cut to `limit` characters."""
    return text.replace("\0", "\ufffd").encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")[:limit]


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)


def _is_shallow(value: Any, depth: int) -> bool:
    if not isinstance(value, dict | list):
        return True
    items = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(item, depth - 1) for item in items)
