"""Faults: what goes wrong with a call or with a callback, because a script says so or by chance.

By script: `POST /simulator/faults` queues one. By chance: a hash of the seed and of what the call is about decides, so
a run can be repeated. Provider modules ask through `Play` and never care where a fault came from.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Fault(StrEnum):
    """What happens to a call. `before` and `after` are about being accepted."""

    REFUSE = "refuse"  # a clean refusal; nothing accepted
    SILENCE_BEFORE = "silence_before"  # nothing accepted, and no answer
    SILENCE_AFTER = "silence_after"  # accepted, and no answer
    ERROR_BEFORE = "error_before"  # nothing accepted, answered 5xx
    ERROR_AFTER = "error_after"  # accepted, answered 5xx
    SLOW = "slow"  # answered as usual, after a while
    MALFORMED = "malformed"  # accepted, answered 200 with something that cannot be read
    RESET = "reset"  # accepted, and the connection dropped at once
    WRONG_AMOUNT = "wrong_amount"  # accepted, but a tenth less is collected
    WRONG_CURRENCY = "wrong_currency"  # accepted, but collected in another currency


class CallbackFault(StrEnum):
    """What happens to the callbacks about one charge."""

    DUPLICATE = "duplicate"
    REORDERED = "reordered"  # several in the wrong order; a single one after those of later charges
    LATE = "late"
    FORGED = "forged"  # two forgeries claim success early, unsigned and wrongly signed; the genuine ones follow
    LOST = "lost"
    BEFORE_REPLY = "before_reply"  # paid and told before the call that started it is answered


# Money that differs from what was asked for is never drawn by chance, unless `faults` of the rates names it.
BY_CHANCE = tuple(each for each in Fault if each not in (Fault.WRONG_AMOUNT, Fault.WRONG_CURRENCY))
# What can happen to a call that only asks: it accepts nothing, so there is no before and after.
ASKING = (Fault.SILENCE_BEFORE, Fault.ERROR_BEFORE, Fault.SLOW, Fault.MALFORMED, Fault.RESET)


@dataclass(slots=True, kw_only=True)
class Script:
    """One queued fault: strikes the next `times` calls that match. An empty field matches everything."""

    id: int
    provider: str
    operation: str
    reference: str
    phone: str
    fault: Fault | CallbackFault
    times: int

    def matches(self, provider: str, operation: str, reference: str, phone: str) -> bool:
        return (
            self.provider == provider
            and self.operation in ("", operation)
            and self.reference in ("", reference)
            and self.phone in ("", phone)
        )


@dataclass(slots=True, kw_only=True)
class Rates:
    """How often chance strikes, from 0 to 1, and with what."""

    rate: float = 0.0
    callback_rate: float = 0.0
    seed: str = "1"
    faults: Sequence[Fault] = BY_CHANCE
    callback_faults: Sequence[CallbackFault] = tuple(CallbackFault)


@dataclass(kw_only=True)
class FaultBook:
    """The faults of one running process."""

    rates: Rates = field(default_factory=Rates)
    scripts: list[Script] = field(default_factory=list)
    # Providers that nobody can ask: chance loses no callback of theirs, for what is lost there is lost for good.
    never_lost: frozenset[str] = frozenset()
    _numbers: int = 0
    # The same call again gets another draw, or a query that struck once would never be answered.
    _drawn: dict[tuple[str, str, str], int] = field(default_factory=lambda: defaultdict(int))

    def add(
        self,
        *,
        provider: str,
        fault: Fault | CallbackFault,
        operation: str = "",
        reference: str = "",
        phone: str = "",
        times: int = 1,
    ) -> Script:
        self._numbers += 1
        script = Script(
            id=self._numbers,
            provider=provider,
            operation=operation,
            reference=reference,
            phone=phone,
            fault=fault,
            times=times,
        )
        self.scripts.append(script)
        return script

    def clear(self) -> None:
        """Forget scripts and draws; the rates stay."""
        self.scripts.clear()
        self._drawn.clear()

    def draw(
        self, provider: str, operation: str, reference: str, phone: str = "", *, only_asks: bool = False
    ) -> Fault | None:
        """What happens to this call. Call it once for each."""
        for script in self.scripts:
            if isinstance(script.fault, Fault) and script.matches(provider, operation, reference, phone):
                self._use(script)
                return script.fault
        choices = [each for each in self.rates.faults if each in ASKING] if only_asks else self.rates.faults
        return (
            Fault(chosen)
            if (chosen := self._chance(provider, operation, reference, self.rates.rate, choices))
            else None
        )

    def draw_callback(
        self, provider: str, reference: str, phone: str = "", *, only: Sequence[CallbackFault] = tuple(CallbackFault)
    ) -> CallbackFault | None:
        """What happens to the callbacks about this charge. Call it once for each course of a charge."""
        for script in self.scripts:
            if script.fault in only and script.matches(provider, script.operation, reference, phone):
                self._use(script)
                return CallbackFault(script.fault)
        rates, choices = self.rates, self.rates.callback_faults
        if provider in self.never_lost:
            choices = [each for each in choices if each is not CallbackFault.LOST]
        chosen = self._chance(provider, "callback", reference, rates.callback_rate, choices)
        return CallbackFault(chosen) if chosen is not None and chosen in only else None

    def _use(self, script: Script) -> None:
        script.times -= 1
        if script.times <= 0:
            self.scripts.remove(script)

    def _chance(
        self, provider: str, operation: str, reference: str, rate: float, choices: Sequence[StrEnum]
    ) -> StrEnum | None:
        if rate <= 0 or not choices:
            return None
        key = (provider, operation, reference)
        number = self._drawn[key]
        self._drawn[key] += 1
        text = "\n".join((self.rates.seed, *key, str(number)))
        digest = hashlib.sha256(text.encode(errors="replace")).digest()
        if int.from_bytes(digest[:8]) >= rate * 2**64:
            return None
        return choices[int.from_bytes(digest[8:16]) % len(choices)]
