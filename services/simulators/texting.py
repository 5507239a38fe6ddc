"""What an SMS provider's module hands to the core, one `SmsProvider` listed in `app.SMS_PROVIDERS`, and how a call of
its is played: with whatever the recipient's number, a script or chance has in store.

    play = TextPlay.begin(world, PROVIDER, "send", phone=phone, reference=reference)

    async def accept() -> Response:
        await play.accept([play.text(id=new_id("X", 8), phone=phone, sender=sender, body=message)])
        return JSON({...})

    return await play.answer(accept, trouble)

`trouble(fault)` words a refusal (`REFUSE`) and a failure (`ERROR_BEFORE`, `ERROR_AFTER`) as this provider would. Before
`accept`, the endpoint looks at `refusal_of(phone)` and refuses as far as the provider has a word for it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from services.simulators import till
from services.simulators.config import Config
from services.simulators.faults import CallbackFault, Fault
from services.simulators.ledger.callbacks import DueCallback, NewCallback, Trust
from services.simulators.ledger.texts import Text, TextEnd
from services.simulators.play import answer_with
from services.simulators.provider import Notice, Signed, announce_nothing, any_2xx, unsigned
from services.simulators.scenarios import TextRefusal, text_scenario
from services.simulators.world import World

# GSM 03.38: the default alphabet, then the characters that cost two.
GSM = frozenset(
    "@\u00a3$\u00a5\u00e8\u00e9\u00f9\u00ec\u00f2\u00c7\n\u00d8\u00f8\r\u00c5\u00e5\u0394_\u03a6\u0393\u039b\u03a9"
    "\u03a0\u03a8\u03a3\u0398\u039e\u00c6\u00e6\u00df\u00c9 !\"#\u00a4%&'()*+,-./0123456789:;<=>?\u00a1"
    "ABCDEFGHIJKLMNOPQRSTUVWXYZ\u00c4\u00d6\u00d1\u00dc\u00a7\u00bfabcdefghijklmnopqrstuvwxyz\u00e4\u00f6\u00f1\u00fc"
    "\u00e0"
)
GSM_EXTENDED = frozenset("\f^{}\\[~]|\u20ac")


@dataclass(frozen=True, slots=True, kw_only=True)
class SmsProvider:
    """One SMS provider.

    `code` is also the gateway's. `operations` are the names under which its calls begin a `TextPlay`, for scripts of
    faults; without one called `query` nobody can ask what became of a text, so chance loses no report. `words` are the
    provider's for what becomes of a text, `underway` the one for before ("" where it says nothing). `callback_url` is
    where callbacks go that name no address of their own; empty sends none.

    `announce` words what is told about a text: at once (`at_start`) and when it has ended, in the order of sending. It
    does not look at the clock. `hear` words a text that somebody sends to us, and `opt_out` that a person told the
    provider to stop (the text then says who, and which sender); None where the provider does not tell. `sign` runs at
    the moment of sending, for every try, gets the notice's body as JSON, and plays the forger when `callback.trust`
    says so.
    """

    code: str
    name: str
    operations: tuple[str, ...]
    routes: Callable[[], Iterable[BaseRoute]]
    callback_url: Callable[[Config], str]
    words: Mapping[TextEnd, str]
    underway: str = ""
    announce: Callable[[World, Text], list[Notice]] = announce_nothing
    hear: Callable[[World, Text], Notice] | None = None
    opt_out: Callable[[World, Text], Notice] | None = None
    sign: Callable[[Config, DueCallback, float], Signed] = unsigned
    is_received: Callable[[int], bool] = any_2xx
    callback_tries: Callable[[Config], int] = lambda config: config.callback_tries

    def status(self, text: Text, now: float) -> str:
        """The provider's word for the state of a text at a moment."""
        ended = text.ended(now)
        return self.underway if ended is None else self.words[ended]


@dataclass(slots=True, kw_only=True)
class TextPlay:
    """What is in store for one call: `fault` for its answer, `callback_fault` for the callbacks of what it sends."""

    world: World
    provider: SmsProvider
    reference: str
    phone: str
    fault: Fault | None
    callback_fault: CallbackFault | None = None

    @classmethod
    def begin(
        cls,
        world: World,
        provider: SmsProvider,
        operation: str,
        *,
        phone: str = "",
        reference: str = "",
        only_asks: bool = False,
    ) -> TextPlay:
        """Draw what happens to this call; once for each, after it was authenticated and found valid.

        `phone` is the first recipient's. `only_asks`: the call changes nothing, so chance only picks from what can
        befall a question.
        """
        fault = world.faults.draw(provider.code, operation, reference or phone, phone, only_asks=only_asks)
        reply = None if only_asks else text_scenario(phone).reply
        return cls(world=world, provider=provider, reference=reference, phone=phone, fault=fault or reply)

    def text(
        self,
        *,
        id: str,
        phone: str,
        sender: str,
        body: str,
        reference: str = "",
        encoding: str = "",
        parts: int | None = None,
        starts_at: float | None = None,
        extra: dict[str, Any] | None = None,
    ) -> Text:
        """A text with the end that its number's scenario says; `starts_at` when it is not sent at once."""
        now, scenario = time.time(), text_scenario(phone)
        if not self.callback_fault:
            self.callback_fault = self.world.faults.draw_callback(
                self.provider.code, self.reference or self.phone, self.phone
            )
        is_first = scenario.callback_first or self.callback_fault is CallbackFault.BEFORE_REPLY
        return Text(
            provider=self.provider.code,
            id=id,
            phone=phone,
            sender=sender,
            body=body,
            reference=reference,
            encoding=encoding,
            parts=count_parts(body) if parts is None else parts,
            end=scenario.end,
            created_at=now,
            ends_at=(starts_at or now) + (0.0 if is_first else self.world.config.deliver_after),
            extra=extra or {},
        )

    async def accept(self, texts: Sequence[Text]) -> None:
        """Store the texts of this call; their callbacks go out as the numbers and the fault say."""
        now = time.time()
        planned = [(each, text) for text in texts for each in plan_callbacks(self.world, text, self.callback_fault)]
        stored = self.world.ledger.texts.accept(texts, [each for each, _text in planned])
        first = [
            due
            for due, (_new, text) in zip(stored, planned, strict=True)
            if text.ends_at <= now and due.due_at <= now + till.CALLBACK_GAP
        ]
        self.world.callbacks.schedule(each for each in stored if each not in first)
        await self.world.callbacks.send_now(first)

    async def answer(self, accept: Callable[[], Awaitable[Response]], trouble: Callable[[Fault], Response]) -> Response:
        """What the caller gets. `accept` does the work and gives a good day's answer; its refusals pass as they are."""
        return await answer_with(self.world, self.fault, accept, trouble)


def refusal_of(phone: str) -> TextRefusal | None:
    """Why a provider with a word for it does not take a text to this number."""
    return text_scenario(phone).refusal


def plan_callbacks(world: World, text: Text, fault: CallbackFault | None) -> list[NewCallback]:
    """What will be told about this text, and when."""
    provider, scenario = world.sms_providers[text.provider], text_scenario(text.phone)
    notices = provider.announce(world, text)
    rounds = 0 if fault is CallbackFault.LOST else scenario.callbacks * (2 if fault is CallbackFault.DUPLICATE else 1)
    at_end = [each for each in notices if not each.at_start]
    ends_at = text.ends_at
    if fault is CallbackFault.LATE:
        ends_at = max(text.created_at + world.config.late_callback, ends_at)
    timed = [(each, text.created_at) for each in notices if each.at_start and rounds]
    timed += [(each, ends_at) for _ in range(rounds) for each in at_end]
    if fault is CallbackFault.REORDERED:
        # What belongs to the beginning comes last, and a lone report after those of later texts.
        timed = [(each, ends_at + world.config.deliver_after * 2) for each, _moment in reversed(timed)]
    tries = provider.callback_tries(world.config)
    planned = [
        till.new_callback(text.provider, text.id, notice, moment + position * till.CALLBACK_GAP, tries=tries)
        for position, (notice, moment) in enumerate(timed)
    ]
    if fault is CallbackFault.FORGED:
        claimed = provider.announce(world, replace(text, end=TextEnd.DELIVERED))
        planned += [
            till.new_callback(text.provider, text.id, notice, text.created_at, tries=1, trust=trust)
            for trust in (Trust.UNSIGNED, Trust.WRONGLY_SIGNED)
            for notice in claimed
            if not notice.at_start
        ]
    return [each for each in planned if each.url or provider.callback_url(world.config)]


def count_parts(body: str) -> int:
    """Parts of an SMS: 160 characters of GSM 03.38 or 70 of UCS-2, and a little less each where there are several."""
    if set(body) <= GSM | GSM_EXTENDED:
        length, whole, part = sum(2 if char in GSM_EXTENDED else 1 for char in body), 160, 153
    else:
        length, whole, part = len(body.encode("utf-16-be", "surrogatepass")) // 2, 70, 67
    return 1 if length <= whole else math.ceil(length / part)
