"""ClickPesa (Tanzania): mobile-money USSD push, status query and callbacks.

Facts come from ClickPesa's docs (docs.clickpesa.com: API reference, "checksum", "webhooks", "payment status"); what no
vendor document says is marked unconfirmed.
"""

from __future__ import annotations

import hmac
import re
import threading
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Any, NoReturn

from core.money import AmountNotRepresentable, Money
from services.http import (
    READ_TIMEOUT,
    Answer,
    Delivery,
    GatewayUnavailable,
    HttpClient,
    OutcomeUnknown,
    is_header_safe,
)
from services.options import required
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
    Method,
    MethodNotSupported,
    PaymentGateway,
    PhoneNotSupported,
    Trust,
    WebhookRejected,
)
from services.payments.providers.clickpesa_checksum import canonical_checksum, legacy_checksum
from services.reading import read_json, recordable, storable

# ClickPesa docs, "payment status". REFUNDED and REVERSED are absent on purpose: money going back is a movement of its
# own, recorded with refunds. Read here as PAID or DECLINED they would rewrite what became of the charge; as UNKNOWN
# they change nothing, and the raw answer keeps the word.
STATUS = {
    "PENDING": ChargeStatus.PENDING,
    "PROCESSING": ChargeStatus.PENDING,
    "ON-HOLD": ChargeStatus.PENDING,
    "SUCCESS": ChargeStatus.PAID,
    "SETTLED": ChargeStatus.PAID,
    "FAILED": ChargeStatus.DECLINED,
}

# ClickPesa's words in a 400 (API reference, error texts), and ours.
REFUSALS = (
    ("checksum", "checksum"),
    ("order reference", "reference"),
    ("phone number", "phone"),
    ("has no access", "not_enabled"),
    ("client id", "credentials"),
)

PREVIEW = "/payments/preview-ussd-push-request"
PUSH = "/payments/initiate-ussd-push-request"
TOKEN_LIFETIME = 50 * 60.0  # seconds; a token lives an hour
MOBILE = re.compile(r"\+255[67][0-9]{8}")
REFERENCE = re.compile(r"[0-9A-Za-z]{1,20}")
IDENTIFIER = re.compile(r"[!-~]{1,100}")


class ClickPesaGateway(PaymentGateway):
    """One ClickPesa application. With a checksum key requests are signed and callbacks must be."""

    code = "clickpesa"
    name = "ClickPesa"
    # A reference is spent by its first push: the second answers 409, and is answered here with the first one's state.
    capabilities = frozenset({Capability.PUSH, Capability.QUERY, Capability.IDEMPOTENT_CHARGE})
    currencies = frozenset({"TZS"})
    credentials = (
        Credential("client_id", is_secret=False),
        Credential("api_key"),
        Credential("checksum_key", is_required=False),
    )

    def __init__(
        self, *, base_url: str, client_id: str, api_key: str, checksum_key: str = "", read_timeout: float = 20.0
    ) -> None:
        """`read_timeout` (seconds) is for the push, which waits for the operator; questions wait at most 10.

        Raises `ImproperlyConfigured` for an empty client id or API key and for an unusable address.
        """
        self._credentials = {
            "client-id": required(self.code, "client_id", client_id, is_header=True),
            "api-key": required(self.code, "api_key", api_key, is_header=True),
        }
        self._checksum_key = checksum_key
        self._read_timeout = read_timeout
        self._http = HttpClient(base_url, read_timeout=min(read_timeout, READ_TIMEOUT))
        self._token, self._token_ends_at = "", 0.0
        self._token_lock = threading.Lock()

    @property
    def trust(self) -> Trust:
        """SIGNED with a checksum key: without one, ClickPesa's callbacks carry no proof at all."""
        return Trust.SIGNED if self._checksum_key else Trust.HINT

    def check(self, request: ChargeRequest) -> None:
        """Raise `CurrencyNotSupported`, `PhoneNotSupported` or `AmountNotRepresentable` (whole shillings, above zero).

        A reference that ClickPesa would not take is a mistake of ours and raises `ValueError`.
        """
        if request.method is not Method.PUSH:
            raise MethodNotSupported
        if request.money.currency not in self.currencies:
            raise CurrencyNotSupported
        if not MOBILE.fullmatch(request.phone):
            raise PhoneNotSupported
        if request.money.to_units(places=0) <= 0:
            raise AmountNotRepresentable
        _check_reference(request.reference)

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Push a prompt to the phone. Raises as `PaymentGateway.charge` says.

        A reference already used (409) is answered with what became of it, so repeating a charge is safe.
        """
        answer = self._call("POST", PUSH, json=self._wish(request), read_timeout=self._read_timeout)
        if answer.status == 409:
            return self._already_charged(request.reference)
        body = self._accepted(answer)
        if not isinstance(body, dict) or body.get("orderReference", request.reference) != request.reference:
            raise OutcomeUnknown
        result = _result(body)
        if result.status is ChargeStatus.UNKNOWN and not result.provider_reference:
            raise OutcomeUnknown  # JSON, but nothing about a payment
        return result

    def query(self, charge: ChargeId) -> ChargeResult:
        """The payment under our reference: a paid one if there is any, else the newest.

        Raises `ChargeNotFound`, `GatewayUnavailable` (also for answers that make no sense) or `GatewayRefused`.
        """
        reference = charge.reference
        _check_reference(reference)
        answer = self._call("GET", "/payments/{reference}", path_values={"reference": reference})
        if answer.status == 404:
            # A page of HTML is a wrong address or a wall in front of ClickPesa, not its word that nothing is there.
            raise ChargeNotFound(reference) if answer.json() else GatewayUnavailable
        found = self._accepted(answer)
        if not isinstance(found, list):
            raise GatewayUnavailable
        if not found:
            raise ChargeNotFound(reference)
        ours = [item for item in found if isinstance(item, dict) and item.get("orderReference") == reference]
        if not ours:
            # Not ChargeNotFound: an answer about something else does not say that ours was never made.
            raise GatewayUnavailable
        # ISO times of one form sort as text. Of several paid ones the first: the choice must not change between polls.
        ours.sort(key=lambda item: str(item.get("createdAt", "")))
        paid = (item for item in ours if _status(item) is ChargeStatus.PAID)
        return _result(next(paid, ours[-1]))

    def preview(self, request: ChargeRequest) -> tuple[str, ...]:
        """The operators that would take this charge now, by ClickPesa's names (`TIGO-PESA`, `M-PESA`, ...).

        Asks without spending the reference. Raises as `query` does, except `ChargeNotFound`.
        """
        body = self._accepted(self._call("POST", PREVIEW, json=self._wish(request), is_question=True))
        methods = body.get("activeMethods") if isinstance(body, dict) else None
        if not isinstance(methods, list):
            raise GatewayUnavailable
        return tuple(
            item["name"]
            for item in methods
            if isinstance(item, dict) and isinstance(item.get("name"), str) and item.get("status") == "AVAILABLE"
        )

    def probe(self) -> None:
        """Fetch a token. Raises `GatewayUnavailable` or `GatewayRefused`."""
        self._fresh_token(stale=self._token)

    def verify(self, delivery: Delivery) -> None:
        """Raise `WebhookRejected` unless the body's checksum is right (no key: unless it is a JSON object).

        The checksum stands in the body (ClickPesa docs); a header `X-ClickPesa-Signature`, which several clients look
        for and no vendor document names, may carry it instead (unconfirmed).
        """
        body = _read_object(delivery)
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
        """The payment news in a delivery; an empty list for payouts and deposits. Raises `WebhookRejected` on junk."""
        body = _read_object(delivery)
        # The failure event has been seen with `eventType` (ClickPesa docs, 2025).
        event = body.get("event") or body.get("eventType")
        if not isinstance(event, str):
            raise WebhookRejected
        if not event.startswith("PAYMENT"):
            return []
        data = body.get("data")
        if not isinstance(data, dict):
            raise WebhookRejected
        reference = _text(data.get("orderReference"))
        result = _result(data)
        status = _text(data.get("status"))
        key = f"{event}:{result.provider_reference or reference}:{status}"
        if not IDENTIFIER.fullmatch(reference) or not re.fullmatch(r"[ -~]{1,200}", key):
            raise WebhookRejected
        return [GatewayEvent(key=key, reference=reference, result=result)]

    def _wish(self, request: ChargeRequest) -> dict[str, str]:
        self.check(request)
        wish = {
            "amount": str(request.money.to_units(places=0)),  # collections take text, in whole shillings
            "currency": request.money.currency,
            "orderReference": request.reference,
            "phoneNumber": request.phone.removeprefix("+"),
        }
        return {**wish, "checksum": canonical_checksum(wish, self._checksum_key)} if self._checksum_key else wish

    def _already_charged(self, reference: str) -> ChargeResult:
        try:
            return self.query(ChargeId(reference=reference))
        except (ChargeNotFound, GatewayUnavailable, GatewayRefused):
            # The reference is spent, so a charge exists, whatever the question's answer (docs: a new payment may be
            # missing for a moment). "Unavailable" would say that none does.
            raise OutcomeUnknown from None

    def _call(self, method: str, path: str, **wire: Any) -> Answer:
        """One call with a token; after a 401, one more with a new token (the first was not looked at)."""
        token = self._fresh_token(stale="")
        answer = self._http.request(method, path, headers={"Authorization": token}, **wire)
        if answer.status != 401:
            return answer
        token = self._fresh_token(stale=token)
        answer = self._http.request(method, path, headers={"Authorization": token}, **wire)
        if answer.status == 401:
            raise GatewayRefused("credentials", _message(answer))
        return answer

    def _fresh_token(self, *, stale: str) -> str:
        """The cached token unless it is old or `stale`. Raises `GatewayUnavailable` or `GatewayRefused`.

        Fetched under the lock: one thread asks, the others wait for its answer instead of asking too.
        """
        with self._token_lock:
            if self._token in ("", stale) or monotonic() >= self._token_ends_at:
                asked_at = monotonic()
                self._token = ""
                self._token = self._fetch_token()
                self._token_ends_at = asked_at + TOKEN_LIFETIME
            return self._token

    def _fetch_token(self) -> str:
        # A question: whatever happens to it, nothing has been charged.
        answer = self._http.request("POST", "/generate-token", headers=self._credentials, is_question=True)
        answer.refuse_unusable()
        if not answer.is_success:
            raise GatewayRefused("credentials", _message(answer))
        body = answer.json()
        token = body.get("token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token or not is_header_safe(token):
            raise GatewayUnavailable
        return token if token.startswith("Bearer ") else f"Bearer {token}"

    def _accepted(self, answer: Answer) -> Any:
        """The parsed body of a 2xx. Raises `GatewayRefused` for a 4xx, and what `Answer.refuse_unusable` raises."""
        answer.refuse_unusable()
        if not answer.is_success:
            _refuse(answer)
        return answer.json()


def _refuse(answer: Answer) -> NoReturn:
    detail = _message(answer)
    by_status = {403: "credentials", 404: "no_payment_method"}
    by_words = (ours for theirs, ours in REFUSALS if theirs in detail.lower())
    raise GatewayRefused(by_status.get(answer.status) or next(by_words, "invalid_request"), detail)


def _message(answer: Answer) -> str:
    """ClickPesa's error text; it comes as a string or as a list of them."""
    body = answer.json()
    message = body.get("message") if isinstance(body, dict) else None
    parts = message if isinstance(message, list) else [message]
    return storable("; ".join(part for part in parts if isinstance(part, str)), limit=500) or f"HTTP {answer.status}"


def _result(data: Mapping[str, Any]) -> ChargeResult:
    """One mapping for replies, queries and callbacks, so that they cannot disagree."""
    status = _status(data)
    # The 2025 callbacks say paymentId, amount and currency.
    provider_reference = _text(data.get("id") or data.get("paymentId"))
    return ChargeResult(
        status=status,
        provider_reference=provider_reference if IDENTIFIER.fullmatch(provider_reference) else "",
        money=_money(
            data.get("collectedAmount", data.get("amount")), data.get("collectedCurrency", data.get("currency"))
        ),
        reason=storable(_text(data.get("message")), limit=500) if status is ChargeStatus.DECLINED else "",
        raw=recordable(data),
    )


def _status(data: Mapping[str, Any]) -> ChargeStatus:
    return STATUS.get(_text(data.get("status")), ChargeStatus.UNKNOWN)


def _money(amount: Any, currency: Any) -> Money | None:
    # A number in queries, text in replies and callbacks; absent until something was collected.
    try:
        return Money.from_units(amount, currency)
    except ValueError:
        return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else ""


def _read_object(delivery: Delivery) -> dict[str, Any]:
    body = read_json(delivery.body)
    if not isinstance(body, dict):
        raise WebhookRejected
    return body


def _check_reference(reference: str) -> None:
    # "all" would be the address of the list of all payments.
    if not REFERENCE.fullmatch(reference) or reference.lower() == "all":
        raise ValueError("A ClickPesa reference is 1 to 20 ASCII letters and digits.")
