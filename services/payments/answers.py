"""Reading what several providers' answers have in common: text, pages for the customer, balances."""

from __future__ import annotations

from decimal import ROUND_DOWN, Decimal
from typing import Any
from urllib.parse import urlsplit

from core.money import EXPONENTS, Money
from services.http import Delivery, is_header_safe
from services.payments.base import WebhookRejected
from services.reading import read_json

MAX_LINK = 2000  # characters; longer ones fail in some browsers


def object_of(delivery: Delivery) -> dict[str, Any]:
    """The JSON object in a callback, or `WebhookRejected`."""
    body = read_json(delivery.body)
    if not isinstance(body, dict):
        raise WebhookRejected
    return body


def text_of(value: Any) -> str:
    """`value` where it is text or a whole number, else nothing."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def page_link(value: Any) -> str:
    """`value` where it is the address of a web page to which a browser may be sent, else nothing."""
    if not isinstance(value, str) or len(value) > MAX_LINK or not is_header_safe(value):
        return ""
    try:
        url = urlsplit(value)
        is_page = url.scheme in ("http", "https") and url.hostname and url.username is None
    except ValueError:
        return ""
    return value if is_page and " " not in value and "\\" not in value else ""


def balance_of(units: Any, currency: Any) -> Money | None:
    """A provider's balance in major units, or None when it is no amount of a currency that we know.

    Providers count balances finer than any coin; what is below the smallest unit is cut off.
    """
    try:
        value = Decimal(units) if isinstance(units, str) and units.isascii() and "_" not in units else units
        if isinstance(value, Decimal) and value.is_finite() and currency in EXPONENTS and abs(value) < 10**15:
            value = value.quantize(Decimal(1).scaleb(-EXPONENTS[currency]), rounding=ROUND_DOWN)
        return Money.from_units(value, currency)
    except (ArithmeticError, TypeError, ValueError):
        return None
