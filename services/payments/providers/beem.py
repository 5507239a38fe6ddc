"""Beem (Tanzania), "BPay": the hosted checkout, its callback, and the account's balance.

The vendor's documentation pages could not be read; facts come from Beem's published samples (GitHub `beemafrica`:
`beem-pay-checkout-api-sample`) and from independent clients. What only one of them says is marked unconfirmed.

Beem signs nothing and cannot be asked about a checkout. A callback is told from a forgery by a header,
`beem-secure-token`, which is sent with each checkout and comes back with its callback. Here it is a different one for
every charge, derived from one secret and our reference, so none is stored and a leaked one opens no other charge.

Not built: paybill collection (the customer pays a number, Beem reports it), which is another product.
"""

from __future__ import annotations

import hmac
import logging
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any, ClassVar, NoReturn
from urllib.parse import parse_qs, urljoin
from uuid import UUID

from django.core.exceptions import ImproperlyConfigured

from core.money import AmountNotRepresentable, Money
from services.http import Answer, Delivery, GatewayUnavailable, HttpClient, OutcomeUnknown
from services.options import required
from services.payments.answers import balance_of, object_of, page_link, text_of
from services.payments.base import (
    Capability,
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
    Trust,
    WebhookRejected,
)
from services.reading import recordable, storable

logger = logging.getLogger("faraja.payments.beem_pay")

MOBILE = re.compile(r"\+255[67][0-9]{8}")
REFERENCE = re.compile(r"[0-9A-Za-z]{1,20}")
PREFIX = re.compile(r"[0-9A-Za-z_]{1,30}")
SECURE_TOKEN = "beem-secure-token"  # noqa: S105 - the header's name

# Beem's samples; any other word changes nothing.
STATUS = {"success": ChargeStatus.PAID, "failed": ChargeStatus.DECLINED}

# 120 in several sources, the others in one (unconfirmed).
CREDENTIALS_REFUSED = {109: "credentials", 110: "credentials", 120: "credentials"}
REFUSALS = {**CREDENTIALS_REFUSED, 100: "phone", 101: "amount"}
BAD_TRANSACTION_ID = 102
REDIRECTS = (301, 302, 303, 307, 308)


class TokenMode(StrEnum):
    """Which `beem-secure-token` a callback has to carry."""

    PER_ORDER = "per_order"
    """The one sent with this very checkout. That Beem echoes it is what one client says (unconfirmed)."""
    GLOBAL = "global"
    """One and the same for all, as configured in Beem's portal."""
    OFF = "off"
    """None."""


class BeemPayGateway(PaymentGateway):
    """One Beem account: checkout pages for mobile money in shillings."""

    code = "beem_pay"
    name = "Beem"
    capabilities = frozenset({Capability.CHECKOUT, Capability.BALANCE})
    currencies = frozenset({"TZS"})
    credentials: ClassVar[tuple[Credential, ...]] = (
        Credential("api_key"),
        Credential("secret_key"),
        Credential("secure_token"),
        Credential("reference_prefix", is_secret=False),
    )

    def __init__(
        self,
        *,
        checkout_url: str,
        balance_url: str,
        api_key: str,
        secret_key: str,
        reference_prefix: str,
        secure_token: str = "",
        token_mode: str = TokenMode.PER_ORDER,
        read_timeout: float = 20.0,
    ) -> None:
        """`checkout_url` and `balance_url` are base URLs: `https://checkout.beem.africa/v1` and
        `https://apitopup.beem.africa/v1`. `reference_prefix` is the one that Beem's portal assigns. `secure_token` is
        needed unless `token_mode` is "off"; changing it makes strangers of the callbacks of all open pages.

        Raises `ImproperlyConfigured` for anything that cannot be used.
        """
        if token_mode not in tuple(TokenMode):
            raise ImproperlyConfigured(f"The gateway {self.code}: token_mode is one of {', '.join(TokenMode)}.")
        self._mode = TokenMode(token_mode)
        if self._mode is not TokenMode.OFF:
            required(self.code, "secure_token", secure_token, is_header=True)
        self._secure_token = secure_token
        self._prefix = required(self.code, "reference_prefix", reference_prefix).removesuffix("-")
        if not PREFIX.fullmatch(self._prefix):
            raise ImproperlyConfigured(f"The gateway {self.code}: reference_prefix is letters and digits.")
        pair = f"{required(self.code, 'api_key', api_key)}:{required(self.code, 'secret_key', secret_key)}"
        self._authorization = {"Authorization": "Basic " + b64encode(pair.encode()).decode("ascii")}
        self._checkout_url = checkout_url.rstrip("/") + "/checkout"
        self._checkout = HttpClient(checkout_url, read_timeout=read_timeout)
        self._balance = HttpClient(balance_url)

    @property
    def trust(self) -> Trust:
        """TOKEN where each charge has a secret of its own; one shared by all, or none, proves nothing about one."""
        return Trust.TOKEN if self._mode is TokenMode.PER_ORDER else Trust.HINT

    def check(self, request: ChargeRequest) -> None:
        """Raise `MethodNotSupported`, `CurrencyNotSupported` or `AmountNotRepresentable` (whole shillings, above zero).

        A reference that is not 1 to 20 ASCII letters and digits is a mistake of ours and raises `ValueError`.
        """
        if request.method is not Method.CHECKOUT:
            raise MethodNotSupported
        check_money(request.money)
        check_reference(request.reference)

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Open a page for the customer: REQUIRES_ACTION with its address. Raises as `PaymentGateway.charge` says.

        Asked for by our server, because the call needs the account's password; the customer gets only the address.
        """
        self.check(request)
        transaction = transaction_id(request.reference)
        wish = {
            "amount": str(request.money.to_units(places=0)),
            "transaction_id": transaction,
            "reference_number": f"{self._prefix}-{request.reference}",
            "sendSource": "true",
        }
        # Only fills the page's field; a number that Beem would refuse (code 100) is left for the customer to type.
        if MOBILE.fullmatch(request.phone):
            wish["mobile"] = request.phone.removeprefix("+")
        headers = {**self._authorization, "Content-Type": "application/json"}
        if token := self._token_for(request.reference):
            headers[SECURE_TOKEN] = token
        # A GET by name only: it makes a checkout at Beem, so silence after it is no harmless silence.
        answer = self._checkout.request("GET", "/checkout", params=wish, headers=headers, is_question=False)
        link, raw = self._page(answer)
        return ChargeResult(
            status=ChargeStatus.REQUIRES_ACTION, provider_reference=transaction, checkout_url=link, raw=raw
        )

    def balances(self) -> list[Money]:
        """The account's credit in shillings. Raises `GatewayUnavailable` or `GatewayRefused`."""
        answer = self._balance.request(
            "GET", "/credit-balance", params={"app_name": "BPAY"}, headers=self._authorization
        )
        body = self._object(answer)
        # Under `data` (observed) or `code` (unconfirmed), as text with four decimals.
        shelves = [body.get(name) for name in ("data", "code")]
        credits_ = [balance_of(shelf.get("credit_bal"), "TZS") for shelf in shelves if isinstance(shelf, dict)]
        found = [money for money in credits_ if money is not None]
        if not answer.is_success or not found:
            refuse(body, answer, CREDENTIALS_REFUSED, otherwise=GatewayUnavailable())
        return found[:1]

    def probe(self) -> None:
        """Ask for the balance: the only question that Beem answers. Raises `GatewayUnavailable` or `GatewayRefused`."""
        self.balances()

    def verify(self, delivery: Delivery) -> None:
        """Raise `WebhookRejected` unless the delivery carries this charge's token (by `token_mode`) and its own ids.

        The transaction id is derived from the reference, so the pair has to fit; it is no secret, the token is.
        """
        news = self._read(delivery)
        expected = self._token_for(news.reference)
        offered = delivery.headers.get(SECURE_TOKEN, "").encode("utf-8", "surrogatepass")
        if expected and not hmac.compare_digest(expected.encode(), offered):
            raise WebhookRejected

    def parse(self, delivery: Delivery) -> list[GatewayEvent]:
        """The one piece of news in a delivery. Raises `WebhookRejected` on junk, and on a success without an amount."""
        news = self._read(delivery)
        result = ChargeResult(
            status=news.status, provider_reference=news.transaction, money=news.money, raw=recordable(news.body)
        )
        amount = news.money.amount if news.money else ""
        return [GatewayEvent(key=f"{news.transaction}:{news.word}:{amount}", reference=news.reference, result=result)]

    def _token_for(self, reference: str) -> str:
        """What the callback about `reference` has to carry; nothing where nothing is asked for."""
        match self._mode:
            case TokenMode.PER_ORDER:
                said = f"beem-secure-token:{reference}".encode()
                return hmac.new(self._secure_token.encode(), said, sha256).hexdigest()[:32]
            case TokenMode.GLOBAL:
                return self._secure_token
            case TokenMode.OFF:
                return ""

    def _page(self, answer: Answer) -> tuple[str, Any]:
        """The address of the customer's page, and the answer for the record."""
        if answer.status in REDIRECTS:
            # What the samples describe for sendSource=false; they disagree about which value does what.
            source, body = _absolute(self._checkout_url, answer.headers.get("location", "")), {}
        else:
            body = self._object(answer)
            source = text_of(body.get("src"))
        place, _mark, query = source.partition("?")
        if "/checkout/error" in place:
            # With a 404 where it was observed: "No payment method set by client".
            told = storable("; ".join(parse_qs(query).get("message", [])), limit=500)
            reason = "not_enabled" if "payment method" in told.lower() else "invalid_request"
            raise GatewayRefused(reason, told or f"HTTP {answer.status}")
        if code_of(body) == BAD_TRANSACTION_ID:
            # Ours are well formed, so this one is used: a page may stand open under it.
            raise OutcomeUnknown
        link = page_link(source)
        if answer.status >= 400 or not link:
            refuse(body, answer, REFUSALS, otherwise=OutcomeUnknown())
        return link, recordable({**body, "src": link})

    def _object(self, answer: Answer) -> dict[str, Any]:
        """The answer as a JSON object: an empty one for a refusal without. Raises what `refuse_unusable` raises."""
        answer.refuse_unusable()
        body = answer.json()
        if isinstance(body, dict):
            return body
        if answer.is_success:
            raise answer.silence()
        return {}

    def _read(self, delivery: Delivery) -> _News:
        body = object_of(delivery)
        reference = text_of(body.get("referenceNumber")).removeprefix(f"{self._prefix}-")
        # Some clients were sent `transactionId`.
        transaction = text_of(body.get("transactionID") or body.get("transactionId")).lower()
        if not REFERENCE.fullmatch(reference) or transaction != transaction_id(reference):
            raise WebhookRejected
        word = text_of(body.get("status")).strip().lower()
        if not re.fullmatch(r"[ -~]{0,40}", word):
            raise WebhookRejected
        status = STATUS.get(word, ChargeStatus.UNKNOWN)
        try:
            money = Money.from_units(body.get("amount", ""), "TZS")  # text or a number
        except ValueError:
            money = None
        if money is None and status is ChargeStatus.PAID:
            logger.warning("a callback says paid without a readable amount", extra={"reference": reference})
            raise WebhookRejected
        return _News(reference=reference, transaction=transaction, word=word, status=status, money=money, body=body)


@dataclass(frozen=True, slots=True, kw_only=True)
class _News:
    """One callback that is about a charge of ours."""

    reference: str
    transaction: str
    word: str
    status: ChargeStatus
    money: Money | None
    body: Mapping[str, Any] = field(repr=False)


def transaction_id(reference: str) -> str:
    """The UUID under which Beem knows a charge: always the same one for the same reference.

    Beem wants version 4, whose bits are random. Ours are the first 16 bytes of SHA-256 over our reference, which is
    random itself, with the version's bits set. No key is mixed in: a callback about a page opened before a change of
    keys has to be recognised after it.
    """
    return str(UUID(bytes=sha256(f"beem_pay transaction:{reference}".encode()).digest()[:16], version=4))


def check_money(money: Money) -> None:
    """Raise `CurrencyNotSupported` or `AmountNotRepresentable`: Beem takes whole shillings."""
    if money.currency != "TZS":
        raise CurrencyNotSupported
    if money.to_units(places=0) <= 0:
        raise AmountNotRepresentable


def check_reference(reference: str) -> None:
    """Raise `ValueError` for a reference that is none of ours."""
    if not REFERENCE.fullmatch(reference):
        raise ValueError("A reference for Beem is 1 to 20 ASCII letters and digits.")


def code_of(body: Mapping[str, Any]) -> int | None:
    """Beem's response code; it comes as a number or as text."""
    text = text_of(body.get("code"))
    return int(text) if re.fullmatch(r"[0-9]{1,5}", text) else None


def refuse(body: Mapping[str, Any], answer: Answer, reasons: Mapping[int, str], *, otherwise: Exception) -> NoReturn:
    """Raise `GatewayRefused` by Beem's code, else by the HTTP status; `otherwise` where neither says no."""
    code = code_of(body)
    reason = reasons.get(code) if code is not None else None
    if reason is None and answer.status < 400:
        raise otherwise
    if answer.status in (401, 403):
        reason = "credentials"  # whatever the body says
    detail = storable(text_of(body.get("message")), limit=500) or f"HTTP {answer.status}"
    raise GatewayRefused(reason or "invalid_request", detail if code is None else f"{code} {detail}")


def _absolute(base: str, location: str) -> str:
    try:
        return urljoin(base, location) if location else ""
    except ValueError:
        return ""
