"""Use cases for texts nobody has reported on: ask the provider, and settle what stays unknown."""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.messaging.models.messages import Message
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.progress import further
from apps.messaging.services.outcomes import poll_later
from apps.messaging.services.reports import record_report
from apps.messaging.services.routing import can
from core.exceptions import Conflict, NotFound, RuleViolated
from core.outbox.publisher import publish
from core.tenancy import tenant_atomic
from services.http import GatewayUnavailable, OutcomeUnknown
from services.sms.base import SmsCapability, SmsId, SmsRefused, SmsReport
from services.sms.registry import get_sms_gateway

logger = logging.getLogger("faraja.messaging")
MAX_TRIES: Final = 2
MAX_REPEATS: Final = 5  # of one try, where a repetition cannot make a second text
OPEN: Final = frozenset({Status.SENT, Status.UNCERTAIN})
# A provider may know more of a text that we gave up on.
ASKABLE: Final = frozenset({*OPEN, Status.EXPIRED})


class NothingToAsk(Conflict):
    """Its fate is known, or it never went to a provider that answers questions."""

    code = "nothing_to_ask"
    message = _("There is nothing to ask a provider about this message.")


class AnswerRefused(RuleViolated):
    """The provider answered that it will not say. The log knows its words."""

    code = "answer_refused"
    message = _("The provider refused to answer. Check the account's credentials.")


@dataclass(frozen=True, slots=True)
class _Question:
    provider: str
    text: SmsId


def poll_message(*, message_id: UUID, poll: int) -> None:
    """Ask about a text for the `poll`-th time (from 0). After the last time without news it is expired."""
    question = _question(message_id=message_id, poll=poll)
    if question is None:
        return
    report = _ask(question)
    if report is not None:
        record_report(message_id=message_id, provider=question.provider, report=report)
    _go_on(message_id=message_id, poll=poll)


def ask_about(*, message_id: UUID) -> None:
    """Ask now, because somebody wants to know, and record the answer. Does not count as one of the polls.

    Raises `NotFound`, `NothingToAsk`, `AnswerRefused`, `GatewayUnavailable` or `OutcomeUnknown`. Not in a transaction.
    """
    question = _question(message_id=message_id, among=ASKABLE)
    if question is None:
        raise NothingToAsk
    try:
        report = get_sms_gateway(question.provider).query(question.text)
    except SmsRefused as refusal:
        logger.error(
            "sms provider refused a question", extra={"provider": question.provider, "code": refusal.code[:50]}
        )
        raise AnswerRefused from None
    if report is not None:
        record_report(message_id=message_id, provider=question.provider, report=report)


def resolve_uncertain(*, message_id: UUID) -> None:
    """No report has come in time: ask, and without news send a text once more, or leave it be.

    After the second try it is an operator's. A code is not sent twice at all: whoever misses it asks for another.
    """
    question = _question(message_id=message_id)
    if question is not None and (report := _ask(question)) is not None:
        record_report(message_id=message_id, provider=question.provider, report=report)
    _repeat(message_id=message_id)


@tenant_atomic
def _question(*, message_id: UUID, poll: int | None = None, among: Collection[str] = OPEN) -> _Question | None:
    """What to ask about a message whose fate is open; None when there is nothing to ask, or it was asked already."""
    message: Message | None = Message.objects.filter(pk=message_id).first()
    if message is None:
        raise NotFound
    if message.status not in among or (poll is not None and message.polls != poll):
        return None
    if not can(message.provider, SmsCapability.QUERY):
        return None
    last = message.attempts.filter(provider=message.provider).order_by("-number").first()
    text = SmsId(
        key=message.pk.hex,
        phone=message.to,
        provider_reference=last.provider_reference if last else "",
        sent_at=last.started_at if last else message.first_sent_at,
        text="" if message.secret else message.text,
    )
    return _Question(message.provider, text)


def _ask(question: _Question) -> SmsReport | None:
    try:
        return get_sms_gateway(question.provider).query(question.text)
    except (GatewayUnavailable, OutcomeUnknown, SmsRefused) as error:
        logger.warning(
            "sms cannot be asked about", extra={"provider": question.provider, "error": type(error).__name__}
        )
        return None


@tenant_atomic
def _go_on(*, message_id: UUID, poll: int) -> None:
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    if message.polls != poll:
        return
    message.polls = poll + 1
    if message.status == Status.SENT and not poll_later(message, poll=poll + 1):
        message.status = further(message.status, Status.EXPIRED)
        message.error = "The provider never said what became of it."
    message.save()


@tenant_atomic
def _repeat(*, message_id: UUID) -> None:
    message: Message = Message.objects.select_for_update().get(pk=message_id)
    if message.status != Status.UNCERTAIN:
        return
    if can(message.provider, SmsCapability.IDEMPOTENT_SEND):
        if message.tries < MAX_REPEATS:
            _queue_again(message)
        return
    if not message.is_repeatable:
        return
    if message.tries >= MAX_TRIES:
        logger.error("sms stays uncertain", extra={"message_id": str(message.pk)})
        return
    message.counted_on = None  # a second text, which costs again
    _queue_again(message)


def _queue_again(message: Message) -> None:
    message.status = Status.QUEUED
    message.save()
    publish("message.queued", {"message_id": str(message.pk)})
