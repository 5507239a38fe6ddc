"""What an SMS gateway is: one provider's dialect outward, our words inward. It stores nothing and decides nothing.

Its calls raise:

- `services.http.GatewayUnavailable`: nothing was sent; trying again is safe, here or with another provider;
- `services.http.OutcomeUnknown`: the text may have been accepted; nobody may send it again without asking;
- `SmsRefused`: the provider said no, so nothing was sent; its `reason` says what would help.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, final

from django.utils.translation import gettext_lazy as _

from core.exceptions import NotAuthenticated
from services.http import Delivery


class SmsCapability(StrEnum):
    """Asked, never guessed: what a gateway can do."""

    QUERY = "query"
    """It can be asked what became of one text."""
    REPORTS = "reports"
    """It reports by itself what became of a text."""
    INBOUND = "inbound"
    """It passes on what people text back."""
    IDEMPOTENT_SEND = "idempotent_send"
    """Sending twice under one key cannot make two texts, so an unknown outcome may simply be tried again."""


class MessageStatus(StrEnum):
    """The normalised states of a message, in the order in which they may follow one another."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"


class Refusal(StrEnum):
    """Why a provider did not take a text, by what would help."""

    NUMBER = "number"  # nothing: no provider will reach this number
    TEXT = "text"  # nothing: no provider will take this text
    OPTED_OUT = "opted_out"  # nothing: this person does not want texts
    SENDER = "sender"  # another sender name, or another provider
    ROUTE = "route"  # another provider: this one does not reach that number
    ACCOUNT = "account"  # an operator (key, credit, approval), or another provider meanwhile
    LATER = "later"  # time, or another provider meanwhile


class SmsRefused(Exception):
    """The provider refused the message, so nothing was sent. `code` is its own word; `detail` is for operators."""

    def __init__(self, reason: Refusal, code: str, detail: str = "") -> None:
        self.reason, self.code, self.detail = reason, code, detail
        super().__init__(f"{code}: {detail}" if detail else code)

    @property
    def is_final(self) -> bool:
        """Whether no other sender name, provider or time would help."""
        return self.reason in (Refusal.NUMBER, Refusal.TEXT, Refusal.OPTED_OUT)

    @property
    def is_config(self) -> bool:
        """Whether an operator must act."""
        return self.reason in (Refusal.SENDER, Refusal.ACCOUNT)


class SmsCallbackRejected(NotAuthenticated):
    """The delivery is not from the provider, or cannot be shown to be."""

    code = "webhook_rejected"
    message = _("The callback was not accepted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsRequest:
    """One text to one phone (E.164). `key` is ours and comes back in the delivery report where the provider can.

    `key` is 32 hexadecimal digits, the same in every try of one message at one provider; `first_sent` is the time of
    the first of those tries. `sender` stands in for the account's own sender name when it is not empty. `is_urgent`:
    somebody waits for it (a code, a receipt), as opposed to advertising. `callback_url` is where reports arrive, for
    providers that are told with each text.
    """

    key: str
    phone: str
    text: str = field(repr=False)  # may hold a code
    sender: str = ""
    is_urgent: bool = True
    first_sent: datetime | None = None
    callback_url: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsResult:
    """The provider took the message; `provider_reference` is its name for it. `parts`: how many it counted, if told."""

    provider_reference: str
    parts: int | None = None
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsId:
    """One text at the provider.

    `provider_reference` is empty where the provider's answer was lost; then `sent_at`, the time of that try, and the
    wording (empty where it is not known any more) tell it from others to the same phone.
    """

    key: str
    phone: str
    provider_reference: str = ""
    sent_at: datetime | None = None
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsReport:
    """What the provider says became of a text.

    `key` is ours where the provider returns it, else empty; then `provider_reference` says which text is meant.
    `status` None: a word we do not know; `raw_status` has it. `is_opt_out`: the person does not want texts.
    """

    key: str
    provider_reference: str
    phone: str
    status: MessageStatus | None
    raw_status: str
    detail: str = ""  # the provider's reason, for operators
    is_opt_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InboundText:
    """What somebody texted to us. `provider_reference` is equal for repetitions of the same text."""

    provider_reference: str
    phone: str  # E.164
    to: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsNews:
    """All that stood in one delivery, and what the provider wants to hear: `answer` stands beside the envelope."""

    reports: tuple[SmsReport, ...] = ()
    inbound: tuple[InboundText, ...] = ()
    opted_out: tuple[str, ...] = ()  # phones (E.164) of people who told the provider to stop
    answer: Mapping[str, Any] = field(default_factory=dict)


class SmsGateway(ABC):
    """One account at one provider. Instances are thread-safe and live as long as the process."""

    code: ClassVar[str]
    name: ClassVar[str]
    capabilities: frozenset[SmsCapability] = frozenset()

    @abstractmethod
    def send(self, request: SmsRequest) -> SmsResult:
        """Hand over one text, once. No retries inside (a refused encoding may be corrected: nothing was sent)."""

    def query(self, text: SmsId) -> SmsReport | None:
        """What the provider knows about a text, or None while it knows nothing. Only with `SmsCapability.QUERY`.

        Raises `GatewayUnavailable` or `SmsRefused`.
        """
        raise NotImplementedError(f"{self.code} cannot be asked about a text.")

    @abstractmethod
    def probe(self) -> None:
        """One call that changes nothing, to see that address and credentials work. Raises as `send` does."""

    def permit(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The headers that answer an OPTIONS request, for a provider that asks so whether it may report; else none.

        `headers` have lower-case names.
        """
        return {}

    @final
    def read_callback(self, delivery: Delivery) -> SmsNews:
        """Verify, then parse: a provider supplies the halves and cannot change the order."""
        self.verify(delivery)
        return self.parse(delivery)

    def verify(self, delivery: Delivery) -> None:
        """Raise `SmsCallbackRejected` unless the provider sent these exact bytes.

        Most providers sign nothing: the secret in the path is all there is, and whoever called us knew it.
        """
        return

    @abstractmethod
    def parse(self, delivery: Delivery) -> SmsNews:
        """Name everything in our words, or raise `core.exceptions.Malformed` on junk."""
