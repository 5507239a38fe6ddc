"""Who may hand a message over, and to whom: decided and committed before the wire is touched."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from django.utils import timezone

from apps.messaging.kinds import MessageKind
from apps.messaging.models.messages import Message, MessageReference, MessageTry
from apps.messaging.placeholders import MASK, find_secret, put_in_secret
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.selectors.suppression import is_suppressed
from apps.messaging.services.budgets import alert, count, uncount, until_tomorrow
from apps.messaging.services.consent import is_wanted
from apps.messaging.services.emails import email_provider, expect_reports
from apps.messaging.services.guard import paused_until
from apps.messaging.services.numbers import PhoneNotSupported, check_phone
from apps.messaging.services.outcomes import MAYBE_OUT, count_tries, end, wait_for_report
from apps.messaging.services.prices import bill_for
from apps.messaging.services.routing import Leg, can, next_leg
from core.outbox.relay import RetryLater
from core.tenancy import tenant_atomic
from services.sms.base import SmsCapability
from services.sms.encoding import clean_text
from services.sms.numbers import Number

Channel = Message.Channel
SOONEST, LATEST = timedelta(seconds=5), timedelta(minutes=15)
LOOK_AGAIN: Final = timedelta(hours=1)  # whether staff have raised a limit


class NotYet(RetryLater):
    """Nothing was sent, and nothing is wrong with the message. The outbox delivers it again after `delay`."""


class _Hopeless(Exception):
    """The message will never go out: the status in which it ends, and why."""

    def __init__(self, status: Status, why: str) -> None:
        self.status, self.why = status, why
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Claim:
    """A message that is about to be handed over, and the secret that nothing but this moment holds."""

    message: Message
    attempt: MessageTry
    first_at_provider: datetime
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        return put_in_secret(self.message.text, self.secret) if self.message.secret else self.message.text

    def without_secret(self, told: str) -> str:
        """A provider's words about the message, in case they repeat it."""
        return told.replace(self.secret, MASK) if self.secret else told


def claim_message(*, message_id: UUID, away: Collection[str] = ()) -> Claim | None:
    """Commit *submitting* and a new try; None when there is nothing (more) to hand over.

    `away` are providers that cannot take it now. Raises `NotYet` when it has to wait for one, or for a budget.
    """
    found = _claim(message_id=message_id, away=away)
    if isinstance(found, timedelta):
        raise NotYet(found)
    return found


@tenant_atomic
def _claim(*, message_id: UUID, away: Collection[str]) -> Claim | timedelta | None:
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    if message.status not in {Status.QUEUED, Status.SUBMITTING}:
        return None
    tries = list(message.attempts.order_by("number"))
    if message.channel == Channel.SMS and message.status == Status.SUBMITTING and not _may_ask_again(tries):
        wait_for_report(message)  # whoever claimed it died: the text may be out
        return None
    try:
        # Before the status: what fails in here has sent nothing, so it may simply be tried again.
        secret = _find_secret(message)
        if message.channel == Channel.EMAIL:
            return _claim_mail(message, secret, tries, away)
        return _claim_text(message, secret, tries, away)
    except _Hopeless as hopeless:
        end(message, status=hopeless.status, error=hopeless.why)
        return None


def _find_secret(message: Message) -> str:
    if message.expires_at is not None and message.expires_at <= timezone.now():
        raise _Hopeless(Status.EXPIRED, message.error or "Too old by now: not sent.")
    if not is_wanted(channel=message.channel, to=message.to, kind=message.kind):
        raise _Hopeless(Status.SUPPRESSED, "Whoever it is for has said stop meanwhile.")
    secret = find_secret(message.secret) if message.secret else ""
    if secret is None:
        raise _Hopeless(Status.EXPIRED, "What it was to tell is no longer good: not sent.")
    return secret


def _claim_mail(message: Message, secret: str, tries: list[MessageTry], away: Collection[str]) -> Claim | timedelta:
    if is_suppressed(address=message.to):
        raise _Hopeless(Status.SUPPRESSED, "The address bounces, or complained: not sent.")
    leg = Leg(email_provider())
    if leg.provider in away:
        return _wait_for_provider(message)
    claim = _begin(message, leg, tries, secret)
    expect_reports(message)
    return claim


def _claim_text(message: Message, secret: str, tries: list[MessageTry], away: Collection[str]) -> Claim | timedelta:
    number = _find_number(message)
    leg = _find_leg(message, number, tries, away)
    if isinstance(leg, timedelta):
        return leg
    if wait := _pay(message, number, secret):
        return wait
    claim = _begin(message, leg, tries, secret)
    told = {"tenant_id": message.tenant_id, "message_id": message.pk}
    MessageReference.objects.get_or_create(provider=leg.provider, key=message.pk.hex, defaults=told)
    return claim


def _find_number(message: Message) -> Number:
    try:
        number = check_phone(message.to)
    except PhoneNotSupported as refusal:
        raise _Hopeless(Status.FAILED, refusal.code) from refusal
    if message.kind == MessageKind.CODE and paused_until(number) is not None:
        raise _Hopeless(Status.FAILED, "Codes to this prefix are paused: not sent.")
    return number


def _find_leg(message: Message, number: Number, tries: list[MessageTry], away: Collection[str]) -> Leg | timedelta:
    """The next way; or how long to wait for one."""
    leg = _pinned(tries) if _may_ask_again(tries) else next_leg(number, tries=tries, away=away)
    if leg is not None and leg.provider not in away:
        return leg
    if not away and (refused := [each for each in tries if each.outcome == MessageTry.Outcome.REFUSED]):
        raise _Hopeless(Status.FAILED, refused[-1].told)
    return _wait_for_provider(message)


def _wait_for_provider(message: Message) -> timedelta:
    message.error = message.error or "No provider could take it: waits."
    message.save(update_fields=["error", "updated_at"])
    return min(max((timezone.now() - message.created_at) / 4, SOONEST), LATEST)


def _may_ask_again(tries: Iterable[MessageTry]) -> bool:
    """Whether the text may be out, at a provider that makes one text of two under one key."""
    doubtful = [each for each in tries if each.outcome in MAYBE_OUT]
    return bool(doubtful) and can(doubtful[-1].provider, SmsCapability.IDEMPOTENT_SEND)


def _pinned(tries: Iterable[MessageTry]) -> Leg:
    """Where that try was: anywhere else it could be a second text."""
    *_earlier, last = [each for each in tries if each.outcome in MAYBE_OUT]
    return Leg(last.provider, last.sender)


def _pay(message: Message, number: Number, secret: str) -> timedelta | None:
    """Count what the text costs, or say how long to wait for room in the budgets."""
    text = clean_text(put_in_secret(message.text, secret) if message.secret else message.text)
    bill = bill_for(number, text)
    if (bill.parts, bill.price.amount, bill.price.currency) != (message.parts, message.price, message.currency):
        uncount(message)  # its secret is longer than it was thought to be, or prices have changed
        message.encoding, message.parts = bill.encoding, bill.parts
        message.price, message.currency = bill.price.amount, bill.price.currency
    if message.counted_on is not None:
        return None
    full = count(message)
    if full is None:
        return None
    alert(full)
    message.error = f"Over the limit {full.scope.partition(':')[0]} of {full.period}: waits."
    message.save()
    return min(until_tomorrow(), LOOK_AGAIN)


def _begin(message: Message, leg: Leg, tries: list[MessageTry], secret: str) -> Claim:
    message.attempts.filter(outcome=MessageTry.Outcome.OPEN).update(outcome=MessageTry.Outcome.UNKNOWN)
    message.status, message.error = Status.SUBMITTING, ""
    message.provider, message.sender = leg.provider, leg.sender
    attempt: MessageTry = message.attempts.create(
        tenant_id=message.tenant_id, number=len(tries) + 1, provider=leg.provider, sender=leg.sender
    )
    message.tries = count_tries(message)
    message.save()
    first = next((each for each in tries if each.provider == leg.provider), attempt)
    return Claim(message, attempt, first.started_at, secret)
