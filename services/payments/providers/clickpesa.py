"""ClickPesa (Tanzania): mobile-money pushes, hosted checkout, cards, payouts, status queries, lists and callbacks.

Facts come from ClickPesa's docs (docs.clickpesa.com: API reference, "checksum", "webhooks", "payment status"); what no
vendor document says is marked unconfirmed.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from core.money import AmountNotRepresentable, Money
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown
from services.options import required
from services.payments.answers import balance_of, object_of, text_of
from services.payments.base import (
    Capability,
    ChargeId,
    ChargeNotFound,
    ChargeRequest,
    ChargeResult,
    ChargeStatus,
    Credential,
    CurrencyNotSupported,
    GatewayEvent,
    GatewayRefused,
    ListedCharge,
    Method,
    PaymentGateway,
    PayoutRequest,
    PhoneNotSupported,
    Subject,
    TransferId,
    TransferResult,
    Trust,
    WebhookRejected,
)
from services.payments.providers import clickpesa_payouts
from services.payments.providers.clickpesa_api import ClickPesaApi, accepted, found_under
from services.payments.providers.clickpesa_checksum import canonical_checksum, legacy_checksum
from services.payments.providers.clickpesa_pages import (
    CURRENCIES,
    PAGES,
    PLACES,
    amount_text,
    check_card_holder,
)
from services.payments.providers.clickpesa_reading import (
    IDENTIFIER,
    MOBILE,
    charge_result,
    check_reference,
    created_at,
    transfer_result,
)
from services.reading import storable

PUSH = "/payments/initiate-ussd-push-request"
# ClickPesa docs, webhooks: the first word of an event's name.
SUBJECTS = {"PAYMENT": Subject.CHARGE, "PAYOUT": Subject.PAYOUT}
PAGE_SIZE = 100  # of a list; a smaller page in return is fine


class ClickPesaGateway(PaymentGateway):
    """One ClickPesa application. With a checksum key requests are signed and callbacks must be."""

    code = "clickpesa"
    name = "ClickPesa"
    # A reference is spent by its first use: the second answers 409, and is answered here with the first one's state.
    capabilities = frozenset(
        {
            Capability.PUSH,
            Capability.CHECKOUT,
            Capability.CARD,
            Capability.QUERY,
            Capability.LIST,
            Capability.BALANCE,
            Capability.PAYOUT_PHONE,
            Capability.PAYOUT_BANK,
            Capability.PAYOUT_QUERY,
            Capability.IDEMPOTENT_CHARGE,
            Capability.IDEMPOTENT_PAYOUT,
        }
    )
    currencies = frozenset({"TZS", "USD"})
    credentials = (
        Credential("client_id", is_secret=False),
        Credential("api_key"),
        Credential("checksum_key", is_required=False),
    )

    def __init__(
        self, *, base_url: str, client_id: str, api_key: str, checksum_key: str = "", read_timeout: float = 20.0
    ) -> None:
        """`read_timeout` (seconds) is for calls that move money and wait for others; questions wait at most 10.

        Raises `ImproperlyConfigured` for an empty client id or API key and for an unusable address.
        """
        self._checksum_key = checksum_key
        self._read_timeout = read_timeout
        self._api = ClickPesaApi(
            base_url=base_url,
            client_id=required(self.code, "client_id", client_id, is_header=True),
            api_key=required(self.code, "api_key", api_key, is_header=True),
            checksum_key=checksum_key,
            read_timeout=read_timeout,
        )

    @property
    def trust(self) -> Trust:
        """SIGNED with a checksum key: without one, ClickPesa's callbacks carry no proof at all."""
        return Trust.SIGNED if self._checksum_key else Trust.HINT

    def check(self, request: ChargeRequest) -> None:
        """Raise `CurrencyNotSupported`, `PhoneNotSupported` (push), `CustomerDetailsMissing` (card) or
        `AmountNotRepresentable` (whole shillings or cents, above zero).

        A reference that ClickPesa would not take is a mistake of ours and raises `ValueError`.
        """
        if request.money.currency not in CURRENCIES[request.method]:
            raise CurrencyNotSupported
        if request.method is Method.PUSH and not MOBILE.fullmatch(request.phone):
            raise PhoneNotSupported
        if request.method is Method.CARD:
            check_card_holder(request.customer)
        if request.money.to_units(places=PLACES[request.money.currency]) <= 0:
            raise AmountNotRepresentable
        check_reference(request.reference)

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Push a prompt to the phone, or open a page. Raises as `PaymentGateway.charge` says.

        A reference already used (409) is answered with what became of it, so repeating a charge is safe. A page that
        was opened before is not found again: nothing is known under its reference until somebody pays on it, so there
        the answer is `OutcomeUnknown`.
        """
        self.check(request)
        page = PAGES.get(request.method)
        path, wish = (page.path, page.wish(request)) if page else (PUSH, _push_wish(request))
        answer = self._api.call("POST", path, json=self._api.signed(wish), read_timeout=self._read_timeout)
        if answer.status == 409:
            return self._already_charged(request.reference)
        body = accepted(answer)
        if not isinstance(body, dict) or body.get("orderReference", request.reference) != request.reference:
            raise OutcomeUnknown
        return page.opened(body) if page else _pushed(body)

    def query(self, charge: ChargeId) -> ChargeResult:
        """The payment under our reference: a paid one if there is any, else the newest.

        Raises `ChargeNotFound` (also for a page on which nobody has tried to pay yet), `GatewayUnavailable` (also for
        answers that make no sense) or `GatewayRefused`.
        """
        reference = charge.reference
        check_reference(reference)
        answer = self._api.call("GET", "/payments/{reference}", path_values={"reference": reference})
        found = [charge_result(item) for item in found_under(answer, reference)]
        if not found:
            raise ChargeNotFound(reference)
        # Of several paid ones the first: the choice must not change between polls. One that went back counts only
        # where no other was kept.
        paid = [result for result in found if result.status is ChargeStatus.PAID]
        kept = [result for result in paid if result.refunded is None]
        return [*kept, *paid, found[-1]][0]

    def check_payout(self, request: PayoutRequest) -> None:
        """Raise `CurrencyNotSupported`, `PhoneNotSupported`, `PayoutNotSupported` or `AmountNotRepresentable`.

        Whole shillings or whole dollars.
        """
        if request.money.currency not in self.currencies:
            raise CurrencyNotSupported
        clickpesa_payouts.check(request)

    def payout(self, request: PayoutRequest) -> TransferResult:
        """Send money to a phone or a bank account. Raises as `PaymentGateway.payout` says.

        `GatewayUnavailable` with a wait also for the second payout within a minute; a reference already used is
        answered with what became of it.
        """
        self.check_payout(request)
        return clickpesa_payouts.send(self._api, request, read_timeout=self._read_timeout)

    def query_payout(self, payout: TransferId) -> TransferResult:
        """What became of a payout. Raises `TransferNotFound`, `GatewayUnavailable` or `GatewayRefused`."""
        return clickpesa_payouts.query(self._api, payout)

    def balances(self) -> list[Money]:
        """What the account holds, one per known currency. Raises `GatewayUnavailable` or `GatewayRefused`."""
        body = self._api.ask("/account/balance")
        # Three forms in ClickPesa's docs over time: {"balances": [...]}, [...], and one {...}.
        items = body.get("balances", [body]) if isinstance(body, dict) else body
        if not isinstance(items, list):
            raise GatewayUnavailable
        found: dict[str, Money] = {}
        for item in items:
            money = balance_of(item.get("balance"), item.get("currency")) if isinstance(item, dict) else None
            if money is not None:
                found.setdefault(money.currency, money)
        if not found:
            raise GatewayUnavailable
        return list(found.values())

    def list_charges(self, *, since: datetime, until: datetime) -> Iterator[ListedCharge]:
        """ClickPesa's payments made in [since, until), newest first. Raises as `query` does, also between two pages.

        A payment that does not say when it was made is in every list.
        """
        # Days, of a time zone that is not documented: one more on either side, and the exact bounds are kept here.
        days = {
            "startDate": (since - timedelta(days=1)).date().isoformat(),
            "endDate": (until + timedelta(days=1)).date().isoformat(),
        }
        seen: set[str] = set()
        skip = 0
        while True:
            page = {"sortBy": "createdAt", "orderBy": "DESC", "skip": str(skip), "limit": str(PAGE_SIZE)}
            items, total = self._page_of_list({**days, **page})
            # Payments made meanwhile push older ones onto the next page: again, never past it.
            fresh = [item for item in items if _mark(item) not in seen]
            seen.update(map(_mark, fresh))
            for item in fresh:
                made_at = created_at(item)
                if made_at is None or since <= made_at < until:
                    reference = storable(text_of(item.get("orderReference")), limit=100)
                    yield ListedCharge(reference=reference, result=charge_result(item), created_at=made_at)
            skip += len(items)
            if not items or skip >= total:
                return
            if not fresh:
                raise GatewayUnavailable  # it does not turn the page, and half a list is not the list

    def _page_of_list(self, params: dict[str, str]) -> tuple[list[dict[str, Any]], int]:
        body = self._api.ask("/payments/all", params=params)
        items, total = (body.get("data"), body.get("totalCount")) if isinstance(body, dict) else (None, None)
        total = int(total) if isinstance(total, str) and re.fullmatch("[0-9]{1,9}", total) else total
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise GatewayUnavailable
        if isinstance(total, bool) or not isinstance(total, int):
            raise GatewayUnavailable
        return items, total

    def probe(self) -> None:
        """Fetch a token. Raises `GatewayUnavailable` or `GatewayRefused`."""
        self._api.renew_token()

    def verify(self, delivery: Delivery) -> None:
        """Raise `WebhookRejected` unless the body's checksum is right (no key: unless it is a JSON object).

        The checksum stands in the body (ClickPesa docs); a header `X-ClickPesa-Signature`, which several clients look
        for and no vendor document names, may carry it instead (unconfirmed).
        """
        body = object_of(delivery)
        if not self._checksum_key:
            return
        claims = [body.get("checksum"), delivery.headers.get("x-clickpesa-signature")]
        offered = [claim.encode("utf-8", "surrogatepass") for claim in claims if isinstance(claim, str)]
        expected = [canonical_checksum(body, self._checksum_key).encode()]
        # Every event has a nested `data`, which the legacy method cannot protect; so it can only vouch for no event.
        with suppress(ValueError):
            expected.append(legacy_checksum(body, self._checksum_key).encode())
        if not any(hmac.compare_digest(right, claim) for right in expected for claim in offered):
            raise WebhookRejected

    def parse(self, delivery: Delivery) -> list[GatewayEvent]:
        """The news about a payment or a payout; none for deposits. Raises `WebhookRejected` on junk."""
        body = object_of(delivery)
        # The failure event has been seen with `eventType` (ClickPesa docs, 2025).
        event = body.get("event") or body.get("eventType")
        if not isinstance(event, str):
            raise WebhookRejected
        subject = next((subject for kind, subject in SUBJECTS.items() if event.startswith(kind)), None)
        if subject is None:
            return []
        data = body.get("data")
        if not isinstance(data, dict):
            raise WebhookRejected
        reference = text_of(data.get("orderReference"))
        result = charge_result(data) if subject is Subject.CHARGE else transfer_result(data)
        key = f"{event}:{result.provider_reference or reference}:{text_of(data.get('status'))}"
        if not IDENTIFIER.fullmatch(reference) or not re.fullmatch(r"[ -~]{1,200}", key):
            raise WebhookRejected
        return [GatewayEvent(key=key, reference=reference, result=result, subject=subject)]

    def _already_charged(self, reference: str) -> ChargeResult:
        try:
            return self.query(ChargeId(reference=reference))
        except (ChargeNotFound, GatewayUnavailable, GatewayRefused):
            # The reference is spent, so a charge exists, whatever the question's answer (docs: a new payment may be
            # missing for a moment). "Unavailable" would say that none does.
            raise OutcomeUnknown from None


def _push_wish(request: ChargeRequest) -> dict[str, Any]:
    return {
        "amount": amount_text(request.money),
        "currency": request.money.currency,
        "orderReference": request.reference,
        "phoneNumber": request.phone.removeprefix("+"),
    }


def _pushed(body: dict[str, Any]) -> ChargeResult:
    result = charge_result(body)
    if result.status is ChargeStatus.UNKNOWN and not result.provider_reference:
        raise OutcomeUnknown  # JSON, but nothing about a payment
    return result


def _mark(item: dict[str, Any]) -> str:
    return text_of(item.get("id")) or repr(item)
