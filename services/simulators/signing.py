"""ClickPesa's checksum, from the vendor notes: section 2 of the ClickPesa document.

Written against the document only, so that it can disagree with an adapter.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

CANONICAL, LEGACY = "canonical", "legacy"
_ENVELOPE = frozenset({"checksum", "checksumMethod"})
_ARRAY_INDEX = re.compile(r"0|[1-9][0-9]{0,9}")
_LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")


class NotSignable(ValueError):
    """The method gives this payload no defined text: nested values under the legacy method."""


def checksum(key: str, payload: Mapping[str, Any], method: str = CANONICAL) -> str:
    """HMAC-SHA256 in lower-case hex over the payload's text without `checksum` and `checksumMethod`."""
    text = legacy_text(payload) if method == LEGACY else canonical_text(payload)
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


def is_valid(key: str, payload: Mapping[str, Any]) -> bool:
    """Whether the payload carries the checksum it should, by the method it names (canonical when it names none)."""
    given = payload.get("checksum")
    method = payload.get("checksumMethod", CANONICAL)
    if not isinstance(given, str) or not given.isascii() or method not in (CANONICAL, LEGACY):
        return False
    try:
        return hmac.compare_digest(checksum(key, payload, method), given)
    except NotSignable:
        return False


def canonical_text(payload: Mapping[str, Any]) -> str:
    """What JavaScript's `JSON.stringify` prints for the payload with its keys sorted at every level."""
    return _stringify({key: value for key, value in payload.items() if key not in _ENVELOPE})


def legacy_text(payload: Mapping[str, Any]) -> str:
    """The top-level values as text, in the order of their keys, with nothing between. Raises `NotSignable`."""
    kept = {key: value for key, value in payload.items() if key not in _ENVELOPE}
    return "".join(_plain(kept[key]) for key in sorted(kept, key=_code_units))


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping | list):
        raise NotSignable("The legacy method has no text for nested values.")
    return _stringify(value)  # JavaScript's String() and JSON.stringify agree on null, booleans and numbers


def _stringify(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return _number(value)
        case str():
            # Python leaves a lone surrogate bare; JSON.stringify escapes it.
            text = json.dumps(value, ensure_ascii=False)
            return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
        case Mapping():
            pairs = (f"{_stringify(key)}:{_stringify(value[key])}" for key in sorted(value, key=_key_order))
            return "{" + ",".join(pairs) + "}"
        case list():
            return "[" + ",".join(map(_stringify, value)) + "]"
        case _:
            raise TypeError(f"Not a JSON value: {value!r}")


def _code_units(text: str) -> bytes:
    """JavaScript compares UTF-16 code units; Python compares code points. They differ above U+FFFF."""
    return text.encode("utf-16-be", "surrogatepass")


def _key_order(key: str) -> tuple[int, int, bytes]:
    """A JavaScript object lists keys that look like array indexes first, by number, however it was filled."""
    if _ARRAY_INDEX.fullmatch(key) and int(key) < 2**32 - 1:
        return 0, int(key), b""
    return 1, 0, _code_units(key)


def _number(value: float) -> str:
    """A JavaScript number as text: every number is a double; whole ones below 1e21 have no decimals or exponent."""
    try:
        number = float(value)
    except OverflowError:
        return "null"
    if not math.isfinite(number):
        return "null"
    if number == 0:
        return "0"
    # repr gives the shortest digits that read back as the same double, which is also JavaScript's rule.
    sign, digits, exponent = Decimal(repr(number)).normalize().as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - finite by the test above; this is for the type checker
    text = "".join(map(str, digits))
    point = len(text) + exponent
    if 0 < point <= 21:
        shown = text + "0" * (point - len(text)) if exponent >= 0 else f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        shown = f"0.{'0' * -point}{text}"
    else:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        shown = f"{text[0]}{fraction}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return f"-{shown}" if sign else shown
