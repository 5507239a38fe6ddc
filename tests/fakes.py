"""Gateways that answer as a test says: for what no simulator can be told exactly (which call fails, how)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from django.test import override_settings

from core.money import Money
from services.http import Delivery
from services.payments.base import (
    Capability,
    ChargeId,
    ChargeRequest,
    ChargeResult,
    Credential,
    GatewayEvent,
    ListedCharge,
    PaymentGateway,
    PayoutRequest,
    RefundRequest,
    TransferId,
    TransferResult,
    Trust,
)
from services.payments.registry import get_gateway
from services.sms.base import MessageStatus, SmsGateway, SmsNews, SmsReport, SmsRequest, SmsResult
from services.sms.registry import get_sms_gateway


class ScriptedGateway(PaymentGateway):
    """Takes its answers from lists; an exception in a list is raised. Records every call."""

    code: ClassVar[str] = "scripted"
    name: ClassVar[str] = "Scripted"
    capabilities: frozenset[Capability] = frozenset({Capability.PUSH, Capability.QUERY})
    currencies: ClassVar[frozenset[str]] = frozenset({"TZS", "USD"})
    credentials: ClassVar[tuple[Credential, ...]] = ()

    def __init__(self, *, is_signed: bool = True) -> None:
        self.is_signed = is_signed
        self.charges: list[Any] = []
        self.queries: list[Any] = []
        self.cancels: list[Any] = []
        self.requests: list[ChargeRequest] = []
        self.refunds: list[Any] = []
        self.refund_queries: list[Any] = []
        self.payouts: list[Any] = []
        self.payout_queries: list[Any] = []
        self.account: list[Any] = []
        self.calls: list[tuple[str, str]] = []
        self.events: list[GatewayEvent] = []

    @property
    def trust(self) -> Trust:
        return Trust.SIGNED if self.is_signed else Trust.HINT

    def check(self, request: ChargeRequest) -> None:
        pass

    def charge(self, request: ChargeRequest) -> ChargeResult:
        self.requests.append(request)
        answer: ChargeResult = self._answer("charge", request.reference, self.charges)
        return answer

    def query(self, charge: ChargeId) -> ChargeResult:
        answer: ChargeResult = self._answer("query", charge.reference, self.queries)
        return answer

    def cancel(self, charge: ChargeId) -> ChargeResult:
        answer: ChargeResult = self._answer("cancel", charge.reference, self.cancels)
        return answer

    def refund(self, request: RefundRequest) -> TransferResult:
        answer: TransferResult = self._answer("refund", request.reference, self.refunds)
        return answer

    def query_refund(self, refund: TransferId) -> TransferResult:
        answer: TransferResult = self._answer("query_refund", refund.reference, self.refund_queries)
        return answer

    def payout(self, request: PayoutRequest) -> TransferResult:
        answer: TransferResult = self._answer("payout", request.reference, self.payouts)
        return answer

    def query_payout(self, payout: TransferId) -> TransferResult:
        answer: TransferResult = self._answer("query_payout", payout.reference, self.payout_queries)
        return answer

    def balances(self) -> list[Money]:
        answer: list[Money] = self._answer("balances", "", self.account)
        return answer

    def probe(self) -> None:
        pass

    def _answer(self, call: str, reference: str, script: list[Any]) -> Any:
        self.calls.append((call, reference))
        answer = script.pop(0)
        if callable(answer):
            answer = answer()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def verify(self, delivery: Delivery) -> None:
        pass

    def parse(self, delivery: Delivery) -> list[GatewayEvent]:
        return self.events


class IdempotentScriptedGateway(ScriptedGateway):
    """The same, at a provider that refuses a second charge under one reference."""

    capabilities: frozenset[Capability] = ScriptedGateway.capabilities | {Capability.IDEMPOTENT_CHARGE}


class PageScriptedGateway(ScriptedGateway):
    """The same, with pages beside pushes."""

    capabilities: frozenset[Capability] = ScriptedGateway.capabilities | {
        Capability.CHECKOUT,
        Capability.CARD,
    }


class CancellableScriptedGateway(PageScriptedGateway):
    """The same, at a provider that can call a charge back."""

    capabilities: frozenset[Capability] = PageScriptedGateway.capabilities | {Capability.CANCEL}


class SilentScriptedGateway(ScriptedGateway):
    """Pages only, and no questions: its callbacks are all that is ever heard."""

    capabilities: frozenset[Capability] = frozenset({Capability.CHECKOUT})


class GenerousScriptedGateway(ScriptedGateway):
    """The same, at a provider that also refunds, pays out and tells its balance."""

    capabilities: frozenset[Capability] = ScriptedGateway.capabilities | {
        Capability.REFUND,
        Capability.PAYOUT_PHONE,
        Capability.PAYOUT_BANK,
        Capability.PAYOUT_QUERY,
        Capability.BALANCE,
    }


class IdempotentPayoutGateway(GenerousScriptedGateway):
    """The same, at a provider that pays once per reference, however often it is asked."""

    capabilities: frozenset[Capability] = GenerousScriptedGateway.capabilities | {Capability.IDEMPOTENT_PAYOUT}


class ListingGateway(ScriptedGateway):
    """The same, at a provider that lists its charges: `listed`, as far as they are of the time that is asked for."""

    capabilities: frozenset[Capability] = ScriptedGateway.capabilities | {Capability.LIST}

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.listed: list[ListedCharge] = []
        self.list_error: Exception | None = None

    def list_charges(self, *, since: datetime, until: datetime) -> Iterator[ListedCharge]:
        self.calls.append(("list", f"{since:%Y-%m-%dT%H:%M} {until:%Y-%m-%dT%H:%M}"))
        if self.list_error is not None:
            raise self.list_error
        for line in self.listed:
            if line.created_at is None or since <= line.created_at < until:
                yield line


@contextmanager
def scripted_gateway(kind: type[ScriptedGateway] = ScriptedGateway, **options: Any) -> Iterator[ScriptedGateway]:
    """Install a scripted gateway as `scripted` for the block."""
    config = {
        "BACKEND": f"{kind.__module__}.{kind.__qualname__}",
        "OPTIONS": options,
        "CREDENTIALS": {},
        "CALLBACK_TOKEN": "t" * 22,
    }
    with override_settings(PAYMENT_GATEWAYS={"scripted": config}):
        gateway = get_gateway("scripted")
        assert isinstance(gateway, ScriptedGateway)
        yield gateway


@dataclass
class ScriptedSms(SmsGateway):
    """Answers from a list; keeps what it was asked to send. Reports are JSON objects in our own words."""

    code: ClassVar[str] = "scripted"
    name: ClassVar[str] = "Scripted"
    answers: list[Any] = field(default_factory=list)
    sent: list[SmsRequest] = field(default_factory=list)

    def send(self, request: SmsRequest) -> SmsResult:
        self.sent.append(request)
        answer = self.answers.pop(0) if self.answers else SmsResult(provider_reference=f"R{len(self.sent)}")
        if isinstance(answer, Exception):
            raise answer
        result: SmsResult = answer
        return result

    def probe(self) -> None:
        return

    def parse(self, delivery: Delivery) -> SmsNews:
        told = json.loads(delivery.body)
        status = MessageStatus(told["status"]) if told["status"] in set(MessageStatus) else None
        report = SmsReport(
            key=told["key"],
            provider_reference=told["ref"],
            phone="+255712345678",
            status=status,
            raw_status=told["status"],
        )
        return SmsNews(reports=(report,), answer={"ok": True})


@contextmanager
def scripted_sms(*, callback_token: str = "t" * 22) -> Iterator[ScriptedSms]:
    """Install a scripted SMS gateway as `scripted`, and as the only one, for the block."""
    config = {"BACKEND": f"{__name__}.ScriptedSms", "OPTIONS": {}, "CALLBACK_TOKEN": callback_token}
    with override_settings(SMS_GATEWAYS={"scripted": config}):
        gateway = get_sms_gateway("scripted")
        assert isinstance(gateway, ScriptedSms)
        yield gateway
