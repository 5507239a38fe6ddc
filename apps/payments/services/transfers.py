"""Money on its way out, refunds and payouts alike: send it once, record the news of it, ask when there is none.

News enters only through `record_transfer`: replies, callbacks, polls and people all end there, so there is one lock,
one derivation and one line of the ledger. What differs between the two stands in a `Desk`.

Whoever finds the word *submitting* asks the gateway what happened. A payout is sent again, under the same reference,
only where the gateway cannot pay it twice (`Capability.IDEMPOTENT_PAYOUT`). A refund is never sent again: no gateway
promises that the second one would be the first one.
"""

from __future__ import annotations

import hashlib
import logging
from abc import ABC, abstractmethod
from contextlib import suppress
from datetime import timedelta
from typing import ClassVar, Generic, TypeVar
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.payments.models.payments import Observation
from apps.payments.models.transfers import Payout, Refund
from apps.payments.schedule import jittered
from apps.payments.services.accounts import open_account
from apps.payments.services.breaker import GatewayResting
from apps.payments.services.questions import plan_question
from apps.payments.transfers import ENDED, SHOWN, Heard, ShownStatus, TransferStatus, derive_transfer
from core.crash import crash_point
from core.exceptions import Conflict, RuleViolated
from core.outbox.publisher import publish
from core.outbox.relay import RetryLater
from core.tenancy import tenant_atomic
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments import base
from services.payments.base import GatewayRefused, PaymentGateway, TransferNotFound, TransferResult

logger = logging.getLogger("faraja.payments")

T = TypeVar("T", Refund, Payout)

# A gateway that cannot be reached: nothing was sent, and for this long it is worth trying.
TRY_FOR = timedelta(hours=24)
LONGEST_WAIT = timedelta(minutes=5)
UNANSWERED = "unanswered"

OBSERVED = {
    base.TransferStatus.PENDING: TransferStatus.PENDING,
    base.TransferStatus.SUCCEEDED: TransferStatus.SUCCEEDED,
    base.TransferStatus.FAILED: TransferStatus.FAILED,
    base.TransferStatus.RETURNED: TransferStatus.RETURNED,
    base.TransferStatus.UNKNOWN: TransferStatus.UNKNOWN,
}


class NotWaitingForAPerson(Conflict):
    """It has ended already, or the gateway is still being asked about it."""

    code = "not_waiting_for_a_person"
    message = _("There is nothing for a person to decide here.")


class Desk(ABC, Generic[T]):
    """How refunds and payouts differ. `name` begins their events and their keys in the ledger."""

    name: ClassVar[str]

    @abstractmethod
    def get(self, transfer_id: UUID) -> T:
        """The transfer with what its request needs, of the current tenant."""

    @abstractmethod
    def lock(self, transfer_id: UUID) -> T:
        """The same, locked, after whatever has to be locked before it."""

    @abstractmethod
    def send(self, gateway: PaymentGateway, transfer: T) -> TransferResult:
        """The call that moves the money."""

    @abstractmethod
    def ask(self, gateway: PaymentGateway, transfer: T) -> TransferResult:
        """The question what became of it, or `TransferNotFound`."""

    @abstractmethod
    def can_ask(self, gateway: PaymentGateway) -> bool: ...

    @abstractmethod
    def may_send_again(self, gateway: PaymentGateway) -> bool:
        """Whether the same reference again cannot move the money twice."""

    @abstractmethod
    def moved(self, transfer: T, *, before: TransferStatus, cause: str, actor: str) -> None:
        """Bring ledger, columns and history in line with the transfer's status, under its lock."""

    def told(self, transfer: T) -> dict[str, str]:
        """The payload of its events."""
        return {f"{self.name}_id": str(transfer.pk)}

    def announce(self, transfer: T, what: str) -> None:
        publish(f"{self.name}.{what}", self.told(transfer), aggregate=f"{self.name}:{transfer.pk}")


def submit_transfer(desk: Desk[T], transfer_id: UUID) -> None:
    """Have the gateway send the money, at most once on our own initiative.

    When nothing was sent because the gateway cannot be reached, it is in line again and `RetryLater` is raised; after a
    day it fails. No transaction is open during the call.
    """
    claim = _claim(desk, transfer_id)
    if claim is None:
        return
    transfer, is_first = claim
    refusal, result = "", TransferResult(status=base.TransferStatus.UNKNOWN)
    crash_point("submitting_committed")
    try:
        account = open_account(transfer.gateway, transfer.account_id)
        result = account.call(
            lambda gateway: desk.send(gateway, transfer) if is_first else _find_out(desk, gateway, transfer)
        )
    except GatewayUnavailable as away:
        if is_first:
            _try_later(desk, transfer_id, away)
            return
    except OutcomeUnknown:
        logger.warning("nobody said whether it was sent", extra={"gateway": transfer.gateway, "kind": desk.name})
    except (GatewayRefused, RuleViolated) as error:
        logger.error("gateway refused", extra={"gateway": transfer.gateway, "kind": desk.name, "error": str(error)})
        if is_first:  # else it is the question that was refused, or the repetition
            refusal = error.reason if isinstance(error, GatewayRefused) else error.code
            result = TransferResult(status=base.TransferStatus.FAILED, reason=str(error))
    crash_point("reply_read")
    record_transfer(desk, transfer_id, source=Observation.Source.REPLY, result=result, refusal=refusal)
    crash_point("reply_recorded")


@tenant_atomic
def record_transfer(
    desk: Desk[T], transfer_id: UUID, *, source: str, result: TransferResult, actor: str = "", refusal: str = ""
) -> None:
    """Take one piece of news about a transfer, and let its status, the ledger and the history follow.

    `actor` is the person behind manual news; `refusal` a short word of ours for a failure.
    """
    transfer: T = desk.lock(transfer_id)
    status = OBSERVED[result.status]
    if result.provider_reference and not transfer.provider_reference:
        transfer.provider_reference = result.provider_reference[:100]
        transfer.save(update_fields=["provider_reference", "updated_at"])
    if not _observe(desk, transfer, source=source, status=status, result=result, actor=actor):
        return
    if status is TransferStatus.FAILED and not transfer.refusal:
        transfer.refusal = (refusal or "declined")[:50]
    _advance(desk, transfer, cause=f"{source}: {status}", actor=actor or "system")
    if transfer.status not in ENDED and transfer.next_poll_at is None:
        _schedule_poll(desk, transfer)


def ask_transfer(desk: Desk[T], transfer_id: UUID) -> None:
    """Ask once, now, and record what the gateway says. Also about one that has ended: it may have come back.

    Raises what the gateway's call raises. A gateway that does not know it (yet) has said nothing.
    """
    transfer: T = desk.get(transfer_id)
    if transfer.own_mark in {TransferStatus.QUEUED, TransferStatus.MANUAL}:
        return  # nothing was sent
    account = open_account(transfer.gateway, transfer.account_id)
    if transfer.status == TransferStatus.UNKNOWN:
        result = account.call(lambda gateway: _find_out(desk, gateway, transfer))
    elif desk.can_ask(account.gateway):
        try:
            result = account.call(lambda gateway: desk.ask(gateway, transfer))
        except TransferNotFound:
            return
    else:
        return
    record_transfer(desk, transfer_id, source=Observation.Source.POLL, result=result)


def poll_transfer(desk: Desk[T], transfer_id: UUID, poll: int) -> None:
    """Ask about a transfer that has not ended, and plan the next question.

    `poll` is the number of this question: a repeated delivery of an old one does nothing.
    """
    transfer: T = desk.get(transfer_id)
    if transfer.polls != poll or transfer.status in ENDED:
        return
    try:
        ask_transfer(desk, transfer_id)
    except GatewayResting:
        raise  # the same question again, once the gateway is asked anything at all
    except (GatewayUnavailable, OutcomeUnknown, GatewayRefused, RuleViolated) as silence:
        logger.warning("no answer to a status query", extra={"gateway": transfer.gateway, "error": str(silence)})
    _plan_next_poll(desk, transfer_id, poll)


@tenant_atomic
def decide_transfer(
    desk: Desk[T], transfer_id: UUID, *, is_sent: bool, actor_id: UUID, told: str, is_platform: bool = False
) -> T:
    """A person says what became of a transfer: the money is with the recipient, or it never will be by this one.

    For those that a person sends, and for those about which the gateway was asked for a week in vain. Of these only the
    platform's staff (`is_platform`) decide where the installation's account was used: it is not the tenant's money
    that goes out when the same thing is sent again. Else `NotWaitingForAPerson`.
    """
    transfer: T = desk.lock(transfer_id)
    is_unanswered = UNANSWERED in transfer.anomalies and (is_platform or transfer.account_id is not None)
    if transfer.status in ENDED or not (transfer.status == TransferStatus.MANUAL or is_unanswered):
        raise NotWaitingForAPerson
    status = base.TransferStatus.SUCCEEDED if is_sent else base.TransferStatus.FAILED
    result = TransferResult(status=status, reason=told)
    source, actor = Observation.Source.MANUAL, str(actor_id)
    record_transfer(desk, transfer_id, source=source, result=result, actor=actor, refusal="" if is_sent else "rejected")
    return desk.get(transfer_id)


def _find_out(desk: Desk[T], gateway: PaymentGateway, transfer: T) -> TransferResult:
    """What became of a transfer that may have been sent; sent again only where that cannot move the money twice."""
    if desk.can_ask(gateway):
        # Not a failure: gateways know a fresh one a moment later.
        with suppress(TransferNotFound):
            return desk.ask(gateway, transfer)
    if desk.may_send_again(gateway):
        return desk.send(gateway, transfer)
    return TransferResult(status=base.TransferStatus.UNKNOWN)


@tenant_atomic
def _claim(desk: Desk[T], transfer_id: UUID) -> tuple[T, bool] | None:
    """Commit *submitting*. Returns the transfer and whether nobody had claimed it before; None: nothing to do."""
    transfer: T = desk.lock(transfer_id)
    if transfer.status not in {TransferStatus.QUEUED, TransferStatus.SUBMITTING}:
        return None
    is_first = transfer.own_mark == TransferStatus.QUEUED
    if is_first:
        transfer.own_mark = transfer.status = TransferStatus.SUBMITTING
        transfer.submitted_at = timezone.now()
        transfer.save(update_fields=["own_mark", "status", "submitted_at", "updated_at"])
    return transfer, is_first


def _try_later(desk: Desk[T], transfer_id: UUID, away: GatewayUnavailable) -> None:
    """Back in line, because nothing was sent; after a day it has failed."""
    age = _unclaim(desk, transfer_id)
    logger.warning("gateway cannot be reached", extra={"kind": desk.name, "id": str(transfer_id), "error": str(away)})
    if age is None:
        return
    if age < TRY_FOR:
        asked = timedelta(seconds=away.retry_after or 2)
        raise RetryLater(jittered(max(asked, min(age, LONGEST_WAIT))))
    result = TransferResult(status=base.TransferStatus.FAILED, reason=str(away))
    record_transfer(desk, transfer_id, source=Observation.Source.SYSTEM, result=result, refusal=away.code)


@tenant_atomic
def _unclaim(desk: Desk[T], transfer_id: UUID) -> timedelta | None:
    """Take *submitting* back; returns the transfer's age, or None when there is news of it, and nothing to repeat."""
    transfer: T = desk.lock(transfer_id)
    transfer.own_mark = TransferStatus.QUEUED
    transfer.status = _outcome(desk, transfer)[0]
    transfer.save(update_fields=["own_mark", "status", "updated_at"])
    return timezone.now() - transfer.created_at if transfer.status == TransferStatus.QUEUED else None


def _observe(
    desk: Desk[T], transfer: T, *, source: str, status: TransferStatus, result: TransferResult, actor: str
) -> bool:
    """Store one observation; False when the same news is known already."""
    told = [status, str(result.money), result.provider_reference]
    fingerprint = hashlib.sha256("\n".join(told).encode()).hexdigest()
    if Observation.objects.filter(**{desk.name: transfer}, fingerprint=fingerprint).exists():
        return False
    Observation.objects.create(
        **{desk.name: transfer},
        source=source,
        status=status,
        amount=result.money.amount if result.money else None,
        currency=result.money.currency if result.money else "",
        provider_reference=result.provider_reference[:100],
        actor=actor,
        reason=result.reason[:300],
        fingerprint=fingerprint,
    )
    return True


def _outcome(desk: Desk[T], transfer: T) -> tuple[TransferStatus, frozenset[str]]:
    heard = [
        Heard(TransferStatus(each.status), each.money)
        for each in Observation.objects.filter(**{desk.name: transfer}).order_by("received_at", "pk")
    ]
    outcome = derive_transfer(TransferStatus(transfer.own_mark), heard, asked=transfer.money)
    return outcome.status, outcome.anomalies


def _advance(desk: Desk[T], transfer: T, *, cause: str, actor: str) -> None:
    """Derive the status under the lock, write it, and everything that follows from it."""
    before = TransferStatus(transfer.status)
    after, anomalies = _outcome(desk, transfer)
    has_ended = after in ENDED
    if new := sorted(anomalies - set(transfer.anomalies)):
        logger.error("money that went out needs a person", extra={"id": str(transfer.pk), "anomalies": str(new)})
    kept = {UNANSWERED} & set(transfer.anomalies) if not has_ended else set()
    transfer.anomalies = sorted(anomalies | kept)
    transfer.status = after
    if after is not TransferStatus.FAILED:
        transfer.refusal = ""
    if has_ended:
        transfer.next_poll_at = None
        transfer.ended_at = transfer.ended_at or timezone.now()
    transfer.save()
    desk.moved(transfer, before=before, cause=cause, actor=actor)
    if SHOWN[before] is not SHOWN[after] and SHOWN[after] is not ShownStatus.PROCESSING:
        desk.announce(transfer, SHOWN[after])


@tenant_atomic
def _plan_next_poll(desk: Desk[T], transfer_id: UUID, poll: int) -> None:
    transfer: T = desk.lock(transfer_id)
    if transfer.polls != poll or transfer.status in ENDED:
        return
    transfer.polls += 1
    _schedule_poll(desk, transfer)
    if transfer.next_poll_at is None:
        transfer.anomalies = sorted({*transfer.anomalies, UNANSWERED})
        transfer.save(update_fields=["anomalies", "updated_at"])
        logger.error("gateway never answered", extra={desk.name: str(transfer.pk), "gateway": transfer.gateway})


def _schedule_poll(desk: Desk[T], transfer: T) -> None:
    plan_question(transfer, f"{desk.name}.poll_due", desk.told(transfer))
