"""What happens to charges after they were accepted, and the callbacks that tell about it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import orjson

from services.simulators.faults import CallbackFault
from services.simulators.ledger.callbacks import DueCallback, NewCallback, Trust
from services.simulators.ledger.charges import Charge, Kind, State
from services.simulators.ledger.transfers import Transfer
from services.simulators.provider import Notice
from services.simulators.scenarios import Callback, ChargeScenario, charge_scenario
from services.simulators.world import World

# How far apart callbacks about the same moment are sent, in seconds.
CALLBACK_GAP = 0.2
FORGED = {Callback.UNSIGNED: Trust.UNSIGNED, Callback.WRONGLY_SIGNED: Trust.WRONGLY_SIGNED}


class NotPossible(Exception):
    """The charge is not in a state for that; the message is one sentence."""


# Callbacks


def plan_callbacks(
    world: World, charge: Charge, scenario: ChargeScenario, fault: CallbackFault | None
) -> list[NewCallback]:
    """What will be told about this charge, and when: the provider's notices in the scenario's pattern and the fault."""
    config, provider = world.config, world.providers[charge.provider]
    pattern = scenario.callbacks
    if fault is CallbackFault.LOST:
        pattern = ()
    elif fault is CallbackFault.DUPLICATE:
        pattern = pattern * 2
    elif fault is CallbackFault.LATE:
        pattern = tuple(Callback.LATE if each is Callback.GENUINE else each for each in pattern)
    planned: list[NewCallback] = []
    genuine = ordered(provider.announce(world, charge), fault)
    late_at = max(charge.created_at + config.late_callback, charge.ends_at)
    held = config.approve_after * 2 if fault is CallbackFault.REORDERED and len(genuine) == 1 else 0.0
    position = 0
    for each in pattern:
        if each in FORGED:
            notices, due_at, tries = forged(world, charge), charge.ends_at, 1  # a forger does not wait for an answer
        else:
            notices, tries = genuine, config.callback_tries
            due_at = late_at if each is Callback.LATE else charge.ends_at + held
        for notice in notices:
            planned.append(
                new_callback(
                    charge.provider,
                    charge.id,
                    notice,
                    due_at=due_at + (0.0 if notice.queue else position * CALLBACK_GAP),
                    tries=tries,
                    trust=FORGED.get(each, Trust.GENUINE),
                )
            )
            position += 1
    if fault is CallbackFault.FORGED:
        start = time.time()
        for number, trust in enumerate(FORGED.values(), 1):
            planned += [
                new_callback(
                    charge.provider, charge.id, notice, due_at=start + number * CALLBACK_GAP / 2, tries=1, trust=trust
                )
                for notice in forged(world, charge)
            ]
    return [callback for callback in planned if callback.url or provider.callback_url(config)]


def forged(world: World, charge: Charge) -> list[Notice]:
    """What the provider would tell if it were paid now. A forger waits in no queue."""
    claimed = replace(charge, outcome=State.PAID, ends_at=min(charge.ends_at, time.time()))
    return [replace(notice, queue="") for notice in world.providers[charge.provider].announce(world, claimed)]


def plan_transfer_callbacks(
    world: World, transfer: Transfer, scenario: ChargeScenario, fault: CallbackFault | None
) -> list[NewCallback]:
    """What will be told about a refund or payout. Only what is genuine: nobody forges these."""
    config, provider = world.config, world.providers[transfer.provider]
    times = sum(each not in FORGED for each in scenario.callbacks)
    times = 0 if fault is CallbackFault.LOST else times * 2 if fault is CallbackFault.DUPLICATE else times
    is_late = fault is CallbackFault.LATE or Callback.LATE in scenario.callbacks
    due_at = max(transfer.created_at + config.late_callback, transfer.ends_at) if is_late else transfer.ends_at
    notices = ordered(provider.announce_transfer(world, transfer), fault) * times
    planned = [
        new_callback(
            transfer.provider, transfer.id, notice, due_at=due_at + number * CALLBACK_GAP, tries=config.callback_tries
        )
        for number, notice in enumerate(notices)
    ]
    return [callback for callback in planned if callback.url or provider.callback_url(config)]


def ordered(notices: list[Notice], fault: CallbackFault | None) -> list[Notice]:
    if fault is CallbackFault.REORDERED and len(notices) > 1:
        return [replace(notice, queue="") for notice in reversed(notices)]
    return notices


def new_callback(
    provider: str, subject: str, notice: Notice, *, due_at: float, tries: int, trust: Trust = Trust.GENUINE
) -> NewCallback:
    return NewCallback(
        provider=provider,
        subject=subject,
        kind=notice.kind,
        url=notice.url,
        body=orjson.dumps(notice.body),
        headers=notice.headers,
        extra=notice.extra,
        queue=notice.queue,
        due_at=due_at,
        tries=tries,
        trust=trust,
    )


async def deliver(world: World, callbacks: Sequence[DueCallback], *, first: bool = False) -> None:
    """Let the sender have them; with `first`, those due already are sent before this returns."""
    now = time.time()
    early = [each for each in callbacks if first and each.due_at <= now + len(callbacks) * CALLBACK_GAP]
    world.callbacks.schedule(each for each in callbacks if each not in early)
    await world.callbacks.send_now(early)


async def tell(world: World, charge: Charge, *, is_drawn: bool = True) -> list[NewCallback]:
    """The callbacks about a charge that somebody has just ended."""
    fault = world.faults.draw_callback(charge.provider, charge.reference, charge.phone) if is_drawn else None
    return plan_callbacks(world, charge, charge_scenario(""), fault)


# What a person does


async def decide(world: World, charge: Charge, outcome: State) -> Charge:
    """End an open charge now: PAID, DECLINED, CANCELLED or EXPIRED. Raises `NotPossible` when it has ended."""
    now = time.time()
    if charge.state(now) is not State.OPEN:
        raise NotPossible(f"This charge is {charge.state(now)} already.")
    refuse_to_end = world.providers[charge.provider].decline
    if outcome is State.DECLINED and refuse_to_end is not None:
        return await refuse_to_end(world, charge)
    decided = replace(charge, outcome=outcome, ends_at=now, is_waiting=False)
    await deliver(world, world.ledger.charges.change(decided, await tell(world, decided), now=now))
    return decided


async def ignore(world: World, charge: Charge) -> Charge:
    """The customer walks away: a push ends by itself when its time is up, a page stays open."""
    now = time.time()
    if charge.state(now) is not State.OPEN:
        raise NotPossible(f"This charge is {charge.state(now)} already.")
    ends_at = charge.ends_at
    if not charge.is_waiting:
        ends_at = max(charge.created_at + world.config.push_timeout, now)
    is_page = charge.kind is not Kind.PUSH
    ignored = replace(charge, outcome=State.EXPIRED, ends_at=ends_at, is_waiting=is_page)
    await deliver(world, world.ledger.charges.change(ignored, await tell(world, ignored), now=now))
    return ignored


async def pay_again(world: World, charge: Charge) -> Charge:
    """The customer pays the same thing once more: another charge under the same reference, with money really taken."""
    provider = world.providers[charge.provider]
    if not provider.repays:
        raise NotPossible("A customer of this provider cannot pay the same thing twice.")
    now = time.time()
    again = replace(
        charge,
        id=provider.new_charge_id(),
        scenario="paid_again",
        outcome=State.PAID,
        is_waiting=False,
        created_at=now,
        ends_at=now,
        settles_at=None,
    )
    stored = world.ledger.charges.accept(again, await tell(world, again), is_unique=False)
    await deliver(world, stored or [])
    return again


# What a provider does behind everybody's back, for reconciliation to find


async def invent(world: World, charge: Charge, *, tells: bool) -> None:
    """A paid charge that nobody asked for. Raises `NotPossible` when its reference exists."""
    stored = world.ledger.charges.accept(charge, await tell(world, charge) if tells else [])
    if stored is None:
        raise NotPossible("There is a charge with this reference already.")
    await deliver(world, stored)


async def flip(world: World, charge: Charge, outcome: State, *, tells: bool) -> Charge:
    """Another end for a charge, from now on. PAID takes the money if it was not taken; any other end but REFUNDED and
    REVERSED means that it never was. Those two leave the capture standing: the money was there and went back.
    """
    now = time.time()
    flipped = replace(charge, outcome=outcome, ends_at=now, is_waiting=False, settles_at=None)
    if outcome in (State.DECLINED, State.EXPIRED, State.CANCELLED):
        world.ledger.charges.void_captures(charge)
    planned = await tell(world, flipped, is_drawn=False) if tells else []
    await deliver(world, world.ledger.charges.change(flipped, planned, now=now))
    return flipped


def drop(world: World, charge: Charge) -> None:
    """The provider forgets the charge; the ledger, and the customer's money, do not."""
    world.ledger.charges.change(replace(charge, is_dropped=True), None, now=time.time())


# Accounts


def balance(world: World, provider: str, currency: str) -> int:
    """What the account at a provider holds, in the smallest unit: captures less what left, on the opening balance."""
    now = time.time()
    decimals = world.providers[provider].decimals.get(currency, 0)
    opening = world.config.opening_balance * 10**decimals if currency == "TZS" else 0
    captured = world.ledger.charges.captured_total(now=now).get((provider, currency), (0, 0))[1]
    returned = world.ledger.charges.returned_total(now=now).get((provider, currency), 0)
    return opening + captured - returned - world.ledger.transfers.left(now=now).get((provider, currency), 0)
