"""ClickPesa's checksum: HMAC-SHA256 over the payload, as JavaScript would print it.

Sources: ClickPesa docs, "checksum" and "webhooks" (canonical method, the default since January 2026; legacy method
before), and the ECMAScript specification for what `JSON.stringify` prints. The vectors in
`tests/providers/clickpesa/checksum_vectors.json` were computed with Node.

The signature covers the meaning of a body, not its bytes: both sides parse, sort and print again. So the printing has
to agree with JavaScript in every corner (key order, number format, escapes); Python's `json.dumps` does not.
"""

from __future__ import annotations

import hmac
import json
import math
import re
from collections.abc import Mapping
from decimal import Decimal
from hashlib import sha256
from typing import Any

UNSIGNED_FIELDS = frozenset({"checksum", "checksumMethod"})
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def canonical_checksum(payload: Mapping[str, Any], key: str) -> str:
    """Lower-case hex over `payload` without its `checksum` and `checksumMethod`. Refuses what `canonical_json` does."""
    signed = {name: value for name, value in payload.items() if name not in UNSIGNED_FIELDS}
    return _digest(canonical_json(signed), key)


def legacy_checksum(payload: Mapping[str, Any], key: str) -> str:
    """The method before 2026: the values in the order of their keys, joined without separators. Only for verifying.

    Raises `ValueError` for nested values. ClickPesa's docs leave them undefined, and JavaScript would print
    "[object Object]" for each: a checksum that covers nothing.
    """
    signed = {name: value for name, value in payload.items() if name not in UNSIGNED_FIELDS}
    text = "".join(_as_text(signed[name]) for name in sorted(signed, key=_code_units))
    return _digest(text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace"), key)


def canonical_json(value: Any) -> str:
    """`value` as `JSON.stringify` prints it after sorting the keys of every object by UTF-16 code unit.

    Takes what a JSON parser with exact numbers gives: dict, list, str, int, `Decimal`, bool, None. Raises `TypeError`
    for anything else, floats included, and `RecursionError` beyond Python's depth.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | Decimal():
            return js_number(value)
        case str():
            return _quoted(value)
        case list() | tuple():
            return "[" + ",".join(canonical_json(item) for item in value) + "]"
        case Mapping():
            return "{" + ",".join(f"{_quoted(key)}:{canonical_json(value[key])}" for key in _js_order(value)) + "}"
        case _:
            raise TypeError(f"{type(value).__name__} has no canonical form; parse JSON numbers as Decimal.")


def js_number(number: int | Decimal) -> str:
    """`number` as JavaScript prints it after `JSON.parse`: rounded to a double, `1000.0` as `1000`, `1e21` as `1e+21`.

    The double lives only here, because ClickPesa's side has nothing else; no amount is ever read from it.
    """
    try:
        double = float(number)
    except OverflowError:
        double = math.inf
    if not math.isfinite(double):
        return "null"  # JSON.stringify(Infinity)
    # repr gives the shortest digits that read back as the same double, as ECMAScript's Number::toString does.
    sign, digit_tuple, exponent = Decimal(repr(double)).as_tuple()
    assert isinstance(exponent, int)  # noqa: S101 - for the type checker: a finite number
    point = len(digit_tuple) + exponent  # where the decimal point stands, counted from the first digit
    digits = "".join(map(str, digit_tuple)).rstrip("0")
    if not digits:
        return "0"  # minus zero too
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        mantissa = digits[0] + ("." + digits[1:] if digits[1:] else "")
        text = f"{mantissa}e{point - 1:+d}"
    return "-" + text if sign else text


def _digest(text: str, key: str) -> str:
    return hmac.new(key.encode(), text.encode(), sha256).hexdigest()


def _code_units(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _js_order(mapping: Mapping[str, Any]) -> list[str]:
    # The reference sorts the keys and builds a new object from them; a JavaScript object then lists keys that look
    # like array indices first, by value, whatever the order they came in.
    return sorted(mapping, key=lambda key: (0, int(key), b"") if _is_index(key) else (1, 0, _code_units(key)))


def _is_index(key: str) -> bool:
    is_decimal = key.isascii() and key.isdigit() and len(key) <= 10 and (key == "0" or key[0] != "0")
    return is_decimal and int(key) < 2**32 - 1


def _quoted(text: str) -> str:
    # Two halves that stand together are one character to JavaScript; a half alone is escaped (ES2019).
    joined = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return _LONE_SURROGATE.sub(lambda half: f"\\u{ord(half[0]):04x}", json.dumps(joined, ensure_ascii=False))


def _as_text(value: Any) -> str:
    match value:
        case str():
            return value
        case None | bool():
            return canonical_json(value)
        case int() | Decimal() if (text := js_number(value)) != "null":
            return text
        case _:
            raise ValueError("The legacy checksum is not defined for nested values, nor for numbers beyond a double.")
