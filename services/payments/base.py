"""What a payment gateway is: one provider's dialect outward, our words inward.

A gateway stores nothing and decides nothing. It raises:

- `services.http.GatewayUnavailable`: nothing reached the provider; trying again is safe;
- `services.http.OutcomeUnknown`: something may have reached it; ask before doing anything else;
- `GatewayRefused`: the provider answered that it will not take this request at all (credentials, feature, number).

A decline by the customer is an answer, not an error: a `ChargeResult`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar, final

from django.utils.translation import gettext_lazy as _

from core.exceptions import NotAuthenticated, RuleViolated
from core.money import Money
from services.http import Delivery


class ChargeStatus(StrEnum):
    """A provider's word about one charge, in ours."""

    PENDING = "pending"
    PAID = "paid"
    DECLINED = "declined"
    UNKNOWN = "unknown"


class Capability(StrEnum):
    """Asked, never guessed: what a gateway can do."""

    PUSH = "push"
    QUERY = "query"
    IDEMPOTENT_CHARGE = "idempotent_charge"
    """Charging twice under one reference is refused by the provider, so re-sending the same reference is safe."""


class Trust(StrEnum):
    """How far a callback that passed `verify` is believed."""

    SIGNED = "signed"  # its content may settle a payment
    HINT = "hint"  # it only makes us ask


class WebhookRejected(NotAuthenticated):
    """The delivery is not from the provider, or cannot be shown to be."""

    code = "webhook_rejected"
    message = _("The callback was not accepted.")


class CurrencyNotSupported(RuleViolated):
    """The payment method does not take this currency."""

    code = "currency_not_supported"
    message = _("This payment method does not support this currency.")


class PhoneNotSupported(RuleViolated):
    """The payment method cannot reach this phone number."""

    code = "phone_not_supported"
    message = _("This payment method does not support this phone number.")


class GatewayRefused(Exception):
    """The provider will not take this request, and repeating it will not help.

    `reason` is a short machine word of ours; `detail` is the provider's text, for operators only.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason, self.detail = reason, detail
        super().__init__(f"{reason}: {detail}" if detail else reason)


class ChargeNotFound(Exception):
    """The provider does not know this reference (yet)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRequest:
    """Ask `phone` (E.164, with `+`) for `money` under `reference`, an identifier of ours for this one attempt."""

    reference: str
    money: Money
    phone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeResult:
    """What the provider says about one charge. The same shape for replies, callbacks and queries."""

    status: ChargeStatus
    provider_reference: str = ""  # the provider's own id
    money: Money | None = None  # echoed back, to be compared with what we asked for
    reason: str = ""  # the provider's words on a decline; for operators, never for clients
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)  # for the record, never for logic or logs


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentEvent:
    """One piece of news inside a delivery.

    `key` is equal for repetitions of the same news and different otherwise; `reference` is ours.
    """

    key: str
    reference: str
    result: ChargeResult


class PaymentGateway(ABC):
    """One provider. Instances are thread-safe and live as long as the process."""

    code: ClassVar[str]
    name: ClassVar[str]
    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    currencies: ClassVar[frozenset[str]]

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

    @abstractmethod
    def query(self, reference: str) -> ChargeResult:
        """What became of `reference`, or `ChargeNotFound`."""

    @final
    def read_webhook(self, delivery: Delivery) -> list[PaymentEvent]:
        """Verify, then parse: a provider supplies the halves and cannot change the order."""
        self.verify(delivery)
        return self.parse(delivery)

    @abstractmethod
    def verify(self, delivery: Delivery) -> None:
        """Raise `WebhookRejected` unless the provider sent these exact bytes (as far as its scheme can show)."""

    @abstractmethod
    def parse(self, delivery: Delivery) -> list[PaymentEvent]:
        """Name each event in our words; a status we do not know stays UNKNOWN. Raises `WebhookRejected` on junk."""
