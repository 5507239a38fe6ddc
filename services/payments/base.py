"""What a payment gateway is: one provider's dialect outward, our words inward.

A gateway stores nothing and decides nothing. It declares what it can do (`capabilities`); what it cannot do it refuses
by a `RuleViolated`, before any call. Its calls raise:

- `services.http.GatewayUnavailable`: nothing reached the provider; trying again is safe;
- `services.http.OutcomeUnknown`: something may have reached it; ask before doing anything else;
- `GatewayRefused`: the provider answered that it will not take this request at all (credentials, feature, number).

A decline by the customer is an answer, not an error: a `ChargeResult`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, final

from django.utils.translation import gettext_lazy as _

from core.exceptions import NotAuthenticated, RuleViolated
from core.money import Money
from services.http import Delivery


class Method(StrEnum):
    """How the customer pays."""

    PUSH = "push"
    """A prompt on the customer's phone."""
    CHECKOUT = "checkout"
    """A page of the provider, on which the customer chooses."""
    CARD = "card"
    """A page of the provider for cards."""


class ChargeStatus(StrEnum):
    """A provider's word about one charge, in ours."""

    PENDING = "pending"
    REQUIRES_ACTION = "requires_action"  # the customer has to open a page
    PAID = "paid"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # the provider's own word; ours is not heard here
    UNKNOWN = "unknown"


class TransferStatus(StrEnum):
    """A provider's word about money that goes out: a refund or a payout."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETURNED = "returned"  # it had gone out, and came back
    UNKNOWN = "unknown"


class Capability(StrEnum):
    """Asked, never guessed: what a gateway can do."""

    PUSH = "push"
    CHECKOUT = "checkout"
    CARD = "card"
    QUERY = "query"
    CANCEL = "cancel"
    REFUND = "refund"
    PAYOUT_PHONE = "payout_phone"
    PAYOUT_BANK = "payout_bank"
    PAYOUT_QUERY = "payout_query"
    BALANCE = "balance"
    LIST = "list"
    IDEMPOTENT_CHARGE = "idempotent_charge"
    """Charging twice under one reference cannot take the money twice, so re-sending the same reference is safe."""
    IDEMPOTENT_PAYOUT = "idempotent_payout"
    """The same of payouts."""


class Trust(StrEnum):
    """How far a callback that passed `verify` is believed."""

    SIGNED = "signed"  # its content may settle a payment
    TOKEN = "token"  # noqa: S105  it carries a secret of this one charge, but nothing protects its content
    HINT = "hint"  # it only makes us ask


class WebhookRejected(NotAuthenticated):
    """The delivery is not from the provider, or cannot be shown to be."""

    code = "webhook_rejected"
    message = _("The callback was not accepted.")


class MethodNotSupported(RuleViolated):
    """The gateway does not offer this way to pay."""

    code = "method_not_supported"
    message = _("This payment method does not offer this way to pay.")


class CurrencyNotSupported(RuleViolated):
    """The payment method does not take this currency."""

    code = "currency_not_supported"
    message = _("This payment method does not support this currency.")


class PhoneNotSupported(RuleViolated):
    """The payment method cannot reach this phone number."""

    code = "phone_not_supported"
    message = _("This payment method does not support this phone number.")


class AmountOutOfRange(RuleViolated):
    """Below the provider's smallest amount, or above its largest."""

    code = "amount_out_of_range"
    message = _("This payment method does not take an amount of this size.")


class CustomerDetailsMissing(RuleViolated):
    """The provider wants to know more about the customer; `errors` says what."""

    code = "customer_details_missing"
    message = _("This payment method needs more details about the customer.")


class CancelNotSupported(RuleViolated):
    """The gateway cannot call a charge back."""

    code = "cancel_not_supported"
    message = _("This payment method cannot cancel a payment.")


class RefundNotSupported(RuleViolated):
    """The gateway cannot send money back."""

    code = "refund_not_supported"
    message = _("This payment method cannot refund a payment.")


class PayoutNotSupported(RuleViolated):
    """The gateway cannot send money to this kind of recipient."""

    code = "payout_not_supported"
    message = _("This payment method cannot pay out.")


class BalanceNotSupported(RuleViolated):
    """The gateway does not tell its balance."""

    code = "balance_not_supported"
    message = _("This payment method does not tell its balance.")


class GatewayRefused(Exception):
    """The provider will not take this request, and repeating it will not help.

    `reason` is a short machine word of ours; `detail` is the provider's text, for operators only.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}" if detail else reason)


class ChargeNotFound(Exception):
    """The provider does not know this reference (yet)."""


class TransferNotFound(Exception):
    """The provider does not know this refund or payout (yet)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """Where a card is registered. `country` is ISO 3166-1 alpha-2."""

    line: str
    city: str
    country: str
    region: str = ""
    postal_code: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who pays, as far as the merchant says."""

    name: str = ""
    email: str = ""
    address: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRequest:
    """Ask for `money` under `reference`, an identifier of ours for this one attempt.

    `phone` (E.164, with `+`) is needed for a push and welcome elsewhere. `return_url` and `cancel_url` are where a page
    sends the customer afterwards; `callback_url` is where this account's callbacks arrive, for providers that are told
    with each charge. `lifetime` is how long a page should live.
    """

    reference: str
    money: Money
    method: Method = Method.PUSH
    phone: str = field(default="", repr=False)
    description: str = ""
    customer: Customer = field(default_factory=Customer, repr=False)
    return_url: str = ""
    cancel_url: str = ""
    callback_url: str = field(default="", repr=False)
    lifetime: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeId:
    """One charge at the provider: our reference, and its own id where it has told us."""

    reference: str
    provider_reference: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeResult:
    """What the provider says about one charge. The same shape for replies, callbacks and queries."""

    status: ChargeStatus
    provider_reference: str = ""  # the provider's own id
    money: Money | None = None  # echoed back, to be compared with what we asked for
    refunded: Money | None = None  # all that went back to the customer so far, by whoever's wish
    checkout_url: str = ""  # the page for the customer
    reason: str = ""  # the provider's words on a decline; for operators, never for clients
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)  # for the record, never for logic or logs


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedCharge:
    """One line of the provider's own list. `reference` is ours as far as the provider kept it."""

    reference: str
    result: ChargeResult
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundRequest:
    """Send `money` of a settled charge back, under `reference`, an identifier of ours for this one refund."""

    reference: str
    charge: ChargeId
    money: Money
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BankAccount:
    """A recipient at a bank. `bank` is the code by which the gateway knows the bank (a BIC, a short name)."""

    bank: str
    number: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PayoutRequest:
    """Send `money` to a phone's wallet (`phone`, E.164) or to a bank account, under `reference`, one of ours."""

    reference: str
    money: Money
    phone: str = field(default="", repr=False)
    bank: BankAccount | None = field(default=None, repr=False)
    name: str = field(default="", repr=False)  # of the recipient
    narration: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferId:
    """One refund or payout at the provider. `charge` names what is refunded."""

    reference: str
    provider_reference: str = ""
    charge: ChargeId | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferResult:
    """What the provider says about one refund or payout."""

    status: TransferStatus
    provider_reference: str = ""
    money: Money | None = None
    reason: str = ""  # for operators
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


class Subject(StrEnum):
    """What a piece of news is about."""

    CHARGE = "charge"
    REFUND = "refund"
    PAYOUT = "payout"


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEvent:
    """One piece of news inside a delivery.

    `key` is equal for repetitions of the same news and different otherwise; `reference` is ours. `result` is a
    `ChargeResult` for `Subject.CHARGE` and a `TransferResult` otherwise.
    """

    key: str
    reference: str
    result: ChargeResult | TransferResult
    subject: Subject = Subject.CHARGE


@dataclass(frozen=True, slots=True)
class Credential:
    """One thing that an account at the provider consists of; `name` is the constructor's option."""

    name: str
    is_required: bool = True
    is_secret: bool = True


class PaymentGateway(ABC):
    """One account at one provider. Instances are thread-safe and live as long as the process."""

    code: ClassVar[str]
    name: ClassVar[str]
    # Of the class: all that an account can have. An account without a credential that something needs has less.
    capabilities: frozenset[Capability] = frozenset()
    currencies: ClassVar[frozenset[str]]
    # Names, in lower case, of the headers of a callback that `parse` reads: they are stored with the body.
    kept_headers: ClassVar[tuple[str, ...]] = ()
    credentials: ClassVar[tuple[Credential, ...]]

    @property
    @abstractmethod
    def trust(self) -> Trust:
        """How far this account's verified callbacks are believed (may depend on its credentials)."""

    @abstractmethod
    def check(self, request: ChargeRequest) -> None:
        """Refuse, without any call, what this provider can never do: raise a `RuleViolated`."""

    @abstractmethod
    def charge(self, request: ChargeRequest) -> ChargeResult:
        """Ask for the money, once. No retries inside."""

    def query(self, charge: ChargeId) -> ChargeResult:
        """What became of a charge, or `ChargeNotFound`. Only with `Capability.QUERY`."""
        raise NotImplementedError(f"{self.code} cannot be asked about a charge.")

    def cancel(self, charge: ChargeId) -> ChargeResult:
        """Call a charge back that nobody has paid; the answer says what became of it. Or `CancelNotSupported`."""
        raise CancelNotSupported

    def check_refund(self, request: RefundRequest) -> None:
        """Refuse, without any call, a refund that this provider can never make."""
        if Capability.REFUND not in self.capabilities:
            raise RefundNotSupported

    def refund(self, request: RefundRequest) -> TransferResult:
        """Send money back, once. Or `RefundNotSupported`."""
        raise RefundNotSupported

    def query_refund(self, refund: TransferId) -> TransferResult:
        """What became of a refund, or `TransferNotFound`."""
        raise RefundNotSupported

    def check_payout(self, request: PayoutRequest) -> None:
        """Refuse, without any call, a payout that this provider can never make."""
        needed = Capability.PAYOUT_BANK if request.bank else Capability.PAYOUT_PHONE
        if needed not in self.capabilities:
            raise PayoutNotSupported

    def payout(self, request: PayoutRequest) -> TransferResult:
        """Send money out, once. Or `PayoutNotSupported`."""
        raise PayoutNotSupported

    def query_payout(self, payout: TransferId) -> TransferResult:
        """What became of a payout, or `TransferNotFound`. Only with `Capability.PAYOUT_QUERY`."""
        raise NotImplementedError(f"{self.code} cannot be asked about a payout.")

    def balances(self) -> list[Money]:
        """What the account holds, one per currency. Or `BalanceNotSupported`."""
        raise BalanceNotSupported

    def list_charges(self, *, since: datetime, until: datetime) -> Iterator[ListedCharge]:
        """The provider's own list of charges made in [since, until). Only with `Capability.LIST`."""
        raise NotImplementedError(f"{self.code} has no list of charges.")

    @abstractmethod
    def probe(self) -> None:
        """One call that changes nothing, to see that address and credentials work. Raises as the others do."""

    @final
    def read_webhook(self, delivery: Delivery) -> list[GatewayEvent]:
        """Verify, then parse: a provider supplies the halves and cannot change the order."""
        self.verify(delivery)
        return self.parse(delivery)

    @abstractmethod
    def verify(self, delivery: Delivery) -> None:
        """Raise `WebhookRejected` unless the provider sent these exact bytes (as far as its scheme can show)."""

    @abstractmethod
    def parse(self, delivery: Delivery) -> list[GatewayEvent]:
        """Name each event in our words; a status we do not know stays UNKNOWN. Raises `WebhookRejected` on junk."""
