"""What a payment provider's module hands to the core: one `PaymentProvider`, listed in `app.PROVIDERS`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.routing import BaseRoute

from services.simulators.config import Config
from services.simulators.ledger.callbacks import DueCallback
from services.simulators.ledger.charges import Charge
from services.simulators.ledger.transfers import Transfer
from services.simulators.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One callback in a provider's words, not signed yet. The fields are those of `NewCallback`.

    `at_start`: told when the charge or transfer was accepted, not when it ends.
    """

    kind: str
    body: Mapping[str, Any]
    url: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    queue: str = ""
    at_start: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A callback as it goes out. `Content-Type: application/json` is added unless `headers` names another."""

    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def unsigned(config: Config, callback: DueCallback, now: float) -> Signed:
    """For a provider that signs nothing."""
    return Signed(body=callback.body)


def announce_nothing(world: World, subject: Any) -> list[Notice]:
    """For a provider without such callbacks."""
    return []


def any_2xx(status: int) -> bool:
    return 200 <= status < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class PaymentProvider:
    """One provider.

    `operations` are the names under which its calls begin a `Play`, for scripts of faults. `decimals` says, for each
    currency, how many digits of an amount stand behind the point. `callback_url` is where callbacks go that name no
    address of their own; empty sends none.

    `announce` words what is told when a charge comes to its `outcome` (at `ends_at`; an empty list tells nothing), in
    the order of sending; `announce_transfer` the same for refunds and payouts. Neither looks at the clock. `sign` runs
    at the moment of sending, for every try, and plays the forger when `callback.trust` says so. `status` and
    `transfer_status` are the provider's words for the state at a moment.

    `decline`, when given, is what a customer's no does instead of ending the charge (a page that stays open for another
    card). `back_to` is the address to which a hosted page sends the customer after `pay`, `decline` or `abandon`; none
    when empty.

    `new_charge_id` makes up an id of this provider's shape, for charges that no call has started. `repays`: whether a
    customer can pay the same thing twice, which `pay-again` then does. `has_query`: whether anybody can ask what became
    of a charge; where nobody can, no callback is lost by chance. `callback_tries`: how often one is sent at most.
    """

    code: str
    name: str
    operations: tuple[str, ...]
    decimals: Mapping[str, int]
    routes: Callable[[], Iterable[BaseRoute]]
    callback_url: Callable[[Config], str]
    announce: Callable[[World, Charge], list[Notice]]
    status: Callable[[Charge, float], str]
    new_charge_id: Callable[[], str]
    announce_transfer: Callable[[World, Transfer], list[Notice]] = announce_nothing
    transfer_status: Callable[[Transfer, float], str] = lambda transfer, now: str(transfer.state(now))
    sign: Callable[[Config, DueCallback, float], Signed] = unsigned
    is_received: Callable[[int], bool] = any_2xx
    decline: Callable[[World, Charge], Awaitable[Charge]] | None = None
    back_to: Callable[[Charge, str], str] = lambda charge, action: ""
    repays: bool = True
    has_query: bool = True
    callback_tries: Callable[[Config], int] = lambda config: config.callback_tries
