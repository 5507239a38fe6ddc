"""Use cases for messages: store one, have it sent, send it again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.messaging.kinds import MessageKind
from apps.messaging.models.messages import Message
from apps.messaging.placeholders import MASK, PLACEHOLDER, check_secret, put_in_secret
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.services.budgets import reserve
from apps.messaging.services.consent import is_wanted
from apps.messaging.services.numbers import check_phone
from apps.messaging.services.prices import bill_for
from core.exceptions import NotFound, RuleViolated
from core.outbox.publisher import publish
from core.tenancy import current_tenant_id, tenant_atomic
from services.sms.encoding import clean_text, shorten

Channel = Message.Channel
# How long a message is of use. It is sent as long as that, whatever is in the way meanwhile.
USEFUL_FOR: Final = {
    MessageKind.CODE: timedelta(minutes=10),
    MessageKind.SECURITY: timedelta(days=3),
    MessageKind.RECEIPT: timedelta(days=7),
    MessageKind.SERVICE: timedelta(days=3),
    MessageKind.MARKETING: timedelta(days=1),
}


class TextTooLong(RuleViolated):
    """The text would travel in more parts than one may have (`SMS_MAX_PARTS`)."""

    code = "text_too_long"
    message = _("This text is too long.")


class TextEmpty(RuleViolated):
    """Nothing is left of the text when what no phone can show is taken out."""

    code = "text_empty"
    message = _("This text is empty.")


class MessageNotRepeatable(RuleViolated):
    """It is still on its way, or holds a secret, or its person's data were erased."""

    code = "message_not_repeatable"
    message = _("This message cannot be sent again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One message to be sent; see `queue_message`."""

    channel: str
    to: str
    text: str = field(repr=False)
    key: str
    subject: str = ""
    secret: str = ""
    is_repeatable: bool = True
    kind: str = MessageKind.SERVICE
    expires_at: datetime | None = None
    repeats_id: UUID | None = None


def queue_message(
    *,
    channel: str,
    to: str,
    text: str,
    key: str,
    subject: str = "",
    secret: str = "",
    is_repeatable: bool = True,
    kind: str = MessageKind.SERVICE,
    expires_at: datetime | None = None,
    is_strict: bool = False,
) -> Message:
    """Store a message and have it sent. A second one for the same purpose (`key`) and channel is the first one.

    `secret` (`kind:reference`) names what is put in for `{secret}` in the text while it is being sent; an unknown kind
    raises `KeyError`. `is_repeatable`: may it be sent twice when nobody knows whether the provider took it? After
    `expires_at` (default: by its kind) it is not sent any more. What whoever it is for does not want
    (`consent.is_wanted`) is stored as `suppressed`, and not sent.

    `is_strict` is for a message that somebody asks for: `PhoneNotSupported`, `TextTooLong`, `TextEmpty`,
    `BudgetExceeded` or `TooManyTexts` are raised, and nothing is stored. Otherwise the row in the log says that it
    failed or waits, and a text that is too long is shortened.
    """
    wish = Wish(
        channel=channel,
        to=to,
        text=text,
        key=key,
        subject=subject,
        secret=secret,
        is_repeatable=is_repeatable,
        kind=kind,
        expires_at=expires_at,
    )
    return queue_messages(wishes=[wish], is_strict=is_strict)[0]


@tenant_atomic
def queue_messages(*, wishes: Sequence[Wish], is_strict: bool = True) -> list[Message]:
    """Store several messages and have them sent: with `is_strict` all of them or none. See `queue_message`."""
    found = [_store(wish, is_strict=is_strict) for wish in wishes]
    new = [message for message, is_new in found if is_new and message.status == Status.QUEUED]
    texts = [message for message in new if message.channel == Channel.SMS]
    if is_strict and texts:
        reserve(texts)
        Message.objects.bulk_update(texts, ["counted_on"])
    for message in new:
        publish("message.queued", {"message_id": str(message.pk)})
    return [message for message, _is_new in found]


@tenant_atomic
def resend_message(*, message_id: UUID) -> Message:
    """Send a message again, as a new one that names the old one; for operators, who have looked at it.

    Raises `NotFound`, `MessageNotRepeatable`, and whatever a strict `queue_message` does.
    """
    old: Message | None = Message.objects.select_for_update().filter(pk=message_id).first()
    if old is None:
        raise NotFound
    if old.status in {Status.QUEUED, Status.SUBMITTING} or old.secret or not old.text:
        raise MessageNotRepeatable
    wish = Wish(
        channel=old.channel,
        to=old.to,
        text=old.text,
        subject=old.subject,
        key=f"again:{old.pk}:{old.repetitions.count() + 1}",
        kind=old.kind,
        is_repeatable=old.is_repeatable,
        repeats_id=old.pk,
    )
    return queue_messages(wishes=[wish])[0]


def _store(wish: Wish, *, is_strict: bool) -> tuple[Message, bool]:
    if wish.secret:
        check_secret(wish.secret)
    known = {"tenant_id": current_tenant_id(), "key": wish.key, "channel": wish.channel}
    if (found := Message.objects.filter(**known).first()) is not None:
        return found, False
    values: dict[str, Any] = {
        "to": wish.to,
        "text": wish.text,
        "subject": wish.subject,
        "secret": wish.secret,
        "is_repeatable": wish.is_repeatable,
        "kind": wish.kind,
        "expires_at": wish.expires_at or timezone.now() + USEFUL_FOR[MessageKind(wish.kind)],
        "repeats_id": wish.repeats_id,
    }
    if not is_wanted(channel=wish.channel, to=wish.to, kind=wish.kind):
        values["status"] = Status.SUPPRESSED
    elif wish.channel == Channel.SMS:
        values |= _text_values(wish, is_strict=is_strict)
    return Message.objects.get_or_create(**known, defaults=values)


def _text_values(wish: Wish, *, is_strict: bool) -> dict[str, Any]:
    """The columns of a text, with what it will cost; of one that will never go out, why."""
    text = clean_text(wish.text)
    try:
        number = check_phone(wish.to)
        text = fitting(text, is_strict=is_strict, has_secret=bool(wish.secret))
    except RuleViolated as refusal:
        if is_strict:
            raise
        return {"text": text, "status": Status.FAILED, "error": refusal.code}
    # Secrets are as long as a code, as far as anybody knows here; the bill is made out again when it is put in.
    bill = bill_for(number, put_in_secret(text, MASK) if wish.secret else text)
    return {
        "text": text,
        "to": number.phone,
        "country": number.country,
        "operator_prefix": number.operator_prefix,
        "encoding": bill.encoding,
        "parts": bill.parts,
        "price": bill.price.amount,
        "currency": bill.price.currency,
    }


def fitting(text: str, *, is_strict: bool = True, has_secret: bool = False) -> str:
    """A cleaned text in no more parts than it may have, or `TextTooLong`; `TextEmpty` for nothing.

    Unless `is_strict` it is cut, but never the placeholder of its secret away.
    """
    if not text.strip():
        raise TextEmpty
    short = shorten(text, parts=settings.SMS_MAX_PARTS)
    if short != text and (is_strict or (has_secret and PLACEHOLDER not in short)):
        raise TextTooLong
    return short
