"""What happens to charges after they were accepted, and the callbacks that tell about it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

import orjson

from services.simulators.faults import CallbackFault
from services.simulators.ledger.callbacks import DueCallback, NewCallback, Trust
from services.simulators.ledger.charges import NEVER, Charge, Kind, State
from services.simulators.ledger.transfers import Transfer, TransferState
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
    world: World, charge: Charge, scenario: ChargeScenario, fault: CallbackFault | None, *, is_new: bool = True
) -> list[NewCallback]:
    """What will be told about this charge, and when: the provider's notices in the scenario's pattern and the fault.

    What is told at the start is left out unless `is_new`.
    """
    pattern = scenario.callbacks
    notices = world.providers[charge.provider].announce(world, charge)
    planned = _plan(world, charge, [each for each in notices if each.at_start is False or is_new], pattern, fault)
    wait = 0.0
    for each in pattern:
        if each in FORGED:
            planned += _forge(charge, forged(world, charge), FORGED[each], due_at=charge.ends_at + wait)
        wait += CALLBACK_GAP
    if fault is CallbackFault.FORGED:
        for number, trust in enumerate(FORGED.values(), 1):
            planned += _forge(charge, forged(world, charge), trust, due_at=time.time() + number * CALLBACK_GAP / 2)
    return [each for each in planned if can_be_sent(world, each)]


def plan_transfer_callbacks(
    world: World, transfer: Transfer, scenario: ChargeScenario, fault: CallbackFault | None, *, is_new: bool = True
) -> list[NewCallback]:
    """The same for a refund or payout. Nobody forges these."""
    notices = world.providers[transfer.provider].announce_transfer(world, transfer)
    kept = [each for each in notices if each.at_start is False or is_new]
    return [each for each in _plan(world, transfer, kept, scenario.callbacks, fault) if can_be_sent(world, each)]


def _plan(
    world: World,
    subject: Charge | Transfer,
    notices: list[Notice],
    pattern: tuple[Callback, ...],
    fault: CallbackFault | None,
) -> list[NewCallback]:
    """The genuine callbacks."""
    config, provider = world.config, world.providers[subject.provider]
    rounds = [each for each in pattern if each not in FORGED]
    if fault is CallbackFault.LOST or not rounds:
        return []
    if fault is CallbackFault.DUPLICATE:
        rounds *= 2
    at_start = [each for each in notices if each.at_start]
    at_end = [each for each in notices if not each.at_start]
    end = subject.ends_at
    if fault is CallbackFault.REORDERED and len(at_end) > 1:
        at_end = [replace(notice, queue="") for notice in reversed(at_end)]
    elif fault is CallbackFault.REORDERED:
        end += config.approve_after * 2  # those of charges that end meanwhile come first
    late = max(subject.created_at + config.late_callback, subject.ends_at)
    timed = [(notice, subject.created_at) for notice in at_start]
    for each in rounds:
        is_late = each is Callback.LATE or fault is CallbackFault.LATE
        timed += [(notice, late if is_late else end) for notice in at_end]
    planned, position = [], 0
    for notice, moment in timed:
        # A queue keeps the order by itself.
        wait = 0.0 if notice.queue or notice.at_start else position * CALLBACK_GAP
        tries = provider.callback_tries(config)
        planned.append(new_callback(subject.provider, subject.id, notice, moment + wait, tries=tries))
        position += not notice.at_start
    return planned


def forged(world: World, charge: Charge) -> list[Notice]:
    """What the provider would tell if it were paid now. A forger waits in no queue."""
    claimed = replace(charge, outcome=State.PAID, ends_at=min(charge.ends_at, time.time()))
    notices = world.providers[charge.provider].announce(world, claimed)
    return [replace(notice, queue="") for notice in notices if not notice.at_start]


def _forge(charge: Charge, notices: list[Notice], trust: Trust, *, due_at: float) -> list[NewCallback]:
    """One try each: a forger does not wait for an answer."""
    return [new_callback(charge.provider, charge.id, notice, due_at, tries=1, trust=trust) for notice in notices]


def can_be_sent(world: World, callback: NewCallback) -> bool:
    """Whether it has an address, and a time that ever comes."""
    has_address = callback.url or world.providers[callback.provider].callback_url(world.config)
    return bool(has_address) and callback.due_at < NEVER


def new_callback(
    provider: str, subject: str, notice: Notice, due_at: float, *, tries: int, trust: Trust = Trust.GENUINE
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


def tell(world: World, charge: Charge, *, is_new: bool = False, is_drawn: bool = True) -> list[NewCallback]:
    """The callbacks about a charge that somebody has just ended, or started."""
    fault = world.faults.draw_callback(charge.provider, charge.reference, charge.phone) if is_drawn else None
    return plan_callbacks(world, charge, charge_scenario(""), fault, is_new=is_new)


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
    await deliver(world, world.ledger.charges.change(decided, tell(world, decided), now=now))
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
    await deliver(world, world.ledger.charges.change(ignored, tell(world, ignored), now=now))
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
    stored = world.ledger.charges.accept(again, tell(world, again, is_new=True), is_unique=False)
    await deliver(world, stored or [])
    return again


# What a provider does behind everybody's back, for reconciliation to find


async def invent(world: World, charge: Charge, *, tells: bool) -> None:
    """A paid charge that nobody asked for. Raises `NotPossible` when its reference exists."""
    stored = world.ledger.charges.accept(charge, tell(world, charge, is_new=True) if tells else [])
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
    planned = tell(world, flipped, is_drawn=False) if tells else []
    await deliver(world, world.ledger.charges.change(flipped, planned, now=now))
    return flipped


async def flip_transfer(world: World, transfer: Transfer, outcome: TransferState, *, tells: bool) -> Transfer:
    """Another end for a refund or payout, from now on."""
    flipped = replace(transfer, outcome=outcome, ends_at=time.time())
    planned = plan_transfer_callbacks(world, flipped, charge_scenario(""), None, is_new=False) if tells else []
    await deliver(world, world.ledger.transfers.change(flipped, planned))
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
