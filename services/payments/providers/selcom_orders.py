"""Selcom's orders: what is sent to make one, and how one is read wherever it shows up.

Source: Selcom's API reference, "Checkout". An order is what the customer pays: a push is asked for under it, a page is
opened for it.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext_lazy as _

from core.money import Money
from services.payments.base import ChargeRequest, ChargeResult, ChargeStatus, CustomerDetailsMissing, Method
from services.payments.providers.selcom_api import EAST_AFRICA, Fields, Reply, identifier_of, result_code_of, text_of
from services.reading import recordable, storable

# Selcom, "Order status"; COMPLETE, CANCEL and USERCANCELED are the spellings of other tables and samples.
STATUS = {
    "PENDING": ChargeStatus.PENDING,
    "INPROGRESS": ChargeStatus.PENDING,
    "COMPLETED": ChargeStatus.PAID,
    "COMPLETE": ChargeStatus.PAID,
    "CANCELLED": ChargeStatus.CANCELLED,
    "CANCELED": ChargeStatus.CANCELLED,
    "CANCEL": ChargeStatus.CANCELLED,
    "USERCANCELLED": ChargeStatus.CANCELLED,
    "USERCANCELED": ChargeStatus.CANCELLED,
    "REJECTED": ChargeStatus.DECLINED,
}
# Collections are in shillings; an order does not say so. Only card orders could be in dollars, which are not offered.
CURRENCY = "TZS"

# Two words: single ones are reported to be rejected (unconfirmed).
UNNAMED = "Mobile Customer"
EMAIL = re.compile(r"[^@\s\0\ud800-\udfff]+@[^@\s\0\ud800-\udfff]+\.[^@\s\0\ud800-\udfff]+")
PAGE = re.compile(r"https?:[!-~]{1,2000}")  # the reference's sample lacks the slashes


def missing_details(request: ChargeRequest, *, fallback_email: str) -> dict[str, list[Any]]:
    """What Selcom needs to know about the customer and is not told, by the field's name."""
    customer, address = request.customer, request.customer.address
    is_card = request.method is Method.CARD
    missing = {
        "phone": not request.phone,
        "customer.email": not EMAIL.fullmatch(customer.email or fallback_email),
        "customer.name": is_card and len(customer.name.split()) < 2,
        "customer.address": is_card and address is None,
    }
    if is_card and address is not None:
        missing |= {
            "customer.address.line": not address.line.strip(),
            "customer.address.city": not address.city.strip(),
            "customer.address.country": not re.fullmatch(r"[A-Za-z]{2}", address.country),
            "customer.address.region": not address.region.strip(),
            "customer.address.postal_code": not address.postal_code.strip(),
        }
    return {name: [_("This field is required.")] for name, is_missing in missing.items() if is_missing}


def order_fields(request: ChargeRequest, *, vendor: str, fallback_email: str) -> Fields:
    """What is sent to make an order, in the order in which it is signed. Raises `CustomerDetailsMissing`."""
    if missing := missing_details(request, fallback_email=fallback_email):
        raise CustomerDetailsMissing(errors=missing)
    phone = request.phone.removeprefix("+")
    fields: dict[str, str | int] = {
        "vendor": vendor,
        "order_id": request.reference,
        "buyer_email": request.customer.email or fallback_email,
        "buyer_name": _two_words(request.customer.name),
        "buyer_phone": phone,
        "amount": int(request.money.to_units(places=0)),
        "currency": request.money.currency,
    }
    if request.method is Method.CARD:
        fields["payment_methods"] = "CARD"
    addresses = {
        "redirect_url": request.return_url,
        "cancel_url": request.cancel_url,
        "webhook": request.callback_url,
    }
    fields |= {name: b64encode(url.encode()).decode("ascii") for name, url in addresses.items() if url}
    if request.method is Method.CARD:
        fields |= _billing(request, phone)
    if remarks := storable(request.description.strip(), limit=100):
        fields["buyer_remarks"] = remarks
    fields["no_of_items"] = 1
    if request.lifetime is not None:
        fields["expiry"] = max(1, -(-request.lifetime // timedelta(minutes=1)))
    return fields


def page_of(reply: Reply) -> str:
    """The address of the page for the customer, or nothing. It comes in base64 or, in some samples, as it is."""
    told = next((text_of(item.get("payment_gateway_url")).strip() for item in reply.items), "")
    if not told.startswith("http"):
        try:
            told = b64decode(told + "=" * (-len(told) % 4), validate=True).decode("ascii")
        except (Base64Error, ValueError):
            return ""
    return told if PAGE.fullmatch(told) else ""


def order_result(order: Mapping[str, Any]) -> ChargeResult:
    """One mapping for status queries, lists and callbacks, so that they cannot disagree."""
    word = text_of(order.get("payment_status")).strip().upper()
    status = STATUS.get(word, ChargeStatus.UNKNOWN)
    # Only callbacks carry a result code of their own. One that contradicts the status makes it no news at all.
    if status is ChargeStatus.PAID and result_code_of(order) not in {"", "000"}:
        status = ChargeStatus.UNKNOWN
    return ChargeResult(
        status=status,
        provider_reference=identifier_of(order.get("reference")),
        money=_money(order.get("amount"), order.get("currency")),
        reason=word if status is ChargeStatus.DECLINED else "",
        raw=recordable(order),
    )


def made_at(order: Mapping[str, Any]) -> datetime | None:
    """When an order was made; Selcom prints its own clock's time, taken to be East Africa's (unconfirmed)."""
    try:
        made = datetime.fromisoformat(text_of(order.get("creation_date")))
    except ValueError:
        return None
    return made if made.tzinfo else made.replace(tzinfo=EAST_AFRICA)


def _billing(request: ChargeRequest, phone: str) -> dict[str, str]:
    address = request.customer.address
    if address is None:
        raise CustomerDetailsMissing
    first, *rest = storable(request.customer.name).split()
    told = {
        "firstname": first,
        "lastname": " ".join(rest),
        "address_1": address.line,
        "city": address.city,
        "state_or_region": address.region,
        "postcode_or_pobox": address.postal_code,
        "country": address.country.upper(),
        "phone": phone,
    }
    return {f"billing.{name}": storable(value.strip(), limit=100) for name, value in told.items()}


def _two_words(name: str) -> str:
    words = storable(name, limit=100).split()
    return " ".join(words if len(words) > 1 else words * 2) or UNNAMED


def _money(amount: Any, currency: Any) -> Money | None:
    try:
        return Money.from_units(amount, currency or CURRENCY)
    except ValueError:
        return None
