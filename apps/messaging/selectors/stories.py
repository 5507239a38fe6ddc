"""Everything that happened to one message, for the platform's staff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from apps.messaging.models.messages import DeliveryReport, Message, MessageTry
from apps.messaging.models.people import OptOut
from apps.messaging.selectors.people import find_opt_outs
from core.audit.models import AuditEntry
from core.tenancy import rows_of_every_tenant

# Of each kind, so that a page stays a page whatever a provider repeats.
MOST = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class MessageStory:
    """The rows, each kind in its order. `deeds` are audit lines about the message."""

    tries: Sequence[MessageTry]
    reports: Sequence[DeliveryReport]
    repetitions: Sequence[Message]
    opt_outs: Sequence[OptOut]
    deeds: Sequence[AuditEntry]

    @property
    def is_cut(self) -> bool:
        return any(len(rows) == MOST for rows in (self.tries, self.reports, self.repetitions, self.deeds))


def get_story_of_message(message: Message) -> MessageStory:
    """What happened to a message. Five queries."""
    tries = rows_of_every_tenant(MessageTry).filter(message=message).order_by("number")
    reports = rows_of_every_tenant(DeliveryReport).filter(message=message).order_by("received_at", "pk")
    repetitions = rows_of_every_tenant(Message).filter(repeats=message).order_by("created_at", "pk")
    deeds = AuditEntry.objects.filter(target_id=str(message.pk)).order_by("at", "id")
    return MessageStory(
        tries=list(tries[:MOST]),
        reports=list(reports[:MOST]),
        repetitions=list(repetitions[:MOST]),
        opt_outs=list(find_opt_outs(channel=message.channel, to=message.to)) if message.to else [],
        deeds=list(deeds[:MOST]),
    )
