"""A payment gateway that answers as a test says: for what no simulator can be told exactly (which call fails, how)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

from django.test import override_settings

from services.http import Delivery
from services.payments.base import (
    Capability,
    ChargeRequest,
    ChargeResult,
    PaymentEvent,
    PaymentGateway,
    Trust,
)
from services.payments.registry import get_gateway


class ScriptedGateway(PaymentGateway):
    """Takes its answers from lists; an exception in a list is raised. Records every call."""

    code: ClassVar[str] = "scripted"
    name: ClassVar[str] = "Scripted"
    capabilities: ClassVar[frozenset[Capability]] = frozenset({Capability.PUSH, Capability.QUERY})
    currencies: ClassVar[frozenset[str]] = frozenset({"TZS", "USD"})

    def __init__(self, *, is_signed: bool = True) -> None:
        self.is_signed = is_signed
        self.charges: list[Any] = []
        self.queries: list[Any] = []
        self.calls: list[tuple[str, str]] = []
        self.events: list[PaymentEvent] = []

    @property
    def trust(self) -> Trust:
        return Trust.SIGNED if self.is_signed else Trust.HINT

    def check(self, request: ChargeRequest) -> None:
        pass

    def charge(self, request: ChargeRequest) -> ChargeResult:
        return self._answer("charge", request.reference, self.charges)

    def query(self, reference: str) -> ChargeResult:
        return self._answer("query", reference, self.queries)

    def _answer(self, call: str, reference: str, script: list[Any]) -> ChargeResult:
        self.calls.append((call, reference))
        answer = script.pop(0)
        if isinstance(answer, Exception):
            raise answer
        result: ChargeResult = answer
        return result

    def verify(self, delivery: Delivery) -> None:
        pass

    def parse(self, delivery: Delivery) -> list[PaymentEvent]:
        return self.events


class IdempotentScriptedGateway(ScriptedGateway):
    """The same, at a provider that refuses a second charge under one reference."""

    capabilities: ClassVar[frozenset[Capability]] = ScriptedGateway.capabilities | {Capability.IDEMPOTENT_CHARGE}


@contextmanager
def scripted_gateway(kind: type[ScriptedGateway] = ScriptedGateway, **options: Any) -> Iterator[ScriptedGateway]:
    """Install a scripted gateway as `scripted` for the block."""
    config = {"BACKEND": f"{kind.__module__}.{kind.__qualname__}", "OPTIONS": options, "CALLBACK_TOKEN": "t" * 22}
    with override_settings(PAYMENT_GATEWAYS={"scripted": config}):
        gateway = get_gateway("scripted")
        assert isinstance(gateway, ScriptedGateway)
        yield gateway
