"""Polar's checkouts, orders and refunds in our words.

One reading for replies, queries, lists and callbacks, so that they cannot disagree. Field names and states are those of
Polar's API 2026-04 (polar.sh/docs, polar-sdk 1.0.2).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.utils import timezone

from core.money import LARGEST, Money
from services.payments.base import ChargeResult, ChargeStatus, GatewayRefused, TransferResult, TransferStatus
from services.reading import recordable

# Decimals of the currencies that are offered, by Polar's own table, which is not ISO 4217's: UGX has two there and none
# here. A mistake would be a hundredfold one and nobody has tried it (unconfirmed), so UGX is not offered at all.
PLACES = {"TZS": 2, "KES": 2, "USD": 2, "RWF": 0}

# Smallest and largest price in Polar's units (Polar's server, August 2026; unconfirmed, and Polar retunes them). What
# Polar answers counts; these only spare a call.
LIMITS = {
    "TZS": (200_000, 250_000_000),
    "KES": (7_000, 99_999_999),
    "USD": (50, 99_999_999),
    "RWF": (1_000, 99_999_999),
}
LARGEST_PRICE = 99_999_999  # in a currency that is not in LIMITS

CHARGE_KEY = "payment_ref"  # our reference in the metadata of a checkout, which its order inherits
REFUND_KEY = "refund_ref"  # the same of a refund
INCLUSIVE_KEY = "includes_tax"  # true in the metadata of a refund whose tax is part of what we asked for

CHECKOUT_STATUS = {
    "open": ChargeStatus.REQUIRES_ACTION,  # also after a declined card: the customer may try another
    "confirmed": ChargeStatus.PENDING,  # the customer pressed the button; nothing is paid yet
    "succeeded": ChargeStatus.PENDING,  # the order is the record of money, and says so itself
    "failed": ChargeStatus.DECLINED,
    "expired": ChargeStatus.EXPIRED,
}
# A refund does not undo that an order was paid: `refunded` tells it.
ORDER_STATUS = {
    "draft": ChargeStatus.PENDING,
    "pending": ChargeStatus.PENDING,
    "paid": ChargeStatus.PAID,
    "partially_refunded": ChargeStatus.PAID,
    "refunded": ChargeStatus.PAID,
    "void": ChargeStatus.DECLINED,
}
REFUND_STATUS = {
    "pending": TransferStatus.PENDING,
    "succeeded": TransferStatus.SUCCEEDED,
    "failed": TransferStatus.FAILED,
    "canceled": TransferStatus.FAILED,
}

IDENTIFIER = re.compile(r"[!-~]{1,100}")
PAGE = re.compile(r"https?://[!-~]{1,2000}")


def to_polar(money: Money) -> int:
    """The amount in Polar's smallest unit. `KeyError` for a currency that is not offered."""
    places = PLACES[money.currency]
    return int(money.to_units(places=places).scaleb(places))


def from_polar(amount: Any, currency: Any) -> Money | None:
    """Money from Polar's smallest unit and lower-case code; None unless both are plain and the currency is offered."""
    if isinstance(amount, bool) or not isinstance(amount, int) or abs(amount) > LARGEST:
        return None
    code = currency.upper() if isinstance(currency, str) else ""
    return Money.from_units(Decimal(amount).scaleb(-PLACES[code]), code) if code in PLACES else None


def metadata(found: Mapping[str, Any], key: str) -> str:
    """A reference of ours in an object's metadata; empty when there is none that could be ours."""
    kept = found.get("metadata")
    return identifier(kept.get(key)) if isinstance(kept, dict) else ""


def identifier(value: Any) -> str:
    """`value` where it can be an id, else nothing."""
    return value if isinstance(value, str) and IDENTIFIER.fullmatch(value) else ""


def moment(value: Any) -> datetime | None:
    """A time of Polar's (ISO 8601; UTC where it names no zone), or None."""
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (TypeError, ValueError, OverflowError):
        return None


def checkout_result(checkout: Mapping[str, Any]) -> ChargeResult:
    """A checkout. It is never PAID: that is for its order to say."""
    word = checkout.get("status")
    status = CHECKOUT_STATUS.get(word, ChargeStatus.UNKNOWN) if isinstance(word, str) else ChargeStatus.UNKNOWN
    page = checkout.get("url")
    if status is ChargeStatus.REQUIRES_ACTION:
        ends_at = moment(checkout.get("expires_at"))
        if ends_at is not None and ends_at <= timezone.now():
            # Polar's own job finds it up to 15 minutes later.
            status = ChargeStatus.EXPIRED
        elif not isinstance(page, str) or not PAGE.fullmatch(page):
            status = ChargeStatus.UNKNOWN  # nothing that the customer could do
    return ChargeResult(
        status=status,
        provider_reference=identifier(checkout.get("id")),
        money=from_polar(_less(checkout.get("amount"), checkout.get("discount_amount")), checkout.get("currency")),
        checkout_url=str(page) if status is ChargeStatus.REQUIRES_ACTION else "",
        reason=f"checkout {word}" if status is ChargeStatus.DECLINED else "",
        raw=recordable(checkout),
    )


def order_result(order: Mapping[str, Any]) -> ChargeResult:
    """An order: what was paid for the price we asked, whatever tax Polar took on top of it or out of it."""
    word = order.get("status")
    status = ORDER_STATUS.get(word, ChargeStatus.UNKNOWN) if isinstance(word, str) else ChargeStatus.UNKNOWN
    currency = order.get("currency")
    refunded = order.get("refunded_amount")
    if includes_tax(order):
        refunded = _sum(refunded, order.get("refunded_tax_amount"))
    return ChargeResult(
        status=status,
        # The checkout's id, not the order's: the name under which the charge was made.
        provider_reference=identifier(order.get("checkout_id")),
        money=from_polar(_price(order), currency),
        refunded=from_polar(refunded, currency),
        reason=f"order {word}" if status is ChargeStatus.DECLINED else "",
        raw=recordable(order),
    )


def refund_result(refund: Mapping[str, Any]) -> TransferResult:
    """A refund, as a part of the price we asked (see `refund_amount`)."""
    word = refund.get("status")
    status = REFUND_STATUS.get(word, TransferStatus.UNKNOWN) if isinstance(word, str) else TransferStatus.UNKNOWN
    kept, amount = refund.get("metadata"), refund.get("amount")
    if isinstance(kept, dict) and kept.get(INCLUSIVE_KEY) is True:
        amount = _sum(amount, refund.get("tax_amount"))
    return TransferResult(
        status=status,
        provider_reference=identifier(refund.get("id")),
        money=from_polar(amount, refund.get("currency")),
        reason=f"refund {word}" if status is TransferStatus.FAILED else "",
        raw=recordable(refund),
    )


def chosen_order(orders: Iterable[dict[str, Any]]) -> dict[str, Any] | None:
    """Of several orders the first that was paid, or else the newest: the choice must not change between questions."""
    found = sorted(orders, key=lambda order: str(order.get("created_at", "")))
    return next((order for order in found if is_paid(order)), found[-1] if found else None)


def is_paid(order: Mapping[str, Any]) -> bool:
    """Whether money was taken for this order."""
    word = order.get("status")
    return isinstance(word, str) and ORDER_STATUS.get(word) is ChargeStatus.PAID


def includes_tax(order: Mapping[str, Any]) -> bool:
    """Whether the tax is a part of our price ("inclusive"). Then the net amount is smaller than the price, and every
    amount of a refund, which is net of tax, is too.
    """
    price, net, tax = _price(order), order.get("net_amount"), order.get("tax_amount")
    return price is not None and net != price and _sum(net, tax) == price


def refund_amount(order: Mapping[str, Any], asked: int) -> int:
    """The amount to write into a refund so that `asked` (Polar's units, a part of our price) goes back.

    Polar's amounts are net of tax and it adds the tax's share itself: the rest of it with the last refund, else
    `round(amount * tax / net)`. Where tax came on top of our price the two are the same. Where it was part of it, some
    amounts cannot be hit for rounding: `GatewayRefused` rather than a refund of another amount.
    """
    if not includes_tax(order):
        return asked
    net, tax = int(order["net_amount"]), int(order["tax_amount"])
    left, tax_left = _whole(order.get("refundable_amount")), _whole(order.get("refundable_tax_amount"))
    if left is not None and _sum(left, tax_left) == asked:
        return left
    nearest = asked * net // (net + tax)
    for amount in (nearest - 1, nearest, nearest + 1):
        share = round(Fraction(amount * tax, net)) if net else 0
        if tax_left is not None:
            share = min(share, tax_left)
        if amount >= 1 and amount + share == asked:
            return amount
    raise GatewayRefused("amount_not_representable", "The tax in this price cannot be split for this amount.")


def _price(order: Mapping[str, Any]) -> int | None:
    """What we asked for: before tax in one kind of order, with it in the other, and in both less any discount."""
    subtotal = order.get("subtotal_amount")
    return _whole(order.get("net_amount")) if subtotal is None else _less(subtotal, order.get("discount_amount"))


def _less(amount: Any, discount: Any) -> int | None:
    whole, taken = _whole(amount), _whole(0 if discount is None else discount)
    return None if whole is None or taken is None else whole - taken


def _sum(amount: Any, more: Any) -> int | None:
    whole, added = _whole(amount), _whole(more)
    return None if whole is None or added is None else whole + added


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
