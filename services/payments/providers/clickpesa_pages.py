"""ClickPesa's pages for the customer: the hosted checkout and the one for cards.

Facts come from ClickPesa's docs (API reference: generate checkout link, initiate card payment). Where a page sends the
customer afterwards is a setting of the application in ClickPesa's dashboard; no request carries it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext_lazy as _

from core.money import Money
from services.http import OutcomeUnknown
from services.payments.answers import page_link
from services.payments.base import ChargeRequest, ChargeResult, ChargeStatus, Customer, CustomerDetailsMissing, Method
from services.payments.providers.clickpesa_reading import MOBILE
from services.reading import recordable

# API reference: cards are charged in dollars only; a checkout page in either.
CURRENCIES = {Method.PUSH: {"TZS"}, Method.CHECKOUT: {"TZS", "USD"}, Method.CARD: {"USD"}}
# Whole shillings (API reference); that cents of a dollar are taken is unconfirmed.
PLACES = {"TZS": 0, "USD": 2}


@dataclass(frozen=True, slots=True)
class Page:
    """Where a page is asked for, with what, and under which name its address comes back."""

    path: str
    wish: Callable[[ChargeRequest], dict[str, Any]]
    name: str

    def opened(self, body: Mapping[str, Any]) -> ChargeResult:
        """The page that an answer names, or `OutcomeUnknown` where it names none: one may stand open all the same."""
        link = page_link(body.get(self.name))
        if not link:
            raise OutcomeUnknown
        return ChargeResult(status=ChargeStatus.REQUIRES_ACTION, checkout_url=link, raw=recordable(body))


def amount_text(money: Money) -> str:
    """An amount as collections take it: text, with a fraction only where there is one."""
    units = money.to_units(places=PLACES[money.currency])
    return f"{units:f}" if units % 1 else str(int(units))


def check_card_holder(customer: Customer) -> None:
    """Raise `CustomerDetailsMissing`, with `errors` by the customer's fields, unless name and address are there."""
    needed = {"name": customer.name, "email": customer.email}
    missing = {name: [_("This field is required.")] for name, value in needed.items() if not value.strip()}
    if missing:
        raise CustomerDetailsMissing(errors=missing)


def _checkout_wish(request: ChargeRequest) -> dict[str, Any]:
    optional = {
        "customerName": request.customer.name,
        "customerEmail": request.customer.email,
        # Only fills a field of the page: a number that ClickPesa would refuse is left for the customer to type.
        "customerPhone": request.phone.removeprefix("+") if MOBILE.fullmatch(request.phone) else "",
        "description": request.description,
    }
    return {
        "totalPrice": amount_text(request.money),
        "orderCurrency": request.money.currency,
        "orderReference": request.reference,
        **{name: value for name, value in optional.items() if value},
    }


def _card_wish(request: ChargeRequest) -> dict[str, Any]:
    # One client splits the name (unconfirmed); fullName is what the API reference has.
    customer = {"fullName": request.customer.name, "email": request.customer.email}
    if request.phone:
        customer["phoneNumber"] = request.phone.removeprefix("+")
    return {
        "amount": amount_text(request.money),
        "currency": request.money.currency,
        "orderReference": request.reference,
        "customer": customer,
    }


PAGES = {
    Method.CHECKOUT: Page("/checkout-link/generate-checkout-url", _checkout_wish, "checkoutLink"),
    Method.CARD: Page("/payments/initiate-card-payment", _card_wish, "cardPaymentLink"),
}
