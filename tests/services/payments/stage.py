"""The simulators as one running process, with every gateway of the settings pointed at it and its callbacks caught.

What is asked for comes from each gateway's `tests/providers/<code>/case.json`, under references of its own, so that
many charges can be played at once.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

import httpx
from django.utils.module_loading import import_string

from apps.payments.references import new_reference
from config.settings.payment_gateways import payment_gateways
from core.money import Money
from services.http import Delivery
from services.payments.base import (
    Capability,
    ChargeId,
    ChargeRequest,
    ChargeResult,
    ChargeStatus,
    GatewayEvent,
    Method,
    PaymentGateway,
    PayoutRequest,
    WebhookRejected,
)
from tests.services import wire
from tests.services.payments.provider_case import ProviderCase
from tests.services.simulators.conftest import Simulator, running, wait_for

T = TypeVar("T")
CONFIG = Path(__file__).parents[3] / "services" / "simulators" / "config.py"
# Shorter than elsewhere: here nobody looks at the order of what happens, only at its end.
TIMINGS = {"SIMULATOR_APPROVE_AFTER": "0.05", "SIMULATOR_PUSH_TIMEOUT": "0.3", "SIMULATOR_HANG": "0.2"}


@dataclass(frozen=True, kw_only=True)
class Caught:
    """One callback: whose, and what."""

    code: str
    delivery: Delivery


@dataclass(kw_only=True)
class Stage:
    """The running simulators."""

    simulator: Simulator
    receiver_url: str
    caught: list[Caught] = field(default_factory=list)
    _faults: threading.Lock = field(default_factory=threading.Lock)

    # --- Our side ---

    def gateway(self, code: str, **changed: str) -> PaymentGateway:
        """The gateway with its demo account, or with some of its credentials changed."""
        config = payment_gateways(self.simulator.url)[code]
        assert config["CREDENTIALS"] is not None
        gateway: PaymentGateway = import_string(config["BACKEND"])(
            **config["OPTIONS"], **{**config["CREDENTIALS"], **changed}
        )
        return gateway

    def request(self, code: str, method: Method, *, ending: str = "") -> ChargeRequest:
        """What the case asks for, under a new reference; `ending` gives the payer's phone another end."""
        wish = _case(code).charge_request(method)
        phone = wish.phone[: -len(ending)] + ending if ending else wish.phone
        return replace(
            wish, reference=new_reference(), phone=phone, callback_url=f"{self.receiver_url}/{code}", lifetime=None
        )

    def payout_request(self, code: str, kind: Capability, *, ending: str = "") -> PayoutRequest:
        """The same for a payout; `ending` is that of the phone or of the account that gets the money."""
        wish = replace(_case(code).payout_request(kind), reference=new_reference())
        if ending and wish.bank:
            return replace(wish, bank=replace(wish.bank, number=wish.bank.number[: -len(ending)] + ending))
        return replace(wish, phone=wish.phone[: -len(ending)] + ending) if ending else wish

    # --- Their side ---

    def fault(self, code: str, fault: str, operation: str = "", reference: str = "") -> None:
        """Script what happens to the next call that matches."""
        self.simulator.control("faults", provider=code, fault=fault, operation=operation, reference=reference)

    def operation(self, code: str, *names: str) -> str:
        """The first of `names` under which the simulator knows an operation."""
        [found] = [each["operations"] for each in self._look("faults")["providers"] if each["provider"] == code]
        return next(name for name in names if name in found)

    def captures(self, code: str, reference: str) -> int:
        """How often money was really taken."""
        return sum(row["captured"] for row in self.rows(code, reference))

    def captured(self, code: str, reference: str) -> Money:
        """How much was taken, by the only capture there is."""
        [row] = [row for row in self.rows(code, reference) if row["captured"]]
        return Money.from_units(Decimal(row["collected"]).scaleb(-row["decimals"]), row["collected_currency"].upper())

    def rows(self, code: str, reference: str) -> list[dict[str, Any]]:
        """The ledger's rows about a reference."""
        return list(self._look("charges", provider=code, reference=reference)["charges"])

    def sent(self, code: str, reference: str) -> int:
        """How many refunds or payouts really went, or are going, out under a reference."""
        rows = self._look("transfers", provider=code)["transfers"]
        return sum(row["reference"] == reference and row["state"] in ("open", "sent") for row in rows)

    def act(self, page: str, action: str) -> None:
        """Open a page as a browser would, and press one of its buttons."""
        with httpx.Client(trust_env=False, follow_redirects=True) as browser:
            shown = browser.get(page)
            assert shown.is_success, shown.text
            assert f'value="{action}"' in shown.text
            # Where it sends the customer afterwards is a shop that does not exist.
            answer = browser.post(page, data={"action": action}, follow_redirects=False)
        assert answer.status_code < 400, answer.text

    # --- Callbacks ---

    def deliveries(self, code: str, reference: str) -> list[Delivery]:
        """The callbacks that have come about a reference, genuine or forged."""
        return [
            each.delivery for each in list(self.caught) if each.code == code and reference in str(each.delivery.body)
        ]

    def news(self, gateway: PaymentGateway, reference: str) -> list[GatewayEvent]:
        """What the callbacks about a reference tell, as far as they are accepted."""
        events: list[GatewayEvent] = []
        for delivery in self.deliveries(gateway.code, reference):
            with suppress(WebhookRejected):
                events += gateway.read_webhook(delivery)
        return [event for event in events if event.reference == reference]

    # --- Waiting ---

    def outcome(self, gateway: PaymentGateway, result: ChargeResult, reference: str) -> ChargeResult:
        """What became of a charge: by asking, or by its callback where nobody can be asked."""
        charge = ChargeId(reference=reference, provider_reference=result.provider_reference)

        def ended() -> ChargeResult | None:
            if Capability.QUERY in gateway.capabilities:
                told = [gateway.query(charge)]
            else:
                told = [each.result for each in self.news(gateway, reference) if isinstance(each.result, ChargeResult)]
            return next((each for each in told if each.status not in OPEN), None)

        found: ChargeResult = wait_for(ended)
        return found

    def _look(self, path: str, **params: str) -> dict[str, Any]:
        return dict(self.simulator.http.get(f"/simulator/{path}", params=params).raise_for_status().json())


OPEN = {ChargeStatus.PENDING, ChargeStatus.REQUIRES_ACTION, ChargeStatus.UNKNOWN}


def at_once(work: Callable[..., T], *arguments: Iterable[Any]) -> list[T]:
    """`work` with each of the arguments, all at the same time."""
    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(work, *arguments))


@contextmanager
def staged() -> Iterator[Stage]:
    """Start the simulators and the receiver."""
    caught: list[Caught] = []

    def receive(connection: socket.socket) -> None:
        while (heard := wire.hear(connection)) is not None:
            caught.append(
                Caught(code=heard.target.strip("/"), delivery=Delivery(body=heard.body, headers=heard.headers))
            )
            connection.sendall(wire.answer())

    with wire.listening(receive) as url, running({**TIMINGS, **callback_urls(url)}) as simulator:
        yield Stage(simulator=simulator, receiver_url=url, caught=caught)


def callback_urls(receiver: str) -> Mapping[str, str]:
    """Every address of callbacks that the simulators can be told, by the name of its variable."""
    names = re.findall(r'"(SIMULATOR_([A-Z0-9_]+)_CALLBACK_URL)"', CONFIG.read_text(encoding="utf-8"))
    return {variable: f"{receiver}/{code.lower()}" for variable, code in names}


def _case(code: str) -> ProviderCase:
    return ProviderCase(code, ExitStack(), is_now=True)
