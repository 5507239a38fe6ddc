"""Selcom (Tanzania): mobile-money push, hosted page, cards, status query, cancellation, payouts and callbacks.

Facts come from Selcom's API reference (developers.selcommobile.com: "Checkout", "Wallet cashin", "Qwiksend"); what no
vendor document says is marked unconfirmed. Beside it: `selcom_api` (signature and envelope), `selcom_orders`
(collections) and `selcom_payouts`.

A push is two calls under one reference: an order is made, then the prompt is asked for (`transid` and `order_id` are
both our reference). An order alone asks nobody for money. So:

- the prompt is sent at most once per `charge`, and Selcom is never told another `transid` for one reference;
- when nobody knows whether the order was made, it is looked up: found, the prompt follows; not found, `OutcomeUnknown`;
- when the prompt cannot have left, `GatewayUnavailable` says so; the next `charge` of the reference finds the order
  there (Selcom refuses it a second time) and sends the prompt then;
- a process that dies between the two calls leaves an order that `query` calls PENDING. Whether its customer was ever
  asked cannot be told (Selcom keeps `transid` empty until the order is paid), so nobody asks again: the order expires.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from core.money import AmountNotRepresentable, Money
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.options import required
from services.payments.answers import object_of
from services.payments.base import (
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeResult,
    ChargeStatus,
    Credential,
    CurrencyNotSupported,
    CustomerDetailsMissing,
    GatewayEvent,
    GatewayRefused,
    ListedCharge,
    Method,
    PaymentGateway,
    PayoutRequest,
    PhoneNotSupported,
    TransferId,
    TransferNotFound,
    TransferResult,
    Trust,
    WebhookRejected,
)
from services.payments.providers.selcom_api import (
    EAST_AFRICA,
    OUT_OF_SERVICE_CODES,
    Reply,
    SelcomApi,
    Verdict,
    has_right_digest,
    identifier_of,
    text_of,
)
from services.payments.providers.selcom_orders import (
    CURRENCY,
    made_at,
    missing_details,
    order_fields,
    order_result,
    page_of,
)
from services.payments.providers.selcom_payouts import (
    NO_SUCH_PAYOUT,
    Float,
    Rail,
    check_amount,
    check_bank,
    found_on,
    payout_fields,
    rail_of,
    transfer_result,
    weigh,
)

logger = logging.getLogger(__name__)

MOBILE = re.compile(r"\+255[67][0-9]{8}")
PHONE = re.compile(r"\+255[0-9]{9}")
# Selcom's own limit is unconfirmed.
REFERENCE = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,39}")
PROBE = "FARAJAPROBE"  # an order that nobody makes

NEEDED = {Rail.WALLET: Capability.PAYOUT_PHONE, Rail.BANK: Capability.PAYOUT_BANK}
NEEDS_PIN = frozenset({*NEEDED.values(), Capability.PAYOUT_QUERY, Capability.BALANCE})


class SelcomGateway(PaymentGateway):
    """One Selcom vendor. Callbacks are hints: Selcom documents a digest, but nobody has seen one verified live."""

    code = "selcom"
    name = "Selcom"
    # All that an account can have; one without a pin has neither payouts nor a balance, one without a sender no payouts
    # to banks. No refunds: the current reference has none. Not IDEMPOTENT_CHARGE: what a second prompt under one
    # `transid` does is undocumented.
    capabilities = frozenset(
        {Capability.PUSH, Capability.CHECKOUT, Capability.CARD, Capability.QUERY, Capability.CANCEL, Capability.LIST}
        | NEEDS_PIN
    )
    currencies = frozenset({CURRENCY})
    credentials = (
        Credential("vendor", is_secret=False),
        Credential("api_key"),
        Credential("api_secret"),
        Credential("float_vendor", is_required=False, is_secret=False),
        Credential("pin", is_required=False),
        Credential("sender_name", is_required=False, is_secret=False),
        Credential("sender_phone", is_required=False, is_secret=False),
    )

    def __init__(
        self,
        *,
        base_url: str,
        vendor: str,
        api_key: str,
        api_secret: str,
        float_vendor: str = "",
        pin: str = "",
        sender_name: str = "",
        sender_phone: str = "",
        fallback_email: str = "",
        read_timeout: float = 20.0,
    ) -> None:
        """`fallback_email` stands in where a customer has no address: Selcom demands one with every order.

        `pin` and `float_vendor` (default: `vendor`) are the float's, for payouts; `sender_name` and `sender_phone`
        (E.164) are what a bank is told. `read_timeout` (seconds) is for orders, prompts and payouts; questions wait at
        most 10. Raises `ImproperlyConfigured` for an empty vendor, key or secret and for an unusable address.
        """
        self._vendor = required(self.code, "vendor", vendor)
        self._secret = required(self.code, "api_secret", api_secret)
        self._api = SelcomApi(
            base_url,
            api_key=required(self.code, "api_key", api_key, is_header=True),
            api_secret=self._secret,
            read_timeout=read_timeout,
        )
        self._fallback_email = fallback_email
        self._float = Float(
            vendor=float_vendor or vendor, pin=pin, sender_name=sender_name.strip(), sender_phone=sender_phone
        )
        lacking = {needed for rail, needed in NEEDED.items() if rail not in self._float.rails}
        self.capabilities = type(self).capabilities - (lacking if pin else NEEDS_PIN)

    @property
    def trust(self) -> Trust:
        """HINT, whatever the digest says: only `query` is the authority."""
        return Trust.HINT

    # --- Charges ---

    def check(self, request: ChargeRequest) -> None:
        """Raise `CurrencyNotSupported`, `PhoneNotSupported`, `AmountNotRepresentable` or `CustomerDetailsMissing`.

        Selcom takes whole shillings above zero and Tanzanian numbers, also with pages. A card wants a name of two words
        and a whole address. A reference that Selcom might not take is a mistake of ours and raises `ValueError`.
        """
        if request.money.currency not in self.currencies:
            raise CurrencyNotSupported
        numbers = MOBILE if request.method is Method.PUSH else PHONE
        if not numbers.fullmatch(request.phone) and (request.phone or request.method is Method.PUSH):
            raise PhoneNotSupported
        if request.money.to_units(places=0) <= 0:
            raise AmountNotRepresentable
        if missing := missing_details(request, fallback_email=self._fallback_email):
            raise CustomerDetailsMissing(errors=missing)
        _check_reference(request.reference)

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Make an order; then prompt the phone, or answer with the page. Raises as `PaymentGateway.charge` says.

        An order that was made already is answered with its state; to a push that is still pending the prompt is added
        (see above: whoever charges a reference again knows that the first prompt never left).
        """
        self.check(request)
        fields = order_fields(request, vendor=self._vendor, fallback_email=self._fallback_email)
        path = "/checkout/create-order" if request.method is Method.CARD else "/checkout/create-order-minimal"
        refusal: GatewayRefused | None = None
        try:
            order = self._api.do(path, fields)
        except OutcomeUnknown:
            order = None
        if order is None or order.verdict is not Verdict.DONE:
            if order is not None and order.verdict is Verdict.FAILED:
                refusal = order.refusal()
            found = self._made_already(request, refusal)
            if request.method is Method.PUSH and found.status is ChargeStatus.PENDING:
                return self._push(request, is_new=False)
            return found
        if request.method is Method.PUSH:
            return self._push(request, is_new=True)
        page = page_of(order)
        if not page:
            raise OutcomeUnknown  # an order that the customer cannot reach
        return ChargeResult(
            status=ChargeStatus.REQUIRES_ACTION,
            provider_reference=order.reference,
            checkout_url=page,
            raw=order.raw,
        )

    def query(self, charge: ChargeId) -> ChargeResult:
        """The order under our reference. Selcom's authority on whether money moved.

        Raises `ChargeNotFound`, `GatewayUnavailable` (also for answers about other orders) or `GatewayRefused`.
        """
        _check_reference(charge.reference)
        reply = self._api.ask("/checkout/order-status", {"order_id": charge.reference})
        if reply.verdict is Verdict.FAILED and reply.code not in OUT_OF_SERVICE_CODES:
            raise ChargeNotFound(charge.reference)  # the words for it are undocumented
        if reply.verdict is not Verdict.DONE:
            raise GatewayUnavailable
        if not reply.items:
            raise ChargeNotFound(charge.reference)
        ours = [order_result(item) for item in reply.items if text_of(item.get("order_id")) == charge.reference]
        if not ours:
            # Not ChargeNotFound: an answer about something else does not say that ours was never made.
            raise GatewayUnavailable
        return next((result for result in ours if result.status is ChargeStatus.PAID), ours[0])

    def cancel(self, charge: ChargeId) -> ChargeResult:
        """Cancel an order that nobody has paid. When Selcom will not, the answer is what became of the order.

        Raises what `query` does, and `OutcomeUnknown`. A prompt that is on a phone already may still be answered: money
        that comes later shows in `query`.
        """
        _check_reference(charge.reference)
        reply = self._api.undo("/checkout/cancel-order", {"order_id": charge.reference})
        if reply.verdict is Verdict.DONE:
            return ChargeResult(status=ChargeStatus.CANCELLED, raw=reply.raw)
        return self.query(charge)

    def list_charges(self, *, since: datetime, until: datetime) -> Iterator[ListedCharge]:
        """Selcom's orders of [since, until), which it lists by whole days; no paging is documented.

        An order whose date cannot be read is listed too. Raises `GatewayUnavailable` or `GatewayRefused`.
        """
        days = {
            "fromdate": since.astimezone(EAST_AFRICA).date().isoformat(),
            "todate": (until.astimezone(EAST_AFRICA) - timedelta(microseconds=1)).date().isoformat(),
        }
        reply = self._api.ask("/checkout/list-orders", days)
        if reply.verdict is not Verdict.DONE:
            raise GatewayUnavailable
        for order in reply.items:
            reference, created_at = identifier_of(order.get("order_id")), made_at(order)
            if reference and (created_at is None or since <= created_at < until):
                yield ListedCharge(reference=reference, result=order_result(order), created_at=created_at)

    # --- Payouts ---

    def check_payout(self, request: PayoutRequest) -> None:
        """Raise `PayoutNotSupported`, `CurrencyNotSupported`, `PhoneNotSupported`, `AmountNotRepresentable`,
        `AmountOutOfRange` (below 1,000 shillings) or `CustomerDetailsMissing` (of the bank account).
        """
        super().check_payout(request)
        if request.money.currency not in self.currencies:
            raise CurrencyNotSupported
        check_amount(request.money)
        if request.bank is not None:
            check_bank(request.bank)
        elif not MOBILE.fullmatch(request.phone):
            raise PhoneNotSupported
        _check_reference(request.reference)

    def payout(self, request: PayoutRequest) -> TransferResult:
        """Send money to a wallet or a bank, once. Raises as `PaymentGateway.payout` says; 999 is UNKNOWN."""
        self.check_payout(request)
        rail = Rail.WALLET if request.bank is None else Rail.BANK
        reply = self._api.do(rail.process, payout_fields(request, self._float))
        if reply.transid not in ("", request.reference):
            raise OutcomeUnknown
        return transfer_result(reply, provider_reference=f"{rail}:{reply.reference}")

    def query_payout(self, payout: TransferId) -> TransferResult:
        """Ask the rail that the provider's reference names; without one, every rail that the account has (`weigh`).

        999 is UNKNOWN, also where nothing was ever sent: Selcom answers so for a `transid` that it never saw
        (unconfirmed). Raises `TransferNotFound`, `GatewayUnavailable` or `GatewayRefused`.
        """
        if Capability.PAYOUT_QUERY not in self.capabilities:
            return super().query_payout(payout)
        _check_reference(payout.reference)
        rail = rail_of(payout.provider_reference)
        answers: dict[Rail, TransferResult | None] = {}
        switched_off: GatewayRefused | None = None
        for each in self._float.rails if rail is None else (rail,):
            try:
                answers[each] = self._ask_rail(each, payout.reference)
            except GatewayRefused as refusal:
                # A product that is switched off has carried nothing.
                if refusal.reason != "not_enabled":
                    raise
                switched_off = refusal
        if not answers and switched_off:
            raise switched_off
        found = weigh(answers)
        if found is None:
            raise TransferNotFound(payout.reference)
        return found if rail is None else replace(found, provider_reference=payout.provider_reference)

    def balances(self) -> list[Money]:
        """What the float holds. Raises `BalanceNotSupported`, `GatewayUnavailable` or `GatewayRefused`."""
        if Capability.BALANCE not in self.capabilities:
            return super().balances()
        # Every call wants a `transid` of its own, this one too.
        transid = f"BAL{datetime.now(EAST_AFRICA):%Y%m%d%H%M%S%f}"
        fields = {"vendor": self._float.vendor, "pin": self._float.pin, "transid": transid}
        reply = self._api.ask_by_post("/vendor/balance", fields)
        if reply.verdict is Verdict.FAILED:
            raise reply.refusal()
        try:
            return [Money.from_units(reply.items[0]["balance"], CURRENCY)]
        except (LookupError, ValueError):
            raise GatewayUnavailable from None

    def probe(self) -> None:
        """Ask about an order that nobody made. Raises `GatewayUnavailable` or `GatewayRefused`."""
        with suppress(ChargeNotFound):
            self.query(ChargeId(reference=PROBE))

    # --- Callbacks ---

    def verify(self, delivery: Delivery) -> None:
        """Raise `WebhookRejected` unless the body is JSON and names an order.

        A digest that is wrong is logged and changes nothing: a hint is not believed anyway, and refusing it could cost
        a real one (how Selcom signs callbacks in practice is unconfirmed).
        """
        body = _order_news(delivery)
        if has_right_digest(delivery, self._secret) is False:
            told = {"gateway": self.code, "reference": identifier_of(body["order_id"])}
            logger.warning("a callback's digest is wrong", extra=told)

    def parse(self, delivery: Delivery) -> list[GatewayEvent]:
        """The one piece of news in a delivery. Raises `WebhookRejected` on junk."""
        body = _order_news(delivery)
        reference = text_of(body["order_id"])
        key = f"{reference}:{text_of(body.get('transid'))}:{text_of(body.get('payment_status'))}"
        if not re.fullmatch(r"[ -~]{1,200}", key):
            raise WebhookRejected
        return [GatewayEvent(key=key, reference=reference, result=order_result(body))]

    def _made_already(self, request: ChargeRequest, refusal: GatewayRefused | None) -> ChargeResult:
        """The order under this reference, after an answer that does not say that it was made.

        Raises `refusal`, or else `OutcomeUnknown`, when there is none: it may still come.
        """
        try:
            found = self.query(ChargeId(reference=request.reference))
        except ChargeNotFound:
            raise refusal or OutcomeUnknown from None
        except (GatewayUnavailable, GatewayRefused):
            raise OutcomeUnknown from None
        if found.money != request.money:
            raise OutcomeUnknown  # an order of ours, but not this one
        return found

    def _push(self, request: ChargeRequest, *, is_new: bool) -> ChargeResult:
        """Ask for the prompt. 000 says no more than 111: it was sent."""
        fields = {
            "transid": request.reference,
            "order_id": request.reference,
            "msisdn": request.phone.removeprefix("+"),
        }
        reply = self._api.do("/checkout/wallet-payment", fields)
        if reply.transid not in ("", request.reference):
            raise OutcomeUnknown
        if reply.verdict is Verdict.FAILED:
            # Of an order that was there before, this may be the refusal of a second prompt, not of the first.
            raise (_phone_refusal(reply) if is_new else OutcomeUnknown())
        is_unclear = reply.verdict is Verdict.AMBIGUOUS
        return ChargeResult(
            status=ChargeStatus.UNKNOWN if is_unclear else ChargeStatus.PENDING,
            provider_reference=reply.reference,
            raw=reply.raw,
        )

    def _ask_rail(self, rail: Rail, reference: str) -> TransferResult | None:
        """What one rail says; None when it says that it has no such payout."""
        reply = self._api.ask(rail.question, {"transid": reference})
        if reply.transid not in ("", reference) or reply.code in OUT_OF_SERVICE_CODES:
            raise GatewayUnavailable
        if reply.verdict is Verdict.FAILED and NO_SUCH_PAYOUT.search(reply.message):
            return None
        return found_on(rail, reply)


def _phone_refusal(reply: Reply) -> GatewayRefused:
    refusal = reply.refusal()
    # Of a prompt, 010 is about the number (seen live as "Invalid mobile number or operator not supported").
    return GatewayRefused("phone", refusal.detail) if reply.code == "010" else refusal


def _order_news(delivery: Delivery) -> dict[str, Any]:
    body = object_of(delivery)
    if not identifier_of(body.get("order_id")):
        raise WebhookRejected
    return body


def _check_reference(reference: str) -> None:
    if not REFERENCE.fullmatch(reference):
        raise ValueError("A Selcom reference is 1 to 40 ASCII letters, digits, dots, dashes and underscores.")
