"""Use cases for messages that a tenant asks for: say what they cost, and have them sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid4

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from apps.messaging.catalogue import TEMPLATES
from apps.messaging.channels import Channel
from apps.messaging.content import Content
from apps.messaging.kinds import MessageKind
from apps.messaging.models.messages import CLIENT_KEY, Message
from apps.messaging.services.budgets import BudgetExceeded, TooManyTexts
from apps.messaging.services.messages import TextEmpty, TextTooLong, Wish, fitting, queue_messages
from apps.messaging.services.numbers import PhoneNotSupported, check_phone
from apps.messaging.services.prices import bill_for
from apps.messaging.services.templates import WordingRefused, render
from apps.messaging.wordings import Template, Wording
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import Conflict, RuleViolated
from core.money import Money
from core.tenancy import current_tenant_id, tenant_atomic
from services.sms.encoding import clean_text

# Made for one purpose by the kit; in somebody else's hands a means to deceive.
_OUR_OWN: Final = frozenset({MessageKind.CODE, MessageKind.SECURITY})


class TemplateNotSendable(RuleViolated):
    """There is no such template, it has no form for this channel, or it tells what only the platform knows."""

    code = "template_not_sendable"
    message = gettext_lazy("This template cannot be sent this way.")


class MessageKeyTaken(Conflict):
    """Another message of this tenant and channel carries the same `key`. This rule never expires."""

    code = "message_key_taken"
    message = gettext_lazy("Another message with this key exists already.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a text would cost: `parts` to each phone, `price` to all of them."""

    encoding: str
    parts: int
    recipients: int
    price: Money


CONTENT_REFUSALS = (TemplateNotSendable, WordingRefused)
QUOTE_REFUSALS = (*CONTENT_REFUSALS, PhoneNotSupported, TextTooLong, TextEmpty)
SEND_REFUSALS = (*QUOTE_REFUSALS, BudgetExceeded, TooManyTexts, MessageKeyTaken)


def quote_text(*, to: Sequence[str], content: Content) -> Quote:
    """What a text to these phones would cost. Sends nothing, and does not ask what is left of the budgets.

    Raises `PhoneNotSupported`, `TextTooLong`, `TextEmpty`, `TemplateNotSendable` or `WordingRefused`.
    """
    text = fitting(clean_text(_wording_of(content, Channel.SMS).text))
    bills = [bill_for(check_phone(phone), text) for phone in to]
    price = Money(sum(bill.price.amount for bill in bills), bills[0].price.currency)
    return Quote(encoding=bills[0].encoding, parts=bills[0].parts, recipients=len(bills), price=price)


@tenant_atomic
def request_messages(
    *, actor_id: UUID, channel: str, to: Sequence[str], content: Content, kind: str, key: str = ""
) -> list[Message]:
    """Have one message sent to each of `to`: all of them, or a refusal and none. In the order of `to`.

    `key` is the caller's own name for it: a second request with it sends nothing, and gives the first one's messages.
    Raises what a strict `queue_message` does, `TemplateNotSendable`, `WordingRefused` and, when the key was used for
    something else, `MessageKeyTaken`. Whoever does not want it makes a message that is `suppressed`, not a refusal.
    """
    wording = _wording_of(content, Channel(channel))
    names = _names(key, len(to))
    is_repetition = bool(key) and _is_known(channel, key, names)
    wishes = [
        Wish(channel=channel, to=each, text=wording.text, subject=wording.subject, kind=kind, key=name)
        for each, name in zip(to, names, strict=True)
    ]
    messages = queue_messages(wishes=wishes)
    # Looked at in any case: another request may have been first in this very moment.
    if key and not all(_is_same(*pair, content) for pair in zip(messages, wishes, strict=True)):
        raise MessageKeyTaken
    if not is_repetition:
        data = {"channel": channel, "kind": kind, "messages": len(messages), "template": content.template}
        record(Action.MESSAGES_REQUESTED, actor=actor_id, target=messages[0], tenant_id=current_tenant_id(), data=data)
    return messages


def total_price(messages: Sequence[Message]) -> Money | None:
    """What sending all of them once costs; None where none of them costs anything."""
    prices = [price for message in messages if (price := message.money) is not None]
    return Money(sum(price.amount for price in prices), prices[0].currency) if prices else None


def _names(key: str, count: int) -> list[str]:
    """The keys of messages: of one the caller's own, of several with their places."""
    if not key:
        return [f"call:{uuid4().hex}" for _each in range(count)]
    return [f"{CLIENT_KEY}{key}"] if count == 1 else [f"{CLIENT_KEY}{key}:{place}" for place in range(count)]


def _is_known(channel: str, key: str, names: Sequence[str]) -> bool:
    """Whether the messages of these names are there. `MessageKeyTaken` for another number of them under this key."""
    name = f"{CLIENT_KEY}{key}"
    possible = {*names, name, f"{name}:0", f"{name}:{len(names)}"}
    found = set(Message.objects.filter(channel=channel, key__in=possible).values_list("key", flat=True))
    if found and found != set(names):
        raise MessageKeyTaken
    return bool(found)


def _is_same(message: Message, wish: Wish, content: Content) -> bool:
    """Whether an earlier message is what is asked for now. A template may have got another wording meanwhile."""
    if (message.to, message.kind) != (wish.to, wish.kind):
        return False
    said = wish.text if message.channel == Channel.EMAIL else clean_text(wish.text)
    return bool(content.template) or (message.text, message.subject) in {
        (said, wish.subject),
        (wish.text, wish.subject),
    }


def _wording_of(content: Content, channel: Channel) -> Wording:
    if not content.template:
        return Wording(subject=content.subject, text=content.text)
    template = TEMPLATES.get(content.template)
    if template is None or channel not in template.defaults or not _is_sendable(template):
        raise TemplateNotSendable
    names = [each.name for each in template.variables]
    faults = [_("%(name)s is missing.") % {"name": name} for name in names if name not in content.values]
    unknown = [name for name in content.values if name not in names]
    known = " ".join(names)
    faults += [
        _("%(found)s is not a placeholder of this template. There are: %(known)s.")
        % {"found": name[:40], "known": known}
        for name in unknown
    ]
    if faults:
        raise WordingRefused(errors={"values": faults})
    return render(content.template, language=content.language, channel=channel, values=content.values)


def _is_sendable(template: Template) -> bool:
    return template.kind not in _OUR_OWN and not any(each.is_exact for each in template.variables)
