"""The story of a message as operators read it: one line per thing that happened, in its order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.http import HttpRequest
from django.utils.translation import gettext as _

from apps.messaging.admin.words import COLOURS, OUTCOME_COLOURS, outcome_word, reason_word, status_word
from apps.messaging.models.messages import DeliveryReport, Message, MessageTry
from apps.messaging.models.people import OptOut
from apps.messaging.progress import MessageStatus
from apps.messaging.selectors.stories import MessageStory
from core.admin_story import Entry, Fact, link_to
from core.audit.models import AuditEntry

# Of what happened at the same moment, what led to the other stands first.
_DEED, _BEGIN, _TRY, _NEWS, _AGAIN = range(5)


@dataclass(frozen=True, slots=True)
class Timeline:
    """Tells a story to whoever makes the `request`, with links to what they may look at."""

    request: HttpRequest
    message: Message
    story: MessageStory

    def entries(self) -> list[Entry]:
        """Everything, oldest first."""
        return sorted(self._entries(), key=lambda entry: (entry.at, entry.rank))

    def _entries(self) -> Iterator[Entry]:
        yield self._beginning()
        yield from (self._of_try(each) for each in self.story.tries)
        yield from (self._of_report(each) for each in self.story.reports)
        yield from (entry for each in self.story.opt_outs for entry in self._of_opt_out(each))
        yield from (self._of_deed(each) for each in self.story.deeds)
        yield from (self._of_repetition(each) for each in self.story.repetitions)

    def _beginning(self) -> Entry:
        message = self.message
        is_wanted = message.status != MessageStatus.SUPPRESSED
        facts = [Fact(name=_("for"), text=message.key, is_code=True)]
        if message.parts:
            facts.append(Fact(name=_("parts"), text=str(message.parts)))
        return Entry(
            at=message.created_at,
            rank=_BEGIN,
            title=_("Stored, to be sent") if is_wanted else _("Stored, and not sent: it is not wanted"),
            icon="edit_note" if is_wanted else "notifications_off",
            tone="" if is_wanted else "warning",
            amount=message.money.display if message.money else "",
            facts=tuple(facts),
        )

    def _of_try(self, attempt: MessageTry) -> Entry:
        facts = [Fact(name=_("try"), text=str(attempt.number))]
        if attempt.sender:
            facts.append(Fact(name=_("sender"), text=attempt.sender))
        if attempt.reason:
            facts.append(Fact(name=_("because"), text=reason_word(attempt.reason)))
        if attempt.provider_reference:
            facts.append(Fact(name=_("the provider's reference"), text=attempt.provider_reference, is_code=True))
        if attempt.ended_at is not None:
            took = round((attempt.ended_at - attempt.started_at).total_seconds() * 1000)
            facts.append(Fact(name=_("answered after"), text=f"{took} ms"))
        colour = OUTCOME_COLOURS.get(attempt.outcome, "")
        return Entry(
            at=attempt.started_at,
            rank=_TRY,
            title=_("Handed to %(provider)s") % {"provider": attempt.provider},
            icon="send",
            tone=colour,
            status=outcome_word(attempt.outcome),
            status_tone=colour,
            words=attempt.told,
            facts=tuple(facts),
        )

    def _of_report(self, report: DeliveryReport) -> Entry:
        facts = [Fact(name=_("in its words"), text=report.raw_status, is_code=True)]
        if report.provider_reference:
            facts.append(Fact(name=_("the provider's reference"), text=report.provider_reference, is_code=True))
        colour = COLOURS.get(report.status, "")
        return Entry(
            at=report.received_at,
            rank=_NEWS,
            title=_("%(provider)s reported") % {"provider": report.provider},
            icon="campaign",
            tone=colour,
            status=status_word(report.status) if report.status else _("a word that we do not know"),
            status_tone=colour,
            words=report.detail,
            facts=tuple(facts),
        )

    def _of_opt_out(self, row: OptOut) -> Iterator[Entry]:
        link = link_to(self.request, row)
        told = _("This address said stop (%(source)s)") % {"source": row.source}
        yield Entry(at=row.stopped_at, rank=_NEWS, title=told, icon="notifications_off", tone="warning", link=link)
        if row.started_at is not None:
            told = _("This address wants messages again")
            yield Entry(at=row.started_at, rank=_NEWS, title=told, icon="notifications_active", link=link)

    def _of_deed(self, deed: AuditEntry) -> Entry:
        title = str(deed.get_action_display())
        return Entry(
            at=deed.at,
            rank=_DEED,
            title=f"{title[:1].upper()}{title[1:]}",
            icon="person",
            words=str(deed.data.get("reason") or ""),
            by=deed.actor_email,
            link=link_to(self.request, deed),
        )

    def _of_repetition(self, other: Message) -> Entry:
        return Entry(
            at=other.created_at,
            rank=_AGAIN,
            title=_("Sent again, as another message"),
            icon="replay",
            tone="info",
            status=status_word(other.status),
            status_tone=COLOURS.get(other.status, ""),
            link=link_to(self.request, other),
        )
