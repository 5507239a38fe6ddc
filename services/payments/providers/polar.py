"""Polar (polar.sh): hosted card checkouts, refunds, a list of orders and signed callbacks.

Polar is the merchant of record: it sells in its own name, adds or takes out tax as it must, and its order says what was
paid. Facts come from Polar's docs (polar.sh/docs), its server's source (August 2026) and its client polar-sdk
1.0.2, which agree unless something is marked unconfirmed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from services.http import READ_TIMEOUT, Delivery, GatewayUnavailable, HttpClient, OutcomeUnknown
from services.options import required
from services.payments.answers import object_of
from services.payments.base import (
    AmountOutOfRange,
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeResult,
    Credential,
    CurrencyNotSupported,
    Customer,
    GatewayEvent,
    GatewayRefused,
    ListedCharge,
    Method,
    MethodNotSupported,
    PaymentGateway,
    RefundRequest,
    Subject,
    TransferId,
    TransferNotFound,
    TransferResult,
    Trust,
    WebhookRejected,
)
from services.payments.providers.polar_api import PolarApi, accepted, error_of, items
from services.payments.providers.polar_objects import (
    CHARGE_KEY,
    INCLUSIVE_KEY,
    LARGEST_PRICE,
    LIMITS,
    PAGE,
    PLACES,
    REFUND_KEY,
    checkout_result,
    chosen_order,
    identifier,
    includes_tax,
    is_paid,
    metadata,
    moment,
    order_result,
    refund_amount,
    refund_result,
    to_polar,
)
from services.payments.providers.polar_signing import MESSAGE_ID, is_signed, signing_keys
from services.reading import storable

CHECKOUTS, ORDERS, REFUNDS = "/v1/checkouts/", "/v1/orders/", "/v1/refunds/"  # the last slash is part of the name
# Where a checkout is looked for whose id never reached us: among the newest 100. Each carries its whole product twice.
SEARCHED = {"size": 50, "most": 2}

REFERENCE = re.compile(r"[0-9A-Za-z._-]{1,100}")
CURRENCY = re.compile(r"[a-z]{3}")
EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s]{1,190}\.[^@\s.]{2,60}")

# The reasons that Polar knows for a refund; `dispute_prevention` is for itself.
REFUND_REASONS = frozenset(
    {"duplicate", "fraudulent", "customer_request", "service_disruption", "satisfaction_guarantee", "other"}
)

# The events that carry a whole object about money. Of all others, and of new ones, there is nothing to learn.
EVENTS: dict[str, Callable[[Mapping[str, Any]], ChargeResult | TransferResult]] = {
    **dict.fromkeys(("checkout.created", "checkout.updated", "checkout.expired"), checkout_result),
    **dict.fromkeys(("order.created", "order.updated", "order.paid", "order.refunded"), order_result),
    **dict.fromkeys(("refund.created", "refund.updated"), refund_result),
}


class PolarGateway(PaymentGateway):
    """One Polar organization, selling one product of its own for whatever amount is asked.

    IDEMPOTENT_CHARGE is not declared. Polar has no idempotency keys: the same charge again makes a second checkout, and
    both pages stay open for a day. Mostly the first would be harmless, because its address reached nobody; but that
    cannot be known: a worker may have stalled between reading the reply and recording it, or the record may have been
    lost with a restored database, after the customer had the page. Then both could be paid. So a checkout whose reply
    was lost is looked for (`query`) and never made again.

    CANCEL is not declared: Polar cannot close a checkout. It ends after 24 hours by itself, whatever `lifetime` asks.
    """

    code = "polar"
    name = "Polar"
    capabilities = frozenset(
        {Capability.CHECKOUT, Capability.CARD, Capability.QUERY, Capability.REFUND, Capability.LIST}
    )
    currencies = frozenset(PLACES)
    credentials = (
        Credential("access_token"),
        Credential("webhook_secret"),
        Credential("product_id", is_secret=False),
        Credential("default_currency", is_required=False, is_secret=False),
    )

    def __init__(
        self,
        *,
        base_url: str,
        access_token: str,
        webhook_secret: str,
        product_id: str,
        default_currency: str = "usd",
        read_timeout: float = 20.0,
    ) -> None:
        """`product_id` is a one-time product; `default_currency` the organization's, which every price list must name.

        `read_timeout` (seconds) is for what changes something; questions wait at most 10. Raises `ImproperlyConfigured`
        for an empty option and for an unusable address or currency.
        """
        token = required(self.code, "access_token", access_token, is_header=True)
        self._keys = signing_keys(required(self.code, "webhook_secret", webhook_secret))
        self._product = required(self.code, "product_id", product_id)
        self._default_currency = default_currency.strip().lower() or "usd"
        if not CURRENCY.fullmatch(self._default_currency):
            raise ImproperlyConfigured("The gateway polar needs three letters in the option default_currency.")
        self._read_timeout = read_timeout
        self._api = PolarApi(HttpClient(base_url, read_timeout=min(read_timeout, READ_TIMEOUT)), access_token=token)

    @property
    def trust(self) -> Trust:
        """SIGNED: without a webhook secret there is no such gateway."""
        return Trust.SIGNED

    def check(self, request: ChargeRequest) -> None:
        """Raise `MethodNotSupported`, `CurrencyNotSupported` or `AmountOutOfRange` (see `polar_objects.LIMITS`).

        A reference that is not 1 to 100 letters, digits, dots, dashes or underscores is our mistake: `ValueError`.
        """
        if request.method not in (Method.CHECKOUT, Method.CARD):
            raise MethodNotSupported
        if request.money.currency not in self.currencies:
            raise CurrencyNotSupported
        smallest, largest = LIMITS[request.money.currency]
        if not smallest <= to_polar(request.money) <= largest:
            raise AmountOutOfRange
        _check_reference(request.reference)

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Make a checkout; its page takes cards. Raises as `PaymentGateway.charge` says."""
        self.check(request)
        answer = self._api.call("POST", CHECKOUTS, json=self._wish(request), read_timeout=self._read_timeout)
        checkout = accepted(answer)
        if not isinstance(checkout, dict) or metadata(checkout, CHARGE_KEY) != request.reference:
            raise OutcomeUnknown
        result = checkout_result(checkout)
        if not result.provider_reference:
            raise OutcomeUnknown
        return result

    def query(self, charge: ChargeId) -> ChargeResult:
        """The order under our reference, which alone can say that it was paid; without one, the checkout.

        A checkout whose id we never learnt is looked for among the newest 100. Raises `ChargeNotFound`,
        `GatewayUnavailable` (also for answers that make no sense) or `GatewayRefused`.
        """
        _check_reference(charge.reference)
        order = self._order(charge)
        if order is not None:
            return order_result(order)
        checkout = self._checkout(charge)
        # A reference may be lost on the way from the checkout to its order (unconfirmed); the checkout's id is not.
        if checkout.get("status") == "succeeded":
            order = chosen_order(self._some(ORDERS, {"checkout_id": str(checkout.get("id"))}, CHARGE_KEY, ""))
        return checkout_result(checkout) if order is None else order_result(order)

    def check_refund(self, request: RefundRequest) -> None:
        """Raise `CurrencyNotSupported`, or `AmountOutOfRange` for nothing. An odd reference is our mistake."""
        if request.money.currency not in self.currencies:
            raise CurrencyNotSupported
        if request.money.amount <= 0:
            raise AmountOutOfRange
        _check_reference(request.reference)
        _check_reference(request.charge.reference)

    def refund(self, request: RefundRequest) -> TransferResult:
        """Send `money`, a part of the price we asked, back to the card; tax on top of the price goes with it.

        Polar has no idempotency keys for refunds, so one under this reference is looked for first and not repeated.
        """
        self.check_refund(request)
        order = self._order(request.charge)
        order_id = identifier(order.get("id")) if order else ""
        if order is None or not order_id or not is_paid(order):
            raise GatewayRefused("order_not_found", "No paid order carries this reference.")
        if str(order.get("currency")).upper() != request.money.currency:
            raise GatewayRefused("currency", "The order was paid in another currency.")
        earlier = self._refund(order_id, request.reference)
        if earlier is not None:
            return refund_result(earlier)
        wish = {
            "order_id": order_id,
            "reason": request.reason if request.reason in REFUND_REASONS else "other",
            "amount": refund_amount(order, to_polar(request.money)),
            "metadata": {REFUND_KEY: request.reference, **({INCLUSIVE_KEY: True} if includes_tax(order) else {})},
        }
        if request.reason and request.reason not in REFUND_REASONS:
            wish["comment"] = storable(request.reason, limit=500)
        refund = accepted(self._api.call("POST", REFUNDS, json=wish, read_timeout=self._read_timeout))
        if not isinstance(refund, dict) or metadata(refund, REFUND_KEY) != request.reference:
            raise OutcomeUnknown
        return refund_result(refund)

    def query_refund(self, refund: TransferId) -> TransferResult:
        """What became of a refund, found by our reference among those of its order. Or `TransferNotFound`.

        Without the charge, all refunds are searched.
        """
        _check_reference(refund.reference)
        order_id = ""
        if refund.charge is not None:
            order = self._order(refund.charge)
            order_id = identifier(order.get("id")) if order else ""
            if not order_id:
                raise TransferNotFound(refund.reference)
        found = self._refund(order_id, refund.reference)
        if found is None:
            raise TransferNotFound(refund.reference)
        return refund_result(found)

    def list_charges(self, *, since: datetime, until: datetime) -> Iterator[ListedCharge]:
        """The orders made in [since, until), oldest first; those that are not ours have no reference.

        Open and expired checkouts are not in it: nothing was paid there.
        """
        window = {
            # Polar leaves both bounds out; so a little more is asked for, and what does not belong is dropped here.
            "created_after": _stamp(since - timedelta(microseconds=1)),
            "created_before": _stamp(until),
            # The oldest first, or an order that is made meanwhile would push others onto a page already read.
            "sorting": "created_at",
        }
        for order in self._api.pages(ORDERS, window):
            created_at = moment(order.get("created_at"))
            if created_at is None or since <= created_at < until:
                yield ListedCharge(
                    reference=metadata(order, CHARGE_KEY), result=order_result(order), created_at=created_at
                )

    def probe(self) -> None:
        """Ask for one order. Raises `GatewayUnavailable` or `GatewayRefused`."""
        items(accepted(self._api.call("GET", ORDERS, params={"limit": "1"})))

    def verify(self, delivery: Delivery) -> None:
        """Raise `WebhookRejected` unless these bytes were signed with our secret, not more than 5 minutes away."""
        if not is_signed(delivery, self._keys):
            raise WebhookRejected

    def parse(self, delivery: Delivery) -> list[GatewayEvent]:
        """The news about a charge or a refund of ours in a delivery; an empty list for everything else.

        Of the headers only `webhook-id` is read, which Polar repeats with the same news. Raises `WebhookRejected` on
        junk.
        """
        body = object_of(delivery)
        kind = body.get("type")
        if not isinstance(kind, str):
            raise WebhookRejected
        read = EVENTS.get(kind)
        if read is None:
            return []
        data = body.get("data")
        if not isinstance(data, dict):
            raise WebhookRejected
        is_refund = kind.startswith("refund.")
        reference = metadata(data, REFUND_KEY if is_refund else CHARGE_KEY)
        if not reference:
            return []  # another product's, or made by hand
        message_id = delivery.headers.get("webhook-id", "")
        # A delivery read again from storage may have lost its headers; repetitions are equal to the byte as well.
        key = message_id if MESSAGE_ID.fullmatch(message_id) else sha256(delivery.body).hexdigest()
        subject = Subject.REFUND if is_refund else Subject.CHARGE
        return [GatewayEvent(key=key, reference=reference, result=read(data), subject=subject)]

    def _wish(self, request: ChargeRequest) -> dict[str, Any]:
        currency = request.money.currency.lower()
        prices = [_price(to_polar(request.money), currency)]
        if currency != self._default_currency:
            # Polar wants a price in the organization's currency too, and its page's own API lets the customer choose
            # among the prices (Polar's server). Nobody should get away with less, so it is the largest there is.
            _smallest, largest = LIMITS.get(self._default_currency.upper(), (0, LARGEST_PRICE))
            prices.append(_price(largest, self._default_currency))
        wish = {
            "products": [self._product],
            "prices": {self._product: prices},
            "currency": currency,  # otherwise Polar guesses it from an address
            "metadata": {CHARGE_KEY: request.reference},
            "allow_discount_codes": False,  # the price has been agreed on elsewhere
            "success_url": request.return_url if PAGE.fullmatch(request.return_url) else None,
            "return_url": request.cancel_url if PAGE.fullmatch(request.cancel_url) else None,
            **_prefill(request.customer),
        }
        return {name: value for name, value in wish.items() if value is not None}

    def _order(self, charge: ChargeId) -> dict[str, Any] | None:
        """The order of a charge, by our reference."""
        filters = {f"metadata[{CHARGE_KEY}]": charge.reference}
        return chosen_order(self._some(ORDERS, filters, CHARGE_KEY, charge.reference))

    def _checkout(self, charge: ChargeId) -> dict[str, Any]:
        if not charge.provider_reference:
            filters = {"product_id": self._product, "sorting": "-created_at"}
            newest = self._api.pages(CHECKOUTS, filters, **SEARCHED)
            found = next((each for each in newest if metadata(each, CHARGE_KEY) == charge.reference), None)
            if found is None:
                raise ChargeNotFound(charge.reference)
            return found
        answer = self._api.call("GET", "/v1/checkouts/{id}", path_values={"id": charge.provider_reference})
        # A page of HTML, or a path that Polar does not know, is not its word that nothing is there.
        if answer.status == 404 and error_of(answer) == "ResourceNotFound":
            raise ChargeNotFound(charge.reference)
        checkout = accepted(answer)
        if not isinstance(checkout, dict) or metadata(checkout, CHARGE_KEY) != charge.reference:
            raise GatewayUnavailable
        return checkout

    def _refund(self, order_id: str, reference: str) -> dict[str, Any] | None:
        filters = {"order_id": order_id} if order_id else {}
        refunds = self._api.pages(REFUNDS, filters)
        return next((each for each in refunds if metadata(each, REFUND_KEY) == reference), None)

    def _some(self, path: str, filters: Mapping[str, str], key: str, reference: str) -> list[dict[str, Any]]:
        """What a filter finds. `GatewayUnavailable` when it found only others': it was not heeded, so ours may exist.

        Without a `reference` those that carry another one are left out, silently.
        """
        found = list(self._api.pages(path, filters, most=1))
        ours = [each for each in found if metadata(each, key) == reference]
        if found and not ours and reference:
            raise GatewayUnavailable
        return ours


def _price(amount: int, currency: str) -> dict[str, Any]:
    return {"amount_type": "fixed", "price_amount": amount, "price_currency": currency}


def _prefill(customer: Customer) -> dict[str, Any]:
    """What the customer need not type. Whatever Polar might not take is left out: it would refuse the whole charge."""
    address = customer.address
    known: dict[str, Any] = {
        "customer_name": storable(customer.name, limit=200) or None,
        "customer_email": customer.email if EMAIL.fullmatch(customer.email) else None,
    }
    if address is not None and re.fullmatch(r"[A-Z]{2}", address.country):
        parts = {
            "line1": address.line,
            "postal_code": address.postal_code,
            "city": address.city,
            "state": address.region,
            "country": address.country,
        }
        known["customer_billing_address"] = {name: value for name, value in parts.items() if value}
    return known


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _check_reference(reference: str) -> None:
    if not REFERENCE.fullmatch(reference):
        raise ValueError("A Polar reference is 1 to 100 letters, digits, dots, dashes and underscores.")
