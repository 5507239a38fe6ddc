"""What an SMS gateway is. It stores nothing and decides nothing.

It raises `services.http.GatewayUnavailable` (nothing was sent), `services.http.OutcomeUnknown` (the text may have
been accepted) or `SmsRefused` (the provider said no).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, ClassVar

from services.http import Delivery


class MessageStatus(StrEnum):
    """The normalised states of a message, in the order in which they may follow one another."""

    QUEUED = "queued"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    UNDELIVERABLE = "undeliverable"
    EXPIRED = "expired"


class SmsRefused(Exception):
    """The provider refused the message. `is_config`: an operator must act (key, credit, sender name)."""

    def __init__(self, code: str, detail: str = "", *, is_config: bool = False) -> None:
        self.code, self.detail, self.is_config = code, detail, is_config
        super().__init__(f"{code}: {detail}" if detail else code)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsRequest:
    """One text to one phone (E.164). `key` is ours and comes back in the delivery report where the provider can."""

    key: str
    phone: str
    text: str = field(repr=False)  # may hold a code


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsResult:
    """The provider took the message; `provider_reference` is its name for it."""

    provider_reference: str
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsReport:
    """One delivery report. `status` None: a word we do not know; `raw_status` has it."""

    key: str
    provider_reference: str
    phone: str
    status: MessageStatus | None
    raw_status: str


class SmsGateway(ABC):
    """One SMS provider. Instances are thread-safe and live as long as the process."""

    code: ClassVar[str]

    @abstractmethod
    def send(self, request: SmsRequest) -> SmsResult:
        """Hand over one text, once. No retries inside (a refused encoding may be corrected: nothing was sent)."""

    @abstractmethod
    def query_report(self, phone: str, provider_reference: str) -> SmsReport | None:
        """What the provider knows about a message it took for `phone`, or None while it knows nothing.

        A provider that cannot be asked always knows nothing. Raises `services.http.GatewayUnavailable` or `SmsRefused`.
        """

    @abstractmethod
    def parse_report(self, delivery: Delivery) -> SmsReport:
        """Read a delivery report, or raise `core.exceptions.Malformed`."""

    @abstractmethod
    def report_receipt(self, report: SmsReport) -> Mapping[str, Any]:
        """The body with which the provider wants its report acknowledged."""
