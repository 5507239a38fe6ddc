"""One gateway's recorded traffic in `tests/providers/<code>/`, as the conformance suite reads it.

`case.json` holds the account (`options`), the options that are addresses with the path each adds to the server's
(`urls`), what is asked for (`requests`: `push`, `checkout`, `card`, `refund`, `payout_phone`, `payout_bank`, as far as
the gateway offers them) and, where a signature or a window of time depends on the clock, the moment at which everything
is played (`at`, ISO 8601). Amounts are in minor units.

Every other file is one recording and says its `source`. Those of calls hold `exchanges` (see `wire.py`) and may say

- `request`: which of the `requests` it answers, where that is not the first of push, checkout, card;
- `id`: `{"reference", "provider_reference"}` of the charge or transfer that is asked about or cancelled, where that is
  not the reference of the request alone;
- `status` and `provider_reference`: what it is read as.

`list` also says `since`, `until` (ISO 8601) and `listed`: `[reference, status, amount, currency]` of each line;
`balance` says `balances`: `[amount, currency]` of each. Callbacks hold `headers`, `json` or `text`, and the `reference`
and `status` they tell (no `reference`: they tell nothing that we act upon).

`amounts` says how money is written: `request`, `field` (the way to it in the JSON or the query of whichever call has
it), `unit` (minor units in one on the wire, by currency) and `vectors`: `amount`, `currency` and `sent`, null where it
is refused.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime, timedelta
from typing import Any

import time_machine
from django.conf import settings

from core.money import Money
from services.http import Delivery
from services.payments.base import (
    Address,
    BankAccount,
    Capability,
    ChargeId,
    ChargeRequest,
    Customer,
    Method,
    PaymentGateway,
    PayoutRequest,
    RefundRequest,
    TransferId,
)
from services.payments.registry import gateway_class
from tests.services import wire

CHARGED_BY = {
    Method.PUSH: Capability.PUSH,
    Method.CHECKOUT: Capability.CHECKOUT,
    Method.CARD: Capability.CARD,
}
PAYOUTS = (Capability.PAYOUT_PHONE, Capability.PAYOUT_BANK)

_CHARGE = ("charge_refused", "charge_server_error", "charge_unreadable", "charge_hang_up", "amounts")
_PAYOUT = ("payout_refused", "payout_hang_up")
DEMANDED: dict[Capability, tuple[str, ...]] = {
    Capability.PUSH: ("charge_push_accepted", *_CHARGE),
    Capability.CHECKOUT: ("charge_checkout_accepted", *_CHARGE),
    Capability.CARD: ("charge_card_accepted", *_CHARGE),
    Capability.IDEMPOTENT_CHARGE: ("charge_repeated",),
    Capability.QUERY: ("query_paid", "query_pending", "query_unknown", "query_server_error", "query_hang_up"),
    Capability.CANCEL: ("cancel_done", "cancel_too_late"),
    Capability.REFUND: (
        "refund_accepted",
        "refund_refused",
        "refund_hang_up",
        "refund_query_succeeded",
        "refund_query_unknown",
    ),
    Capability.PAYOUT_PHONE: ("payout_phone_accepted", *_PAYOUT),
    Capability.PAYOUT_BANK: ("payout_bank_accepted", *_PAYOUT),
    Capability.PAYOUT_QUERY: (
        "payout_query_succeeded",
        "payout_query_pending",
        "payout_query_failed",
        "payout_query_unknown",
    ),
    Capability.BALANCE: ("balance",),
    Capability.LIST: ("list",),
}


def demanded_recordings(capabilities: Iterable[Capability]) -> set[str]:
    """The recordings without which a gateway that declares `capabilities` has proven nothing."""
    declared = set(capabilities)
    names = {"probe", "probe_refused", "webhook_paid"}
    for capability in declared:
        names |= set(DEMANDED.get(capability, ()))
    if declared & set(CHARGED_BY.values()) and Capability.IDEMPOTENT_CHARGE not in declared:
        names.add("charge_duplicate")
    return names


def gateways_with(*wanted: Capability) -> list[str]:
    """The gateways in the settings that declare all of `wanted`."""
    return [code for code in sorted(settings.PAYMENT_GATEWAYS) if set(wanted) <= gateway_class(code).capabilities]


def recorded(*names: str) -> list[tuple[str, str]]:
    """The gateways in the settings with each of these recordings that they have, as `(gateway, recording)`."""
    return [(code, name) for code in gateways_with() for name in names if has_recording(code, name)]


def has_recording(code: str, name: str) -> bool:
    """Whether the gateway has this recording, for those that no capability demands."""
    return (wire.PROVIDERS / code / f"{name}.json").exists()


class ProviderCase:
    """One provider's recorded traffic, and its gateway pointed at a server that plays it.

    With `is_now` only what is asked for is used, and the clock is left alone.
    """

    def __init__(self, code: str, stack: ExitStack, *, is_now: bool = False) -> None:
        self.code, self._stack = code, stack
        self.kind = gateway_class(code)
        self._facts = wire.load(code, "case")
        if "at" in self._facts and not is_now:
            stack.enter_context(time_machine.travel(datetime.fromisoformat(self._facts["at"]), tick=False))

    @property
    def options(self) -> dict[str, Any]:
        """The account's credentials and other options."""
        options: dict[str, Any] = self._facts["options"]
        return options

    @property
    def methods(self) -> list[Method]:
        """The ways to pay that the gateway offers."""
        return [method for method, capability in CHARGED_BY.items() if capability in self.kind.capabilities]

    @property
    def request(self) -> ChargeRequest:
        """What the recordings of charges ask for, unless they say otherwise."""
        return self.charge_request(self.methods[0])

    def request_of(self, recording: str) -> ChargeRequest:
        """What this recording of a charge asks for."""
        return self.charge_request(Method(wire.load(self.code, recording).get("request", self.methods[0])))

    def charge_request(self, method: Method) -> ChargeRequest:
        """`requests.<method>` of the case."""
        facts = self._wish(method)
        customer = facts.pop("customer", {})
        address = customer.pop("address", None)
        lifetime = facts.pop("lifetime", None)
        return ChargeRequest(
            method=method,
            money=_money(facts),
            customer=Customer(**customer, address=Address(**address) if address else None),
            lifetime=timedelta(seconds=lifetime) if lifetime else None,
            **facts,
        )

    @property
    def refund_request(self) -> RefundRequest:
        """`requests.refund` of the case."""
        facts = self._wish("refund")
        return RefundRequest(charge=ChargeId(**facts.pop("charge")), money=_money(facts), **facts)

    def payout_request(self, kind: Capability | None = None) -> PayoutRequest:
        """`requests.payout_phone` or `requests.payout_bank`; by default the first that the gateway offers."""
        kind = kind or next(each for each in PAYOUTS if each in self.kind.capabilities)
        facts = self._wish(kind)
        bank = facts.pop("bank", None)
        return PayoutRequest(bank=BankAccount(**bank) if bank else None, money=_money(facts), **facts)

    def charge_id(self, recording: str) -> ChargeId:
        """The charge that this recording is about."""
        return ChargeId(**wire.load(self.code, recording).get("id", {"reference": self.request.reference}))

    def refund_id(self, recording: str) -> TransferId:
        """The refund that this recording is about."""
        request = self.refund_request
        return TransferId(
            charge=request.charge, **wire.load(self.code, recording).get("id", {"reference": request.reference})
        )

    def payout_id(self, recording: str) -> TransferId:
        """The payout that this recording is about."""
        return TransferId(**wire.load(self.code, recording).get("id", {"reference": self.payout_request().reference}))

    def recording(self, name: str) -> dict[str, Any]:
        """One recording as it stands."""
        found: dict[str, Any] = wire.load(self.code, name)
        return found

    def gateway(self, recording: str = "") -> PaymentGateway:
        """The gateway; with a `recording`, every exchange in it must happen. Without, nobody is listening."""
        if not recording:
            return self.gateway_at(wire.refused_url())
        return self.gateway_playing(*wire.exchanges(self.code, recording))

    def gateway_playing(self, *exchanges: dict[str, Any]) -> PaymentGateway:
        """The gateway at a server that plays these exchanges."""
        server, _player = self._stack.enter_context(wire.playing(*exchanges))
        return self.gateway_at(server)

    def gateway_heard(self, recording: str) -> tuple[PaymentGateway, list[wire.Heard]]:
        """The gateway at a server that gives a recording's answers whatever it is asked, and what that has heard."""
        answers = [wire.recorded_answer(exchange["answer"]) for exchange in wire.exchanges(self.code, recording)]
        handler, heard = wire.answering(*answers)
        return self.gateway_at(self._stack.enter_context(wire.listening(handler))), heard

    def gateway_at(self, server: str) -> PaymentGateway:
        """The gateway with the recorded account, at this server."""
        return self.kind(**self.options, **{option: server + path for option, path in self._facts["urls"].items()})

    def callback(self, name: str) -> Delivery:
        """A recorded callback."""
        recording = self.recording(name)
        return Delivery(body=wire.delivery_body(recording), headers=recording["headers"])

    def personal(self) -> list[str]:
        """What the recorded requests say about people: numbers, names and addresses."""
        words = []
        for facts in self._facts["requests"].values():
            words += [facts.get("phone", "").removeprefix("+"), facts.get("name", "")]
            words += [facts.get("bank", {}).get(part, "") for part in ("number", "name")]
            words += [facts.get("customer", {}).get(part, "") for part in ("name", "email")]
        return [word for word in words if word]

    def _wish(self, name: str) -> dict[str, Any]:
        assert name in self._facts["requests"], f"tests/providers/{self.code}/case.json has no requests.{name}"
        return dict(wire.load(self.code, "case")["requests"][name])


def _money(facts: dict[str, Any]) -> Money:
    return Money(facts.pop("amount"), facts.pop("currency"))
