"""Use cases for gateway callbacks: store first, acknowledge, then process.

The gateway gets its 200 only after the exact bytes are committed; from then on the outbox sees to it that they are
processed. Callbacks that are not signed are hints: they make us ask, and the answer is what counts.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, InterfaceError, OperationalError
from django.db.models import F
from django.utils import timezone

from apps.payments.callback_tokens import read_callback_token
from apps.payments.models.accounts import GatewayReference
from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.payments import Observation
from apps.payments.models.reconciliation import ReconciliationBreak
from apps.payments.selectors.references import find_gateway_reference
from apps.payments.services.accounts import Account, find_account_of_address, open_account_of
from apps.payments.services.attempts import ask_gateway, record_charge
from apps.payments.services.breaks import open_break
from apps.payments.services.payouts import ask_payout, record_payout
from apps.payments.services.refunds import ask_refund, record_refund
from core.audit.actions import Action
from core.audit.record import record
from core.crash import crash_point
from core.exceptions import NotFound
from core.logging import redact
from core.outbox.publisher import publish
from core.outbox.relay import RetryLater
from core.purge import delete_in_batches
from core.sampling import HourlyLimit
from core.sealing import SealBroken
from core.tenancy import tenant_scope, tenant_transaction
from services.http import Delivery, GatewayUnavailable, OutcomeUnknown, is_header_safe
from services.payments.base import (
    Capability,
    ChargeResult,
    GatewayEvent,
    GatewayRefused,
    Subject,
    TransferResult,
    Trust,
    WebhookRejected,
)
from services.payments.registry import GatewayNotEnabled, get_gateway

logger = logging.getLogger("faraja.payments")

CALLBACK_REFUSALS = (NotFound, WebhookRejected)
KEPT_HEADERS: Final = ("content-type", "user-agent")
MAX_HEADER_LENGTH: Final = 1000
# How long news waits for whoever it is about, and a hint for a gateway that does not answer.
WAIT_AT_MOST: Final = timedelta(hours=24)
MAX_TRIES: Final = 8
REJECTED_PER_HOUR: Final = 100
_rejected = HourlyLimit(REJECTED_PER_HOUR)


# --- Receiving -------------------------------------------------------------------------------------------------------


def receive_callback(*, gateway: str, token: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Verify and store one callback: its exact bytes, and its headers by lower-case names.

    Raises `NotFound` for an address that was never given out, `WebhookRejected` for a forgery. The same news again is
    counted and changes nothing.
    """
    account = _find_account(gateway, token)
    if account is None:
        raise NotFound
    delivery = Delivery(body=body, headers=headers)
    event_key = _key_of(_read(account, delivery), delivery)
    fresh = InboxDelivery(
        gateway=gateway,
        account_id=account.key,
        event_key=event_key,
        tenant_id=account.tenant_id,
        body=delivery.body,
        headers=_kept(delivery, *account.gateway.kept_headers),
        trust=account.gateway.trust,
    )
    known = InboxDelivery.objects.filter(gateway=gateway, account_id=account.key, event_key=event_key)
    try:
        with tenant_transaction():
            if not known.update(seen=F("seen") + 1):
                fresh.save(force_insert=True)
                publish("gateway.callback_received", {"delivery_id": str(fresh.pk)})
    except IntegrityError:  # the same news twice at once
        if not known.update(seen=F("seen") + 1):
            raise
    crash_point("inbox_committed")


def _find_account(gateway: str, token: str) -> Account | None:
    """Whose address it is: the installation's, or a tenant's, also of an account that is switched off or retired."""
    config = settings.PAYMENT_GATEWAYS.get(gateway)
    if config is None:
        return None
    own = config["CALLBACK_TOKEN"]
    if own and hmac.compare_digest(own.encode(), token.encode("utf-8", "surrogatepass")):
        try:
            return Account(gateway=get_gateway(gateway), code=gateway)
        except GatewayNotEnabled:
            return None
    address = read_callback_token(token)
    return None if address is None else find_account_of_address(gateway, address)


def _read(account: Account, delivery: Delivery) -> list[GatewayEvent]:
    """The news in a genuine delivery, or `WebhookRejected`.

    Genuine news that our own code stumbles over is kept all the same: it may be about money, and can be processed once
    the defect is mended.
    """
    try:
        account.gateway.verify(delivery)
    except WebhookRejected:
        _tell_rejected(account, delivery, "not verified")
        raise
    except Exception as error:  # noqa: BLE001  whatever a verifier stumbles over, it did not say yes
        _tell_rejected(account, delivery, type(error).__name__)
        raise WebhookRejected from None
    try:
        return account.gateway.parse(delivery)
    except WebhookRejected:
        _tell_rejected(account, delivery, "not readable")
        raise
    except Exception as error:  # noqa: BLE001
        logger.error("callback cannot be read", extra={"gateway": account.code, "error": type(error).__name__})
        return []


def _tell_rejected(account: Account, delivery: Delivery, why: str) -> None:
    """A sample for the log, without content: what a stranger sends may hold anything."""
    if _rejected.admits():
        told = {
            "gateway": account.code,
            "account_id": str(account.key),
            "why": why,
            "bytes": len(delivery.body),
            "body_sha256": hashlib.sha256(delivery.body).hexdigest()[:16],
            "content_type": delivery.headers.get("content-type", "")[:50],
        }
        logger.warning("callback rejected", extra=told)


def _kept(delivery: Delivery, *names: str) -> dict[str, str]:
    """The headers that are worth keeping, as far as they can be stored: some bytes fit into no JSON column."""
    found = {name: delivery.headers.get(name, "") for name in (*KEPT_HEADERS, *names)}
    return {name: text for name, text in found.items() if 0 < len(text) <= MAX_HEADER_LENGTH and is_header_safe(text)}


def _key_of(events: list[GatewayEvent], delivery: Delivery) -> str:
    """Equal for repetitions of the same news; the bytes themselves where there is no payment news in them."""
    told = "\n".join(event.key for event in events).encode() if events else delivery.body
    return hashlib.sha256(told).hexdigest()


# --- Processing ------------------------------------------------------------------------------------------------------


def process_callback(*, delivery_id: UUID) -> None:
    """Act on one stored callback. Safe to repeat: news that is known already changes nothing.

    What cannot be processed is parked after eight tries, with its error, and delays nobody else's; `replay_delivery`
    takes it up again. News of a reference that nobody knows waits for a day, and is then a difference to be explained.
    """
    stored = InboxDelivery.objects.get(pk=delivery_id)
    if stored.processed_at is not None or stored.parked_at is not None:
        return
    try:
        outcome = _act_on(stored)
    except RetryLater:
        InboxDelivery.objects.filter(pk=delivery_id).update(subject_id=stored.subject_id)
        raise
    except (OperationalError, InterfaceError, SealBroken):
        raise  # nothing is wrong with the news
    except Exception as error:
        if not _park(stored, error):
            raise
        return
    InboxDelivery.objects.filter(pk=delivery_id).update(
        processed_at=timezone.now(), outcome=outcome, error="", subject_id=stored.subject_id
    )


def replay_delivery(*, delivery_id: UUID, actor_id: UUID) -> None:
    """Process a stored callback again, from the start: an operator's wish. `NotFound` for one that is not there."""
    with tenant_transaction():
        stored = InboxDelivery.objects.select_for_update().filter(pk=delivery_id).first()
        if stored is None:
            raise NotFound
        told = {"outcome": stored.outcome, "error": stored.error, "gateway": stored.gateway}
        process_again(stored.pk)
        record(Action.CALLBACK_REPLAYED, actor=actor_id, target=stored, data=told)


def process_again(delivery_id: UUID) -> None:
    """Forget how processing a stored callback ended, and have it processed from the start."""
    with tenant_transaction():
        fresh = {"processed_at": None, "parked_at": None, "tries": 0, "outcome": "", "error": ""}
        if InboxDelivery.objects.filter(pk=delivery_id).update(**fresh):
            publish("gateway.callback_received", {"delivery_id": str(delivery_id)})


def purge_inbox() -> None:
    """Forget callbacks that were processed `INBOX_KEEP_DAYS` ago. What is parked waits for an operator."""
    limit = timezone.now() - timedelta(days=settings.INBOX_KEEP_DAYS)
    delete_in_batches(InboxDelivery.objects.filter(received_at__lt=limit, processed_at__isnull=False))


def _act_on(stored: InboxDelivery) -> str:
    account = open_account_of(stored.gateway, stored.account_id, stored.tenant_id)
    outcomes = []
    for event in account.gateway.parse(Delivery(body=bytes(stored.body), headers=stored.headers)):
        route = find_gateway_reference(gateway=stored.gateway, reference=event.reference)
        # Another account's callback, or news of a refund that names a charge, says nothing about it.
        if route is None or route.account_id != stored.account_id or route.kind != event.subject.value:
            outcomes.append(_without_owner(stored, event, route))
            continue
        # Whom it is (first) about: operators find it with the payment, also when processing it fails.
        stored.subject_id = stored.subject_id or route.subject_id
        with tenant_scope(route.tenant_id):
            try:
                outcomes.append(APPLY[event.subject](route.subject_id, account, Trust(stored.trust), event.result))
            except (GatewayUnavailable, OutcomeUnknown) as silence:
                outcomes.append(_unanswered(stored, silence))
            except GatewayRefused as refusal:
                logger.error("gateway refused a question", extra={"gateway": account.code, "reason": refusal.reason})
                outcomes.append("the gateway refused to answer")
    # Only now, so that news without an owner does not keep the rest of its delivery waiting.
    if waits := [each for each in outcomes if isinstance(each, timedelta)]:
        raise RetryLater(min(waits))
    return "; ".join(dict.fromkeys(str(each) for each in outcomes))[:50] or "not about a payment"


def apply_charge_news(attempt_id: UUID, account: Account, trust: Trust, result: ChargeResult) -> str:
    """Let verified news of a charge count as far as it is believed; says what was done."""
    if trust is Trust.HINT and Capability.QUERY in account.gateway.capabilities:
        ask_gateway(attempt_id=attempt_id)
        return "asked the gateway"
    record_charge(attempt_id=attempt_id, source=Observation.Source.WEBHOOK, result=result, trust=trust)
    return "recorded"


def _transfer_news(
    keep: Callable[[UUID, TransferResult], None], ask: Callable[[UUID], None]
) -> Callable[[UUID, Account, Trust, Any], str]:
    """The same of money that goes out: `keep` what is signed, `ask` about the rest."""

    def apply(transfer_id: UUID, _account: Account, trust: Trust, result: TransferResult) -> str:
        if trust is Trust.SIGNED:
            keep(transfer_id, result)
            return "recorded"
        ask(transfer_id)
        return "asked the gateway"

    return apply


# What news is about, and who takes it: (id of the subject, account, trust, result) -> what was done.
APPLY: dict[Subject, Callable[[UUID, Account, Trust, Any], str]] = {
    Subject.CHARGE: apply_charge_news,
    Subject.REFUND: _transfer_news(
        lambda refund_id, result: record_refund(refund_id=refund_id, source=Observation.Source.WEBHOOK, result=result),
        lambda refund_id: ask_refund(refund_id=refund_id),
    ),
    Subject.PAYOUT: _transfer_news(
        lambda payout_id, result: record_payout(payout_id=payout_id, source=Observation.Source.WEBHOOK, result=result),
        lambda payout_id: ask_payout(payout_id=payout_id),
    ),
}


def _without_owner(stored: InboxDelivery, event: GatewayEvent, known: GatewayReference | None) -> str | timedelta:
    """Look again for a day, at growing intervals, then call it an orphan."""
    if (wait := _wait(stored)) is not None:
        return wait
    told = {"delivery_id": str(stored.pk), "subject": event.subject.value, "status": str(event.result.status)}
    money = event.result.money
    open_break(
        ReconciliationBreak.Kind.ORPHAN_EVENT,
        gateway=stored.gateway,
        account_id=stored.account_id,
        reference=event.reference,
        tenant_id=stored.tenant_id,
        ours={"kind": known.kind, "account_id": str(known.account_id)} if known else {},
        theirs=told | ({"money": money.display} if money else {}),
    )
    return "orphan"


def _unanswered(stored: InboxDelivery, silence: Exception) -> str | timedelta:
    if isinstance(silence, RetryLater):
        return silence.delay
    return _wait(stored) or "the gateway did not answer"


def _wait(stored: InboxDelivery) -> timedelta | None:
    """How long to wait this time, or None after a day."""
    age = timezone.now() - stored.received_at
    return None if age > WAIT_AT_MOST else min(max(age, timedelta(seconds=1)), timedelta(hours=1))


def _park(stored: InboxDelivery, error: Exception) -> bool:
    """Note that processing failed; whether that was once too often."""
    told = redact(f"{type(error).__name__}: {error}")[:300]
    is_last = stored.tries + 1 >= MAX_TRIES
    InboxDelivery.objects.filter(pk=stored.pk).update(
        tries=F("tries") + 1,
        error=told,
        subject_id=stored.subject_id,
        **({"parked_at": timezone.now(), "outcome": "parked"} if is_last else {}),
    )
    if is_last:
        logger.error("callback parked", extra={"gateway": stored.gateway, "delivery_id": str(stored.pk), "error": told})
    return is_last
