"""The simulators as one running process, with the SMS gateways pointed at it and their callbacks caught."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from importlib import import_module
from itertools import count
from typing import Any, ClassVar
from uuid import uuid4

from config.settings.sms_gateways import sms_gateways
from core.exceptions import Malformed
from services.http import Delivery
from services.sms.base import InboundText, Refusal, SmsCallbackRejected, SmsGateway, SmsNews, SmsReport, SmsRequest
from tests.services import wire
from tests.services.payments.stage import callback_urls
from tests.services.simulators.conftest import Simulator, running
from tests.services.sms.provider_case import GATEWAYS

# Shorter than elsewhere: here nobody looks at the order of what happens, only at its end.
TIMINGS = {"SIMULATOR_DELIVER_AFTER": "0.05", "SIMULATOR_HANG": "0.2", "SIMULATOR_LATE_CALLBACK": "0.3"}
_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is asked for instead of an ordinary text; `options` are those of the account."""

    phone: str = ""
    text: str = ""
    sender: str = ""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Taken:
    """A text as the provider took it to send."""

    phone: str  # digits
    sender: str
    text: str


@dataclass(kw_only=True)
class Stage:
    """The running simulators, and what they called."""

    simulator: Simulator
    receiver_url: str
    caught: list[tuple[str, Delivery]] = field(default_factory=list)


class Played:
    """One gateway beside its simulator. A subclass says what its case file must say; see `cases/__init__.py`."""

    code: str
    secret: ClassVar[str]
    refusals: ClassVar[Mapping[Refusal, Wish]]
    # The reasons that only the provider itself can have.
    unplayable: ClassVar[frozenset[Refusal]] = frozenset()
    has_faults: ClassVar[bool] = True
    # The faults after which a question can be asked again.
    of_questions: ClassVar[tuple[str, ...]] = ("silence_before", "error_before", "malformed", "reset")
    has_opt_out: ClassVar[bool] = False
    # Whether our key comes back in reports.
    has_key: ClassVar[bool] = True
    sender: ClassVar[str] = "INFO"  # one that the account may use besides its own

    def __init__(self, code: str, stage: Stage) -> None:
        self.code, self._stage = code, stage

    def options(self) -> Mapping[str, Any]:
        """What the adapter's constructor takes to reach the simulator."""
        found: Mapping[str, Any] = sms_gateways(self._stage.simulator.url)[self.code]["OPTIONS"]
        return found

    def gateway(self, **changed: str) -> SmsGateway:
        """The gateway with its demo account, or with some of its options changed."""
        return GATEWAYS[self.code](**{**self.options(), **changed})

    def taken(self, phone: str) -> list[Taken]:
        """What was taken to send to a phone, oldest first."""
        return [
            Taken(phone=each["phone"], sender=each["sender"], text=each["text"])
            for each in reversed(self._texts(phone))
            if not each["is_inbound"]
        ]

    def has_ended(self, phone: str) -> bool:
        """Whether the provider knows what became of every text to a phone."""
        return all(each["state"] != "underway" for each in self._texts(phone))

    def _texts(self, phone: str) -> list[dict[str, Any]]:
        params = {"provider": self.code, "phone": phone.removeprefix("+")}
        answer = self._stage.simulator.http.get("/simulator/texts", params=params).raise_for_status()
        return list(answer.json()["texts"])

    def fault(self, fault: str, operation: str = "", phone: str = "") -> None:
        """Script what happens to the next call that matches."""
        self._stage.simulator.control("faults", provider=self.code, fault=fault, operation=operation, phone=phone)

    def say(self, phone: str, text: str) -> None:
        """Somebody texts to us."""
        self._stage.simulator.control("texts/inbound", provider=self.code, phone=phone, text=text)

    def opt_out(self, phone: str) -> None:
        """Somebody tells the provider to stop."""
        self._stage.simulator.control("texts/opt-out", provider=self.code, phone=phone)

    def deliveries(self) -> list[Delivery]:
        """The callbacks that have come, genuine or forged."""
        return [delivery for code, delivery in list(self._stage.caught) if code == self.code]

    # What follows needs no overriding.

    def request(self, wish: Wish | None = None) -> SmsRequest:
        """A text of its own to a phone of its own."""
        wish, number = wish or Wish(), next(_numbers)
        return SmsRequest(
            key=uuid4().hex,
            phone=wish.phone or f"+25571{number:07d}",
            text=wish.text or f"Habari ya asubuhi {number}",
            sender=wish.sender,
            first_sent=datetime.now(UTC),
            callback_url=f"{self._stage.receiver_url}/{self.code}",
        )

    def news(self, gateway: SmsGateway) -> list[SmsNews]:
        """What the callbacks tell, as far as they are accepted."""
        found = []
        for delivery in self.deliveries():
            with suppress(SmsCallbackRejected, Malformed):
                found.append(gateway.read_callback(delivery))
        return found

    def reports(self, gateway: SmsGateway, phone: str, reference: str = "") -> list[SmsReport]:
        """What was told about the texts to a phone."""
        told = [report for news in self.news(gateway) for report in news.reports if report.phone == phone]
        return [report for report in told if reference in ("", report.provider_reference)]

    def heard(self, gateway: SmsGateway, phone: str) -> list[InboundText]:
        """What was passed on from a phone."""
        return [text for news in self.news(gateway) for text in news.inbound if text.phone == phone]


def played(code: str, stage: Stage) -> Played:
    """The gateway's case. One without a file fails here, by name."""
    try:
        module = import_module(f"tests.services.sms.cases.{code}")
    except ModuleNotFoundError as error:
        raise AssertionError(f"The gateway {code} is not played: add tests/services/sms/cases/{code}.py") from error
    case: Played = module.Case(code, stage)
    return case


@contextmanager
def staged() -> Iterator[Stage]:
    """Start the simulators and the receiver."""
    caught: list[tuple[str, Delivery]] = []

    def receive(connection: socket.socket) -> None:
        while (heard := wire.hear(connection)) is not None:
            delivery = Delivery(body=heard.body, headers=heard.headers)
            caught.append((heard.target.strip("/").split("?")[0], replace(delivery, url=url + heard.target)))
            connection.sendall(wire.answer())

    with wire.listening(receive) as url, running({**TIMINGS, **callback_urls(url)}) as simulator:
        yield Stage(simulator=simulator, receiver_url=url, caught=caught)
