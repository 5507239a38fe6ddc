"""The story of a payment, refund or payout as operators read it: one line per thing that happened, in its order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from django.db.models import Model
from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.accounts.selectors import list_addresses
from apps.payments.admin.words import COLOURS, EVENTS, LINES, SOURCES, anomaly_name, plain, status_word
from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Observation, PaymentEvent
from apps.payments.models.transfers import Refund
from apps.payments.selectors.stories import Story
from core.admin_story import Entry, Fact, link_to
from core.money import Money

# Of what happened at the same moment, what led to the other stands first.
_CALL, _SENT, _NEWS, _LEDGER, _HISTORY = range(5)


@dataclass(slots=True)
class Timeline:
    """Tells a story to whoever makes the `request`, with links to what they may look at."""

    request: HttpRequest
    story: Story
    _people: Mapping[UUID, str] = field(init=False)
    _numbers: Mapping[UUID, int] = field(init=False)
    _several: bool = field(init=False)

    def __post_init__(self) -> None:
        told = {event.actor for event in self.story.events} | {news.actor for news in self.story.observations}
        self._people = list_addresses(user_ids={found for actor in told if (found := _uuid(actor))})
        self._numbers = {attempt.pk: attempt.number for attempt in self.story.attempts}
        self._several = len(self.story.attempts) > 1

    def entries(self) -> list[Entry]:
        """Everything, oldest first. What our history made of a piece of news stands with the news."""
        events = list(self.story.events)
        found = [
            *(self._of_observation(each, _take_event(each, events)) for each in self.story.observations),
            *(self._of_event(each) for each in events),
            *(self._of_line(each) for each in self.story.lines),
            *(self._of_delivery(each) for each in self.story.deliveries),
            *(entry for attempt in self.story.attempts for entry in self._of_attempt(attempt)),
            *(entry for refund in self.story.refunds for entry in self._of_refund(refund)),
        ]
        if self.story.payout is not None and (at := self.story.payout.submitted_at):
            found.append(Entry(at=at, rank=_SENT, title=_("Sent to the gateway"), icon="send", tone="info"))
        return sorted(found, key=lambda entry: (entry.at, entry.rank, entry.seq))

    def _of_attempt(self, attempt: Attempt) -> Iterator[Entry]:
        facts = [Fact(name=_("our reference"), text=attempt.reference, is_code=True)]
        if attempt.refusal:
            facts.append(Fact(name=_("refused"), text=plain(attempt.refusal)))
        told = {"number": attempt.number, "gateway": attempt.gateway, "method": attempt.method}
        yield Entry(
            at=attempt.submitted_at or attempt.created_at,
            rank=_SENT,
            title=(
                _("Attempt %(number)d was sent to %(gateway)s (%(method)s)")
                if attempt.submitted_at
                else _("Attempt %(number)d was planned for %(gateway)s (%(method)s)")
            )
            % told,
            icon="send" if attempt.submitted_at else "schedule",
            tone="info",
            facts=tuple(facts),
            link=self.link(attempt),
        )

    def _of_refund(self, refund: Refund) -> Iterator[Entry]:
        if refund.submitted_at is None:
            return
        yield Entry(
            at=refund.submitted_at,
            rank=_SENT,
            title=_("The refund was sent to %(gateway)s") % {"gateway": refund.gateway},
            icon="send",
            tone="info",
            amount=refund.money.display,
            facts=(Fact(name=_("our reference"), text=refund.reference, is_code=True),),
            link=self.link(refund),
        )

    def _of_observation(self, news: Observation, event: PaymentEvent | None) -> Entry:
        facts = []
        if self._several and news.attempt_id is not None:
            facts.append(Fact(name=_("attempt"), text=str(self._numbers.get(news.attempt_id, "?"))))
        if news.provider_reference:
            facts.append(Fact(name=_("the gateway's reference"), text=news.provider_reference, is_code=True))
        if news.refunded:
            facts.append(Fact(name=_("sent back so far"), text=shown_money(news.refunded, news.currency)))
        title = str(SOURCES.get(news.source) or plain(news.source))
        entry = Entry(
            at=news.received_at,
            rank=_NEWS,
            title=_("News of a refund: %(source)s") % {"source": title} if news.refund_id else title,
            icon=_ICONS.get(news.source, "campaign"),
            tone=COLOURS.get(news.status, ""),
            status=status_word(news.status),
            status_tone=COLOURS.get(news.status, ""),
            amount=news.money.display if news.money else "",
            words=news.reason,
            by=self._name(news.actor),
            facts=tuple(facts),
        )
        return entry if event is None else self._with_event(entry, event)

    def _of_event(self, event: PaymentEvent) -> Entry:
        title = str(EVENTS.get(event.kind) or plain(event.kind)).capitalize()
        facts = [Fact(name=_("because"), text=event.cause)] if event.kind in {"observed", "refund_observed"} else []
        amount = event.data.get("amount")
        refund = next((each for each in self.story.refunds if str(each.pk) == event.data.get("refund")), None)
        entry = Entry(
            at=event.at,
            rank=_CALL if event.kind in {"started", "requested"} else _HISTORY,
            title=title,
            icon=_ICONS.get(event.kind, "history"),
            amount=shown_money(amount, self._currency()) if isinstance(amount, int) else "",
            words=str(event.data.get("note") or (refund.reason if refund and event.kind == "refund_requested" else "")),
            by=self._name(event.actor),
            facts=tuple(facts),
            link=self.link(refund) if refund else "",
        )
        return self._with_event(entry, event)

    def _with_event(self, entry: Entry, event: PaymentEvent) -> Entry:
        """The line of our history at `entry`: its number, and what became of it."""
        is_change = event.from_status != event.to_status or event.kind in {"started", "requested"}
        anomalies = event.data.get("anomalies")
        return replace(
            entry,
            seq=event.seq,
            by=entry.by or self._name(event.actor),
            became=status_word(event.to_status) if is_change else "",
            became_tone=COLOURS.get(event.to_status, ""),
            anomalies=tuple(anomaly_name(str(each)) for each in anomalies) if isinstance(anomalies, list) else (),
        )

    def _of_line(self, line: LedgerLine) -> Entry:
        return Entry(
            at=line.at,
            rank=_LEDGER,
            title=str(LINES.get(line.kind) or plain(line.kind)),
            icon="add_circle" if line.amount > 0 else "do_not_disturb_on",
            tone="success" if line.amount > 0 else "warning",
            amount=signed(line.money),
            facts=(Fact(name=_("ledger"), text=line.key, is_code=True),),
            link=self.link(line),
        )

    def _of_delivery(self, delivery: InboxDelivery) -> Entry:
        facts = [Fact(name=_("outcome"), text=delivery.outcome)] if delivery.outcome else []
        if delivery.seen > 1:
            facts.append(Fact(name=_("arrived"), text=_("%(count)d times") % {"count": delivery.seen}))
        return Entry(
            at=delivery.received_at,
            rank=_CALL,
            title=_("A callback of %(gateway)s arrived") % {"gateway": delivery.gateway},
            icon="inbox",
            tone="danger" if delivery.parked_at else "",
            facts=tuple(facts),
            link=self.link(delivery),
        )

    def link(self, row: Model) -> str:
        """The page of a row, for those who may look at it."""
        return link_to(self.request, row)

    def _name(self, actor: str) -> str:
        found = _uuid(actor)
        return self._people.get(found, actor) if found else ("" if actor == "system" else actor)

    def _currency(self) -> str:
        if self.story.payout is not None:
            return self.story.payout.currency
        return next((row.currency for row in self.story.refunds), "")


_ICONS: dict[str, str] = {
    "started": "play_circle",
    "requested": "play_circle",
    "retried": "replay",
    "cancel_asked": "cancel",
    "reviewed": "gavel",
    "refund_requested": "undo",
    "reply": "reply",
    "webhook": "webhook",
    "poll": "help",
    "manual": "person",
    "system": "timer",
}


def signed(money: Money) -> str:
    """An amount with its sign: `+ TZS 5,000`."""
    return f"{'+' if money.amount > 0 else '-'} {Money(abs(money.amount), money.currency).display}"


def _take_event(news: Observation, events: list[PaymentEvent]) -> PaymentEvent | None:
    """The line of the history that this news led to, taken out of `events`.

    It was written in the transaction of the news, a moment later, and names its source and status.
    """
    kinds = {"observed", "refund_observed", "reviewed"}
    told = {f"{news.source}: {news.status}", f"{news.source}: {_DECISIONS.get(news.status, '')}"}
    for event in events:
        if event.kind in kinds and event.cause in told and event.at >= news.received_at:
            events.remove(event)
            return event
    return None


_DECISIONS = {"settled": "accepted", "failed": "rejected"}


def shown_money(amount: int, currency: str) -> str:
    """An amount for people, also one that no `Money` can be."""
    try:
        return Money(amount, currency).display
    except ValueError:
        return f"{amount} {currency}".strip()


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(str(text))
    except ValueError:
        return None
