"""One call at a provider, played with whatever the phone number, a script or chance has in store for it.

A provider's endpoint begins a `Play` once it knows what the call is about, and lets `answer` decide how it is answered:

    play = Play.begin(world, PROVIDER, "push", reference=order_id, phone=msisdn)

    async def accept() -> Response:
        charge = play.push(id=new_id("X", 8), amount=5000, currency="TZS")
        if not await play.accept(charge):
            raise the_reference_was_used
        return JSON({...})

    return await play.answer(accept, trouble)

`trouble(fault)` words a refusal (`REFUSE`) and a failure (`ERROR_BEFORE`, `ERROR_AFTER`) as this provider would.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from services.simulators import till
from services.simulators.customer import Mode
from services.simulators.faults import CallbackFault, Fault
from services.simulators.ledger.charges import NEVER, Charge, Kind, State
from services.simulators.ledger.transfers import Transfer, TransferKind, TransferState
from services.simulators.scenarios import ChargeScenario, Ending, charge_scenario
from services.simulators.world import NoAnswer, World

WRONG_CURRENCY = {"TZS": "KES"}  # any other currency is collected in TZS


@dataclass(slots=True, kw_only=True)
class Play:
    """What is in store for one call: `fault` for its answer, `callback_fault` for the callbacks of what it starts.

    The latter is drawn when something is started. Where a person decides, only forgeries can come before that; the rest
    is drawn then.
    """

    world: World
    provider: str
    reference: str
    phone: str
    scenario: ChargeScenario
    fault: Fault | None
    callback_fault: CallbackFault | None = None

    @classmethod
    def begin(
        cls,
        world: World,
        provider: str,
        operation: str,
        *,
        reference: str = "",
        phone: str = "",
        only_asks: bool = False,
    ) -> Play:
        """Draw what happens to this call; once for each, after it was authenticated and found valid.

        With `phone` the number's scenario applies, so give it only where a phone is asked for money or gets some.
        `only_asks`: the call changes nothing, so chance only picks from what can befall a question.
        """
        scenario = charge_scenario(phone)
        fault = world.faults.draw(provider, operation, reference, phone, only_asks=only_asks)
        return cls(
            world=world,
            provider=provider,
            reference=reference,
            phone=phone,
            scenario=scenario,
            fault=fault or scenario.reply,
        )

    # What a call starts

    def push(
        self,
        *,
        id: str,
        amount: int,
        currency: str,
        channel: str = "",
        extra: dict[str, Any] | None = None,
        over: Charge | None = None,
    ) -> Charge:
        """A question on the phone, as the number's scenario and the customer mode will have it answered.

        `over` is a charge that exists already (an order): the same one, now asked for by push. Store it with `change`.
        """
        config, scenario, now = self.world.config, self.scenario, time.time()
        asks_a_person = scenario.ends is Ending.PERSON or (
            self.world.customer.mode is Mode.ASK and scenario is charge_scenario("")
        )
        self._draw_callbacks(is_waiting=asks_a_person)
        if asks_a_person:
            lasts, outcome = config.ask_timeout, State.EXPIRED
        elif scenario.ends is Ending.PUSH_TIMEOUT:
            lasts, outcome = config.push_timeout, scenario.outcome
        else:
            lasts, outcome = config.approve_after, scenario.outcome
        if self.callback_fault is CallbackFault.BEFORE_REPLY and not asks_a_person:
            lasts = 0.0
        ends_at = now + lasts
        collected, collected_currency = self._collected(amount, currency)
        return Charge(
            provider=self.provider,
            id=over.id if over else id,
            reference=self.reference,
            kind=Kind.PUSH,
            scenario=scenario.name,
            phone=self.phone,
            channel=channel,
            amount=amount,
            currency=currency,
            collected=collected,
            collected_currency=collected_currency,
            outcome=outcome,
            is_waiting=asks_a_person,
            created_at=over.created_at if over else now,
            ends_at=ends_at,
            settles_at=ends_at + config.settle_after if scenario.settles else None,
            extra={**(over.extra if over else {}), **(extra or {})},
        )

    def checkout(
        self,
        *,
        id: str,
        amount: int,
        currency: str,
        lasts: float = NEVER,
        kind: Kind = Kind.CHECKOUT,
        phone: str = "",
        channel: str = "",
        extra: dict[str, Any] | None = None,
    ) -> Charge:
        """A page that waits for whoever opens it, for `lasts` seconds. Nothing ever pays it by itself."""
        now = time.time()
        self._draw_callbacks(is_waiting=True)
        collected, collected_currency = self._collected(amount, currency)
        return Charge(
            provider=self.provider,
            id=id,
            reference=self.reference,
            kind=kind,
            scenario="",
            phone=phone,
            channel=channel,
            amount=amount,
            currency=currency,
            collected=collected,
            collected_currency=collected_currency,
            outcome=State.EXPIRED,
            is_waiting=True,
            created_at=now,
            ends_at=min(now + lasts, NEVER),
            extra=extra or {},
        )

    def transfer(
        self,
        *,
        id: str,
        kind: TransferKind,
        amount: int,
        currency: str,
        fee: int = 0,
        charge_id: str = "",
        recipient: str = "",
        channel: str = "",
        extra: dict[str, Any] | None = None,
    ) -> Transfer:
        """A refund or payout: sent after SIMULATOR_APPROVE_AFTER seconds, failed where the number's scenario is."""
        config, now = self.world.config, time.time()
        self._draw_callbacks(is_waiting=False)
        lasts = config.push_timeout if self.scenario.ends is Ending.PUSH_TIMEOUT else config.approve_after
        is_sent = self.scenario.outcome is State.PAID or self.scenario.ends is Ending.PERSON
        return Transfer(
            provider=self.provider,
            id=id,
            reference=self.reference,
            kind=kind,
            charge_id=charge_id,
            scenario=self.scenario.name if self.phone else "",
            recipient=recipient or self.phone,
            channel=channel,
            amount=amount,
            fee=fee,
            currency=currency,
            outcome=TransferState.SENT if is_sent else TransferState.FAILED,
            created_at=now,
            ends_at=now + (0.0 if self.callback_fault is CallbackFault.BEFORE_REPLY else lasts),
            extra=extra or {},
        )

    def _draw_callbacks(self, *, is_waiting: bool) -> None:
        only = (CallbackFault.FORGED,) if is_waiting else tuple(CallbackFault)
        drawn = self.world.faults.draw_callback(self.provider, self.reference, self.phone, only=only)
        self.callback_fault = drawn or (None if is_waiting else self.scenario.callback_fault)

    def _collected(self, amount: int, currency: str) -> tuple[int, str]:
        percent = 90 if self.fault is Fault.WRONG_AMOUNT else self.scenario.collected_percent
        is_other = self.fault is Fault.WRONG_CURRENCY
        return amount * percent // 100, WRONG_CURRENCY.get(currency, "TZS") if is_other else currency

    # Into the ledger

    async def accept(self, charge: Charge, *, is_unique: bool = True) -> bool:
        """Store a new charge with its callbacks; False when `is_unique` and its reference was used before."""
        planned = till.plan_callbacks(self.world, charge, self.scenario, self.callback_fault)
        stored = self.world.ledger.charges.accept(charge, planned, is_unique=is_unique)
        if stored is None:
            return False
        await till.deliver(self.world, stored, first=self._tells_first(charge.ends_at, charge.created_at))
        return True

    async def change(self, charge: Charge) -> None:
        """Store the new course of a charge that exists (a push for an order); callbacks not sent yet give way."""
        now = time.time()
        planned = till.plan_callbacks(self.world, charge, self.scenario, self.callback_fault, is_new=False)
        stored = self.world.ledger.charges.change(charge, planned, now=now)
        await till.deliver(self.world, stored, first=self._tells_first(charge.ends_at, now))

    async def accept_transfer(self, transfer: Transfer, *, is_unique: bool = True) -> bool:
        """The same as `accept` for a refund or payout."""
        planned = till.plan_transfer_callbacks(self.world, transfer, self.scenario, self.callback_fault)
        stored = self.world.ledger.transfers.accept(transfer, planned, is_unique=is_unique)
        if stored is None:
            return False
        await till.deliver(self.world, stored, first=self._tells_first(transfer.ends_at, transfer.created_at))
        return True

    def _tells_first(self, ends_at: float, now: float) -> bool:
        return self.callback_fault is CallbackFault.BEFORE_REPLY and ends_at <= now

    # The answer

    async def answer(self, accept: Callable[[], Awaitable[Response]], trouble: Callable[[Fault], Response]) -> Response:
        """What the caller gets. `accept` does the work and gives a good day's answer; its refusals pass as they are."""
        return await answer_with(self.world, self.fault, accept, trouble)


async def answer_with(
    world: World,
    fault: Fault | None,
    accept: Callable[[], Awaitable[Response]],
    trouble: Callable[[Fault], Response],
) -> Response:
    """The answer to a call with this fault, from what a good day's work and trouble would answer."""
    match fault:
        case Fault.REFUSE | Fault.ERROR_BEFORE:
            return trouble(fault)
        case Fault.SILENCE_BEFORE:
            return NoAnswer(world, world.config.hang)
        case Fault.SLOW:
            await world.wait(world.config.slow)
    answer = await accept()
    match fault:
        case Fault.SILENCE_AFTER:
            return NoAnswer(world, world.config.hang)
        case Fault.ERROR_AFTER:
            return trouble(fault)
        case Fault.RESET:
            return NoAnswer(world, 0.0)
        case Fault.MALFORMED:
            return Response(bytes(answer.body)[: len(answer.body) // 2] + b"\x00<", media_type="application/json")
    return answer
