"""ClickPesa's words in ours. One mapping for replies, queries, lists and callbacks, so that they cannot disagree.

Facts come from ClickPesa's docs ("payment status", "payout status", "webhooks").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from core.money import Money
from services.payments.answers import text_of
from services.payments.base import ChargeResult, ChargeStatus, TransferResult, TransferStatus
from services.reading import recordable, storable

CHARGE_STATUS = {
    "PENDING": ChargeStatus.PENDING,
    "PROCESSING": ChargeStatus.PENDING,
    "ON-HOLD": ChargeStatus.PENDING,
    "SUCCESS": ChargeStatus.PAID,
    "SETTLED": ChargeStatus.PAID,
    "FAILED": ChargeStatus.DECLINED,
}
# Money that came and went back: before it was settled to the merchant, and after.
WENT_BACK = ("REFUNDED", "REVERSED")

TRANSFER_STATUS = {
    "AUTHORIZED": TransferStatus.PENDING,
    "PENDING": TransferStatus.PENDING,
    "PROCESSING": TransferStatus.PENDING,
    "SUCCESS": TransferStatus.SUCCEEDED,
    "FAILED": TransferStatus.FAILED,
    "REFUNDED": TransferStatus.RETURNED,  # a failure on ClickPesa's side
    "REVERSED": TransferStatus.RETURNED,  # one on the operator's or bank's side; may follow SUCCESS
}

MOBILE = re.compile(r"\+255[67][0-9]{8}")
REFERENCE = re.compile(r"[0-9A-Za-z]{1,20}")
IDENTIFIER = re.compile(r"[!-~]{1,100}")


def charge_result(data: Mapping[str, Any]) -> ChargeResult:
    """A payment. One that went back is PAID with all of it `refunded`: ClickPesa knows no partial refund.

    Where it does not say how much, nothing is claimed: as UNKNOWN it changes nothing, and `raw` keeps the word.
    """
    word = text_of(data.get("status"))
    # The 2025 callbacks say amount and currency.
    money = _money(data.get("collectedAmount", data.get("amount")), data.get("collectedCurrency", data.get("currency")))
    went_back = word in WENT_BACK and money is not None
    status = ChargeStatus.PAID if went_back else CHARGE_STATUS.get(word, ChargeStatus.UNKNOWN)
    return ChargeResult(
        status=status,
        provider_reference=provider_reference(data),
        money=money,
        refunded=money if went_back else None,
        reason=storable(text_of(data.get("message")), limit=500) if status is ChargeStatus.DECLINED else "",
        raw=recordable(data),
    )


def transfer_result(data: Mapping[str, Any]) -> TransferResult:
    """A payout. `money` is what was ordered; `amount` beside it has the fee in it."""
    status = TRANSFER_STATUS.get(text_of(data.get("status")), TransferStatus.UNKNOWN)
    order = data.get("order")
    told = [data.get("message"), data.get("notes")]
    told += [part.get("message") for part in (data.get("reverse"), data.get("refund")) if isinstance(part, dict)]
    is_over = status in (TransferStatus.FAILED, TransferStatus.RETURNED)
    return TransferResult(
        status=status,
        provider_reference=provider_reference(data),
        money=_money(order.get("amount"), order.get("currency")) if isinstance(order, dict) else None,
        reason=storable("; ".join(filter(None, map(text_of, told))), limit=500) if is_over else "",
        raw=recordable(data),
    )


def provider_reference(data: Mapping[str, Any]) -> str:
    """ClickPesa's own id, or nothing; the 2025 callbacks call it paymentId."""
    found = text_of(data.get("id") or data.get("paymentId"))
    return found if IDENTIFIER.fullmatch(found) else ""


def created_at(data: Mapping[str, Any]) -> datetime | None:
    """When ClickPesa says that it was made, or None where that is no time."""
    try:
        found = datetime.fromisoformat(text_of(data.get("createdAt")))
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)  # always written with a Z where it was seen


def check_reference(reference: str) -> None:
    """Raise `ValueError` for a reference that ClickPesa would not take."""
    # "all" would be the address of the list of all payments.
    if not REFERENCE.fullmatch(reference) or reference.lower() == "all":
        raise ValueError("A ClickPesa reference is 1 to 20 ASCII letters and digits.")


def _money(amount: Any, currency: Any) -> Money | None:
    # A number in queries, text in replies and callbacks; absent until something was collected.
    try:
        return Money.from_units(amount, currency)
    except ValueError:
        return None
