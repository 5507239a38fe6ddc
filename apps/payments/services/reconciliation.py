"""Reconciliation: our books beside the gateways', once a day by their lists and once an hour by questions.

Every difference is stored (`breaks`). What the gateway says is then recorded as news like any other, through
`record_charge`: it may bring the books together, and then the difference explains itself. Nothing is ever corrected by
hand in the tables.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeVar
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, Q, Sum
from django.utils import timezone

from apps.payments.comparison import THEIR_FATE, Difference, Fate, OurCharge, differences, told_by_them
from apps.payments.derivation import ENDS, AttemptStatus
from apps.payments.models.accounts import GatewayReference
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Observation
from apps.payments.models.reconciliation import ReconciliationBreak, ReconciliationRun
from apps.payments.selectors.payments import get_attempt
from apps.payments.services.accounts import Account, every_account, open_account, open_account_of
from apps.payments.services.attempts import ask_gateway, id_of, record_charge
from apps.payments.services.breaks import explain_breaks, open_break
from apps.payments.services.callbacks import process_again
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import NotFound
from core.outbox.publisher import publish
from core.outbox.relay import RetryLater
from core.tenancy import tenant_scope, tenant_transaction
from services.http import GatewayUnavailable, OutcomeUnknown
from services.payments.base import (
    Capability,
    ChargeNotFound,
    ChargeResult,
    ChargeStatus,
    GatewayRefused,
    ListedCharge,
)

logger = logging.getLogger("faraja.payments")
T = TypeVar("T")
Kind = ReconciliationBreak.Kind

# A day is compared once lists have had time to be complete, and at most this many days afterwards.
LISTS_LAG: Final = timedelta(hours=2)
CATCH_UP_DAYS: Final = 7
# The gateway's clock and ours put a charge of midnight into different days: lists are read this much wider.
MARGIN: Final = timedelta(hours=1)
# Between noting a reference and sending it: a gateway that is away, and then the queue.
SUBMITTED_WITHIN: Final = timedelta(days=2)
CHUNK: Final = 500

OVERDUE_AFTER: Final = timedelta(minutes=15)
ASK_ABOUT_OPEN_FOR: Final = timedelta(days=30)
ASK_ABOUT_SETTLED_FOR: Final = timedelta(hours=48)
# Per account and hour, and how far apart: a pass takes less than two minutes of an account's patience.
MAX_RECHECKS: Final = 200
RECHECK_EVERY: Final = timedelta(milliseconds=500)
MAX_BREAKS_AT_ONCE: Final = 1000
AGREED: Final = "The books agree since later news."


# --- Once a day: the gateway's list ----------------------------------------------------------------------------------


def plan_reconciliation() -> int:
    """Have every account that has a list compared, for each day since the last one; returns how many runs are due.

    To be called often: a day that is planned or done is left alone, days that nobody was there for are made up (at most
    seven), and a run that has not ended within the hour begins again. An account's first day is yesterday.
    """
    now = timezone.now()
    yesterday = (now - LISTS_LAG).date() - timedelta(days=1)
    planned = 0
    for account in every_account():
        if account.is_retired or Capability.LIST not in account.gateway.capabilities:
            continue
        runs = ReconciliationRun.objects.filter(gateway=account.code, account_id=account.key)
        last = runs.order_by("-day").values_list("day", flat=True).first()
        earliest = yesterday - timedelta(days=CATCH_UP_DAYS - 1)
        day = yesterday if last is None else max(last + timedelta(days=1), earliest)
        while day <= yesterday:
            planned += _plan(account, day)
            day += timedelta(days=1)
        for run in runs.filter(finished_at=None, started_at__lt=now - timedelta(hours=1), day__gte=earliest):
            planned += _plan(account, run.day)
    return planned


def reconcile_day(day: date, *, gateway: str = "") -> Iterator[ReconciliationRun]:
    """Compare one day now, here, again if need be: of every account with a list, or only at one `gateway`."""
    for account in every_account():
        if gateway in {"", account.code} and Capability.LIST in account.gateway.capabilities:
            run, _is_new = _run_of(account, day)
            ReconciliationRun.objects.filter(pk=run.pk).update(finished_at=None, breaks=0)
            with suppress(RetryLater):  # the run says why
                run_reconciliation(run_id=run.pk)
            yield ReconciliationRun.objects.get(pk=run.pk)


@transaction.atomic
def repeat_reconciliation(*, run_id: UUID, actor_id: UUID) -> None:
    """Have one account's day compared again, in the background: an operator's wish. `NotFound`."""
    run = ReconciliationRun.objects.select_for_update().filter(pk=run_id).first()
    if run is None:
        raise NotFound
    _note(run, started_at=timezone.now(), finished_at=None, breaks=0, error="")
    record(Action.RECONCILIATION_REPEATED, actor=actor_id, target=run, data={"gateway": run.gateway, "day": run.day})
    publish("reconciliation.due", {"run_id": str(run.pk)})


def run_reconciliation(*, run_id: UUID) -> None:
    """Compare one account's charges of one day with the gateway's list of them.

    Safe to repeat: a difference is stored once. `RetryLater` when the gateway does not answer; when it refuses, the run
    says so and is tried again every hour.
    """
    run = ReconciliationRun.objects.get(pk=run_id)
    if run.finished_at is not None:
        return
    try:
        account = open_account_of(run.gateway, run.account_id, run.tenant_id)
        since = datetime.combine(run.day, time.min, UTC)
        until = since + timedelta(days=1)
        listed = account.call(lambda gateway: list(gateway.list_charges(since=since - MARGIN, until=until + MARGIN)))
    except GatewayRefused as refusal:
        logger.error("gateway refused its list", extra={"gateway": run.gateway, "reason": refusal.reason})
        _note(run, error=f"refused: {refusal.reason}"[:300])
        return
    except (GatewayUnavailable, OutcomeUnknown) as silence:
        _note(run, error="no answer")
        raise silence if isinstance(silence, RetryLater) else RetryLater(timedelta(minutes=5)) from None
    compared, found = _compare_lists(account, listed, since=since, until=until)
    _note(run, error="", compared=compared, breaks=run.breaks + found, finished_at=timezone.now())


def _plan(account: Account, day: date) -> int:
    with transaction.atomic():
        run, is_new = _run_of(account, day)
        if not is_new:
            ReconciliationRun.objects.filter(pk=run.pk).update(started_at=timezone.now())
        publish("reconciliation.due", {"run_id": str(run.pk)})
    return 1


def _run_of(account: Account, day: date) -> tuple[ReconciliationRun, bool]:
    return ReconciliationRun.objects.get_or_create(
        gateway=account.code, account_id=account.key, day=day, defaults={"tenant_id": account.tenant_id}
    )


def _note(run: ReconciliationRun, **values: Any) -> None:
    ReconciliationRun.objects.filter(pk=run.pk).update(**values)


def _compare_lists(
    account: Account, listed: Sequence[ListedCharge], *, since: datetime, until: datetime
) -> tuple[int, int]:
    """How many charges were compared, and how many differences are new."""
    lines: dict[str, list[ListedCharge]] = defaultdict(list)
    for line in listed:
        lines[line.reference or line.result.provider_reference].append(line)
    of_day = [
        reference
        for reference, same in lines.items()
        if any(line.created_at is None or since <= line.created_at < until for line in same)
    ]
    open_ones = ReconciliationBreak.objects.filter(gateway=account.code, account_id=account.key, resolved_at=None)
    unexplained = set(open_ones.values_list("reference", flat=True))
    compared, found = 0, 0
    for references in _chunks(of_day):
        known = {route.reference: route for route in _routes(account, reference__in=references)}
        ours = {each.reference: each for each in _our_charges(known.values())}
        for reference in references:
            route = known.get(reference)
            if route is None:
                compared += 1
                found += _missing_here(account, reference, lines[reference])
            elif reference in ours:
                compared += 1
                mine = ours[reference]
                found += _compare_lines(account, mine, lines[reference], is_new=reference not in unexplained)
    # Those that they do not list. Compared with the wider list, so that midnight divides nobody.
    for routes in _pages(_routes(account, created_at__gte=since - SUBMITTED_WITHIN, created_at__lt=until)):
        unlisted = [route for route in routes if route.reference not in lines]
        for mine in _our_charges(unlisted):
            if mine.fate is Fate.PAID and mine.submitted_at is not None and since <= mine.submitted_at < until:
                compared += 1
                found += _open(account, mine, Difference(Kind.MISSING_THERE, mine.told()))
    return compared, found


def _compare_lines(account: Account, ours: OurCharge, lines: Sequence[ListedCharge], *, is_new: bool) -> int:
    """One charge of ours with every line of the list that has its reference. `is_new`: nothing to explain so far."""
    paid = {line.result.provider_reference: line for line in lines if line.result.status is ChargeStatus.PAID}
    found = 0
    if len(paid) > 1:
        theirs = {"provider_references": sorted(paid)}
        found += _open(account, ours, Difference(Kind.DUPLICATE_CAPTURE, ours.told(), theirs))
    best = next(iter(paid.values()), lines[-1]).result
    if is_new and not any(differences(ours, best)):
        return found
    return found + compare_charge(account, ours, best)


def _missing_here(account: Account, reference: str, lines: Sequence[ListedCharge]) -> int:
    told = told_by_them(lines[-1].result) | {"created_at": str(lines[-1].created_at or "")}
    return open_break(
        Kind.MISSING_HERE,
        gateway=account.code,
        account_id=account.key,
        reference=reference,
        tenant_id=account.tenant_id,
        ours={},
        theirs=told,
    )


# --- Once an hour: questions -----------------------------------------------------------------------------------------


def plan_rechecks() -> int:
    """Have the gateways asked again, spread over minutes; returns about how many charges.

    About whatever they have not answered for and nobody is about to ask about, for 30 days; and once about each charge
    that was settled within the last 48 hours (a forty-eighth of them every hour).
    """
    now = timezone.now()
    recent = GatewayReference.objects.filter(
        kind=GatewayReference.Kind.CHARGE, created_at__gte=now - ASK_ABOUT_OPEN_FOR
    )
    wanted: dict[tuple[str, UUID | None], list[tuple[UUID, UUID]]] = defaultdict(list)
    for tenant_id in recent.values_list("tenant_id", flat=True).distinct().order_by("tenant_id"):
        with tenant_scope(tenant_id), tenant_transaction():
            for attempt_id, gateway, account_id in _worth_asking_about(now):
                wanted[gateway, account_id].append((tenant_id, attempt_id))
    count = 0
    for attempts in wanted.values():
        # Chance decides whose turn it is, so that the same ones are not passed over every hour.
        chosen = random.sample(attempts, min(len(attempts), MAX_RECHECKS))
        for place, (tenant_id, attempt_id) in enumerate(chosen):
            with tenant_scope(tenant_id), tenant_transaction():
                publish("attempt.recheck_due", {"attempt_id": str(attempt_id)}, delay=place * RECHECK_EVERY)
            count += 1
    return count


def recheck_attempt(*, attempt_id: UUID) -> None:
    """Ask the gateway about one charge: take news of an open one, compare a settled one with our books."""
    attempt = get_attempt(attempt_id=attempt_id)
    account = open_account(attempt.gateway, attempt.account_id)
    if Capability.QUERY not in account.gateway.capabilities:
        return
    try:
        if attempt.status != AttemptStatus.SETTLED:
            ask_gateway(attempt_id=attempt_id)
            return
        _compare_by_question(account, attempt)
    except RetryLater:
        raise
    except (GatewayUnavailable, OutcomeUnknown, GatewayRefused) as silence:
        # The next hour asks again.
        logger.warning("no answer to a comparison", extra={"gateway": account.code, "error": str(silence)})


def _compare_by_question(account: Account, attempt: Attempt) -> None:
    known = id_of(attempt)
    (ours,) = _our_charges(_routes(account, reference=attempt.reference))
    try:
        theirs = account.call(lambda gateway: gateway.query(known))
    except ChargeNotFound:
        _open(account, ours, Difference(Kind.MISSING_THERE, ours.told()))
        return
    compare_charge(account, ours, theirs)


def _worth_asking_about(now: datetime) -> list[tuple[UUID, str, UUID | None]]:
    answers = Observation.objects.filter(attempt=OuterRef("pk"), status__in=ENDS).exclude(
        source=Observation.Source.SYSTEM
    )
    overdue = Q(next_poll_at=None) | Q(next_poll_at__lt=now - OVERDUE_AFTER)
    unanswered = Attempt.objects.filter(
        ~Exists(answers),
        overdue,
        submitted_at__lt=now - OVERDUE_AFTER,
        created_at__gte=now - ASK_ABOUT_OPEN_FOR,
    )
    settled = Attempt.objects.filter(
        status=AttemptStatus.SETTLED,
        submitted_at__gte=now - ASK_ABOUT_SETTLED_FOR,
        submitted_at__lt=now - OVERDUE_AFTER,
    )
    columns = ("pk", "gateway", "account_id")
    hours = ASK_ABOUT_SETTLED_FOR // timedelta(hours=1)
    turn = int(now.timestamp() // 3600) % hours
    mine = [row for row in settled.values_list(*columns) if row[0].int % hours == turn]
    return [*unanswered.values_list(*columns), *mine]


# --- What differs, and what explains it ------------------------------------------------------------------------------


def compare_charge(account: Account, ours: OurCharge, theirs: ChargeResult) -> int:
    """Store how the books differ, and take the gateway's word as news; returns how many differences are new."""
    found = list(differences(ours, theirs))
    new = sum(_open(account, ours, difference) for difference in found)
    if found and THEIR_FATE[theirs.status] is not Fate.UNCLEAR:
        with tenant_scope(ours.tenant_id):
            record_charge(attempt_id=ours.attempt_id, source=Observation.Source.POLL, result=theirs)
        (ours,) = _our_charges(_routes(account, reference=ours.reference))
        found = list(differences(ours, theirs))
    still = {difference.kind for difference in found}
    explained = [kind for kind in (Kind.STATUS, Kind.REFUND) if kind not in still]
    if theirs.money == ours.asked:
        # Another amount stays a matter for a person, although we have taken note of it.
        explained.append(Kind.AMOUNT)
    if theirs.status is not ChargeStatus.UNKNOWN:
        explained += [Kind.MISSING_THERE, Kind.MISSING_HERE]
    _explain(account.code, account.key, ours.reference, explained)
    return new


def explain_by_later_news() -> int:
    """Resolve differences that are none any more, whatever brought the news; returns how many."""
    explained = 0
    rows = ReconciliationBreak.objects.filter(resolved_at=None).order_by("opened_at")[:MAX_BREAKS_AT_ONCE]
    for row in list(rows):
        route = GatewayReference.objects.filter(
            gateway=row.gateway, account_id=row.account_id, reference=row.reference
        ).first()
        if route is not None and _is_explained(row, route):
            explained += _explain(row.gateway, row.account_id, row.reference, [row.kind])
            if row.kind == Kind.ORPHAN_EVENT:
                process_again(UUID(row.theirs["delivery_id"]))
    return explained


def _is_explained(row: ReconciliationBreak, route: GatewayReference) -> bool:
    if row.kind in {Kind.MISSING_HERE, Kind.ORPHAN_EVENT}:
        return True  # the reference is known now
    for ours in _our_charges([route]):
        if row.kind == Kind.STATUS:
            return THEIR_FATE[ChargeStatus(row.theirs["status"])] is ours.fate
        if row.kind == Kind.REFUND:
            return bool(row.theirs.get("refunded") == ours.refunded)
        if row.kind == Kind.DUPLICATE_CAPTURE:
            return ours.excess <= 0 and "provider_references" not in row.theirs
    return False


def _explain(gateway: str, account_id: UUID, reference: str, kinds: Sequence[str]) -> int:
    return explain_breaks(AGREED, gateway=gateway, account_id=account_id, reference=reference, kind__in=kinds)


def _open(account: Account, ours: OurCharge, difference: Difference) -> bool:
    return open_break(
        difference.kind,
        gateway=account.code,
        account_id=account.key,
        reference=ours.reference,
        tenant_id=ours.tenant_id,
        payment_id=ours.payment_id,
        ours=difference.ours,
        theirs=difference.theirs,
    )


# --- Our side --------------------------------------------------------------------------------------------------------


def _routes(account: Account, **conditions: Any) -> Any:
    return GatewayReference.objects.filter(
        gateway=account.code, account_id=account.key, kind=GatewayReference.Kind.CHARGE, **conditions
    )


def _our_charges(routes: Iterable[GatewayReference]) -> Iterator[OurCharge]:
    """The attempts behind these references, each read in its own tenant's room."""
    by_tenant: dict[UUID, list[UUID]] = defaultdict(list)
    for route in routes:
        by_tenant[route.tenant_id].append(route.subject_id)
    for tenant_id, attempt_ids in by_tenant.items():
        with tenant_scope(tenant_id), tenant_transaction():
            rows = Attempt.objects.filter(pk__in=attempt_ids).select_related("payment")
            attempts = list(rows.prefetch_related("observations"))
            refunded = _read_refunds(attempt_ids)
        for attempt in attempts:
            yield _our_charge(attempt, refunded=refunded.get(attempt.pk, 0))


def _read_refunds(attempt_ids: Sequence[UUID]) -> dict[UUID, int]:
    """What went back to the customer, by attempt, in the smallest unit."""
    went_out = Q(kind__in=[LedgerLine.Kind.REFUND, LedgerLine.Kind.FOREIGN_REFUND]) | Q(
        kind=LedgerLine.Kind.RETURN, refund__isnull=False
    )
    lines = LedgerLine.objects.filter(went_out, attempt_id__in=attempt_ids)
    sums = lines.order_by().values_list("attempt_id").annotate(total=Sum("amount"))
    return {attempt_id: -total for attempt_id, total in sums}


def _our_charge(attempt: Attempt, *, refunded: int) -> OurCharge:
    payment = attempt.payment
    settled = [each for each in attempt.observations.all() if each.status == AttemptStatus.SETTLED]
    return OurCharge(
        tenant_id=attempt.tenant_id,
        payment_id=payment.pk,
        attempt_id=attempt.pk,
        reference=attempt.reference,
        status=AttemptStatus(attempt.status),
        asked=payment.money,
        paid=frozenset(each.money for each in settled if each.money is not None),
        refunded=refunded,
        excess=payment.captured - payment.refunded - payment.amount,
        is_applied=payment.applied_attempt_id in {None, attempt.pk},
        submitted_at=attempt.submitted_at,
    )


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for place in range(0, len(items), CHUNK):
        yield items[place : place + CHUNK]


def _pages(routes: Any) -> Iterator[list[GatewayReference]]:
    """All of them, a page at a time, while others write."""
    last = 0
    while page := list(routes.filter(pk__gt=last).order_by("pk")[:CHUNK]):
        yield page
        last = page[-1].pk
