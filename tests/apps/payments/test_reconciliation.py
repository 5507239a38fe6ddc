"""Reconciliation: every difference is found, none is made up, and what later news explains goes away by itself."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
import time_machine
from django.core.management import CommandError, call_command

from apps.payments.models.accounts import GatewayReference
from apps.payments.models.payments import Attempt, Observation, Payment
from apps.payments.models.reconciliation import ReconciliationBreak, ReconciliationRun
from apps.payments.services.attempts import record_charge, submit_attempt
from apps.payments.services.breaks import BreakResolved, open_break, resolve_break
from apps.payments.services.reconciliation import (
    explain_by_later_news,
    plan_rechecks,
    plan_reconciliation,
    recheck_attempt,
    run_reconciliation,
)
from apps.payments.tasks import reconcile_task
from core.audit.models import AuditEntry
from core.exceptions import NotFound
from core.money import Money
from core.outbox.models import OutboxEvent
from core.outbox.relay import RetryLater
from core.tenancy import outside_tenants, tenant_scope, tenant_transaction
from services.http import GatewayUnavailable
from services.payments.base import (
    ChargeNotFound,
    ChargeResult,
    ChargeStatus,
    GatewayRefused,
    ListedCharge,
)
from tests.factories.accounts import Member, make_member
from tests.factories.payments import make_payment, only_attempt
from tests.fakes import ListingGateway, ScriptedGateway, scripted_gateway
from tests.outbox import work_off_outbox

pytestmark = pytest.mark.django_db

DAY = date(2026, 11, 18)
NOON = datetime(2026, 11, 18, 12, tzinfo=UTC)
NEXT_MORNING = datetime(2026, 11, 19, 4, tzinfo=UTC)
ASKED = Money(500_000, "TZS")
PENDING = ChargeResult(status=ChargeStatus.PENDING)
PAID = ChargeResult(status=ChargeStatus.PAID, money=ASKED)
DECLINED = ChargeResult(status=ChargeStatus.DECLINED)


@pytest.fixture
def gateway(db: None) -> Iterator[ListingGateway]:
    with scripted_gateway(ListingGateway) as installed:
        assert isinstance(installed, ListingGateway)
        yield installed


def charged(
    member: Member, gateway: ScriptedGateway, *news: ChargeResult, at: datetime = NOON
) -> tuple[Payment, Attempt]:
    """A payment that was sent at `at`, and what was heard of it since."""
    with time_machine.travel(at, tick=False):
        payment = make_payment(member, gateway="scripted")
        with tenant_scope(member.tenant_id):
            with tenant_transaction():
                attempt = only_attempt(payment)
            gateway.charges = [PENDING]
            submit_attempt(attempt_id=attempt.pk)
            for each in news:
                record_charge(attempt_id=attempt.pk, source=Observation.Source.WEBHOOK, result=each)
    return payment, attempt


def listed(attempt: Attempt, result: ChargeResult = PAID, *, at: datetime = NOON, number: int = 1) -> ListedCharge:
    result = replace(result, provider_reference=f"{attempt.reference}-{number}")
    return ListedCharge(reference=attempt.reference, result=result, created_at=at)


def reconcile(day: date = DAY) -> ReconciliationRun:
    run, _is_new = ReconciliationRun.objects.get_or_create(gateway="scripted", day=day)
    ReconciliationRun.objects.filter(pk=run.pk).update(finished_at=None)
    with time_machine.travel(NEXT_MORNING, tick=False), outside_tenants():
        run_reconciliation(run_id=run.pk)
    run.refresh_from_db()
    return run


def breaks(**conditions) -> list[tuple[str, str]]:
    rows = ReconciliationBreak.objects.filter(**conditions).order_by("kind", "reference")
    return [(row.kind, row.reference) for row in rows]


def status_of(member: Member, payment: Payment) -> str:
    with tenant_scope(member.tenant_id), tenant_transaction():
        return str(Payment.objects.get(pk=payment.pk).status)


# --- The list --------------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I18")
def test_every_difference_is_found_and_none_is_made_up(gateway, figure, record_figure):
    chance = random.Random(18)
    members, count = [make_member(), make_member()], figure(quick=25, full=1000)
    dropped_count = max(1, count // 100)
    truth: dict[str, ChargeResult] = {}
    attempts: list[Attempt] = []
    for number in range(count):
        end = DECLINED if number % 10 == 9 else PAID
        is_dropped = number < dropped_count
        _payment, attempt = charged(chance.choice(members), gateway, *([] if is_dropped else [end]))
        attempts.append(attempt)
        truth[attempt.reference] = end
    dropped = {("status", attempt.reference) for attempt in attempts[:dropped_count]}
    flipped = chance.sample(attempts[dropped_count:], 5)
    for attempt in flipped:
        was_paid = truth[attempt.reference].status is ChargeStatus.PAID
        truth[attempt.reference] = DECLINED if was_paid else PAID
    gateway.listed = [listed(attempt, truth[attempt.reference]) for attempt in attempts]
    invented = [f"INVENTED{number}" for number in range(3)]
    gateway.listed += [ListedCharge(reference=name, result=PAID, created_at=NOON) for name in invented]
    chance.shuffle(gateway.listed)

    run = reconcile()

    injected = dropped | {("status", attempt.reference) for attempt in flipped}
    injected |= {("missing_here", name) for name in invented}
    assert set(breaks()) == injected
    assert (run.breaks, run.compared) == (len(injected), count + 3)
    record_figure(f"{count} charges: {len(injected)} of {len(injected)} differences found, 0 made up")


@pytest.mark.invariant("I18")
def test_a_clean_day_has_no_differences(gateway, member, stranger):
    pairs = [charged(each, gateway, PAID) for each in (member, stranger, member)]
    pairs += [charged(member, gateway, DECLINED), charged(member, gateway, DECLINED, PAID)]
    ends = [PAID, PAID, PAID, DECLINED, PAID]
    gateway.listed = [listed(attempt, end) for (_payment, attempt), end in zip(pairs, ends, strict=True)]

    run = reconcile()

    assert breaks() == []
    assert (run.compared, run.breaks, run.error) == (5, 0, "")
    assert run.finished_at is not None


def test_news_that_never_came_is_taken_from_the_list_and_explains_itself(gateway, member):
    payment, attempt = charged(member, gateway)
    gateway.listed = [listed(attempt)]

    reconcile()

    assert status_of(member, payment) == "settled"
    row = ReconciliationBreak.objects.get()
    assert (row.kind, row.reference, row.payment_id) == ("status", attempt.reference, payment.pk)
    assert row.ours["status"] == "pending"
    assert row.theirs["status"] == "paid"
    assert row.resolved_at is not None
    assert row.resolution
    assert row.resolved_by is None
    with tenant_scope(member.tenant_id), tenant_transaction():
        assert Observation.objects.filter(attempt=attempt, source="poll", status="settled").count() == 1


def test_a_charge_that_the_gateway_calls_unpaid_stays_settled_and_waits_for_a_person(gateway, member):
    payment, attempt = charged(member, gateway, PAID)
    gateway.listed = [listed(attempt, DECLINED)]

    reconcile()

    assert status_of(member, payment) == "settled"
    assert breaks(resolved_at=None) == [("status", attempt.reference)]


def test_another_amount_is_a_difference(gateway, member):
    _payment, attempt = charged(member, gateway, PAID)
    gateway.listed = [listed(attempt, replace(PAID, money=Money(490_000, "TZS")))]

    reconcile()
    assert breaks(resolved_at=None) == [("amount", attempt.reference)]

    gateway.listed = [listed(attempt)]
    reconcile()
    assert breaks(resolved_at=None) == []


def test_a_charge_that_the_list_does_not_have_is_missing_there_until_it_does(gateway, member):
    _payment, attempt = charged(member, gateway, PAID)

    reconcile()
    assert breaks(resolved_at=None) == [("missing_there", attempt.reference)]

    gateway.listed = [listed(attempt)]
    reconcile()
    assert breaks(resolved_at=None) == []


def test_an_unpaid_charge_that_the_list_does_not_have_is_no_difference(gateway, member):
    charged(member, gateway, DECLINED)
    charged(member, gateway)

    assert reconcile().breaks == 0


def test_two_payments_under_one_reference_are_a_duplicate_capture(gateway, member):
    _payment, attempt = charged(member, gateway, PAID)
    gateway.listed = [listed(attempt, number=1), listed(attempt, number=2)]

    reconcile()

    assert breaks(resolved_at=None) == [("duplicate_capture", attempt.reference)]
    explain_by_later_news()
    assert breaks(resolved_at=None) == [("duplicate_capture", attempt.reference)]


def test_money_that_went_back_without_us_is_a_difference(gateway, member):
    _payment, attempt = charged(member, gateway, PAID)
    gateway.listed = [listed(attempt, replace(PAID, refunded=Money(100_000, "TZS")))]

    reconcile()

    assert ("refund", attempt.reference) in breaks()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (datetime(2026, 11, 18, 23, 59, 58, tzinfo=UTC), datetime(2026, 11, 19, 0, 0, 3, tzinfo=UTC)),
        (datetime(2026, 11, 18, 0, 0, 1, tzinfo=UTC), datetime(2026, 11, 17, 23, 59, 55, tzinfo=UTC)),
    ],
)
def test_midnight_divides_nobody(gateway, member, ours, theirs):
    _payment, attempt = charged(member, gateway, PAID, at=ours)
    gateway.listed = [listed(attempt, at=theirs)]

    for day in (DAY - timedelta(days=1), DAY, DAY + timedelta(days=1)):
        assert reconcile(day).breaks == 0


def test_another_accounts_list_does_not_know_our_reference(gateway, member):
    _payment, attempt = charged(member, gateway, PAID)
    GatewayReference.objects.update(account_id=make_member().tenant_id)
    gateway.listed = [listed(attempt)]

    reconcile()

    assert breaks() == [("missing_here", attempt.reference)]


def test_comparing_again_finds_the_same_differences_once(gateway, member):
    _payment, attempt = charged(member, gateway, PAID)
    gateway.listed = [listed(attempt, DECLINED), ListedCharge(reference="X", result=PAID, created_at=NOON)]

    found = [reconcile().breaks for _ in range(2)]

    assert found[0] == 2
    assert ReconciliationBreak.objects.count() == 2


def test_what_a_person_has_explained_is_not_opened_again_unless_it_changes(gateway, member):
    gateway.listed = [ListedCharge(reference="X", result=PAID, created_at=NOON)]
    reconcile()
    row = ReconciliationBreak.objects.get()

    resolve_break(break_id=row.pk, actor_id=member.user.pk, resolution="Sold over the counter.")
    reconcile()
    assert ReconciliationBreak.objects.count() == 1

    gateway.listed = [ListedCharge(reference="X", result=replace(PAID, money=Money(1, "TZS")), created_at=NOON)]
    reconcile()
    assert ReconciliationBreak.objects.count() == 2


# --- Resolving -------------------------------------------------------------------------------------------------------


def test_a_person_explains_a_difference_once_and_it_is_audited(member):
    open_break("missing_here", gateway="scripted", account_id=member.tenant_id, reference="X", ours={}, theirs={})
    row = ReconciliationBreak.objects.get()

    resolve_break(break_id=row.pk, actor_id=member.user.pk, resolution="A test of theirs.")

    row.refresh_from_db()
    assert (row.resolved_by_id, row.resolution) == (member.user.pk, "A test of theirs.")
    line = AuditEntry.objects.get(action="reconciliation.resolved")
    assert (line.actor_id, line.data["resolution"]) == (member.user.pk, "A test of theirs.")
    with pytest.raises(BreakResolved):
        resolve_break(break_id=row.pk, actor_id=member.user.pk, resolution="Again.")
    with pytest.raises(NotFound):
        resolve_break(break_id=member.tenant_id, actor_id=member.user.pk, resolution="Nothing.")


def test_news_that_came_another_way_explains_a_difference(gateway, member):
    _payment, attempt = charged(member, gateway)
    open_break(
        "status",
        gateway="scripted",
        account_id=GatewayReference.objects.get().account_id,
        reference=attempt.reference,
        tenant_id=member.tenant_id,
        ours={"status": "pending"},
        theirs={"status": "paid"},
    )
    assert explain_by_later_news() == 0

    with tenant_scope(member.tenant_id):
        record_charge(attempt_id=attempt.pk, source=Observation.Source.WEBHOOK, result=PAID)

    assert explain_by_later_news() == 1
    assert breaks(resolved_at=None) == []


def test_a_reference_that_turns_up_later_explains_its_difference(gateway, member):
    _payment, attempt = charged(member, gateway)
    own = GatewayReference.objects.get().account_id
    open_break("missing_here", gateway="scripted", account_id=own, reference="NEVER", ours={}, theirs={})
    open_break("missing_here", gateway="scripted", account_id=own, reference=attempt.reference, ours={}, theirs={})

    explain_by_later_news()

    assert breaks(resolved_at=None) == [("missing_here", "NEVER")]


# --- Runs ------------------------------------------------------------------------------------------------------------


def days() -> list[date]:
    return list(ReconciliationRun.objects.order_by("day").values_list("day", flat=True))


def test_every_day_is_planned_once_and_days_that_nobody_was_there_for_are_made_up(gateway):
    with time_machine.travel(datetime(2026, 11, 19, 1, 30, tzinfo=UTC), tick=False) as clock:
        plan_reconciliation()
        assert days() == [date(2026, 11, 17)]  # the 18th's list may not be complete yet

        clock.move_to(datetime(2026, 11, 19, 2, 30, tzinfo=UTC))
        assert plan_reconciliation() == 1
        ReconciliationRun.objects.update(finished_at=NEXT_MORNING)
        assert plan_reconciliation() == 0

        clock.move_to(datetime(2026, 11, 22, 12, tzinfo=UTC))
        assert plan_reconciliation() == 3
        assert days() == [date(2026, 11, day) for day in (17, 18, 19, 20, 21)]

        ReconciliationRun.objects.update(finished_at=NEXT_MORNING)
        clock.move_to(datetime(2026, 12, 22, 12, tzinfo=UTC))
        assert plan_reconciliation() == 7


def test_a_run_that_never_ended_begins_again(gateway):
    with time_machine.travel(NEXT_MORNING, tick=False) as clock:
        plan_reconciliation()
        clock.shift(timedelta(minutes=59))
        assert plan_reconciliation() == 0
        clock.shift(timedelta(minutes=2))
        assert plan_reconciliation() == 1
        assert len(days()) == 1


def test_a_gateway_without_a_list_is_not_planned(db):
    with scripted_gateway(), time_machine.travel(NEXT_MORNING, tick=False):
        assert plan_reconciliation() == 0


def test_what_beat_starts_is_carried_out(gateway, member):
    payment, attempt = charged(member, gateway)
    gateway.listed = [listed(attempt)]
    gateway.queries = [PENDING] * 20

    with time_machine.travel(NEXT_MORNING, tick=False), outside_tenants():
        OutboxEvent.objects.all().delete()  # the polls of the day before
        reconcile_task()
        work_off_outbox()

    assert ReconciliationRun.objects.get().finished_at is not None
    assert status_of(member, payment) == "settled"


def test_a_gateway_that_does_not_answer_is_asked_later(gateway):
    gateway.list_error = GatewayUnavailable()

    with pytest.raises(RetryLater):
        reconcile()

    run = ReconciliationRun.objects.get()
    assert (run.finished_at, run.error) == (None, "no answer")


def test_a_gateway_that_refuses_is_said_to(gateway):
    gateway.list_error = GatewayRefused("credentials", "their own words")

    run = reconcile()

    assert (run.finished_at, run.error) == (None, "refused: credentials")


def test_the_command_compares_a_day_again(gateway, member):
    _payment, attempt = charged(member, gateway, PAID)
    gateway.listed = [listed(attempt, DECLINED)]
    out = StringIO()

    for _ in range(2):
        call_command("reconcile", "--gateway", "scripted", "--day", "2026-11-18", stdout=out)

    assert "1 compared, 1 new differences" in out.getvalue()
    assert len(gateway.calls) == 3
    gateway.list_error = GatewayUnavailable()
    with pytest.raises(CommandError) as failure:
        call_command("reconcile", "--day", "2026-11-18", stdout=out)
    assert failure.value.returncode == 1


# --- Questions -------------------------------------------------------------------------------------------------------


def asked_about() -> set[str]:
    return {event.payload["attempt_id"] for event in OutboxEvent.objects.filter(name="attempt.recheck_due")}


def test_charges_that_nobody_is_about_to_ask_about_are_asked_about(gateway, member, stranger):
    _payment, waiting = charged(member, gateway)
    _payment, overdue = charged(stranger, gateway)
    _payment, given_up = charged(member, gateway)
    charged(member, gateway, DECLINED)
    for each, changes in ((member, {"next_poll_at": NOON + timedelta(hours=2)}), (stranger, {})):
        with tenant_scope(each.tenant_id), tenant_transaction():
            Attempt.objects.filter(pk=waiting.pk).update(**changes) if changes else None
            Attempt.objects.filter(pk=given_up.pk).update(next_poll_at=None)

    with time_machine.travel(NOON + timedelta(hours=1), tick=False), outside_tenants():
        plan_rechecks()

    assert asked_about() == {str(overdue.pk), str(given_up.pk)}


def test_each_settled_charge_is_asked_about_once_within_two_days(gateway, member):
    attempts = {str(charged(member, gateway, PAID)[1].pk) for _ in range(4)}

    with time_machine.travel(NOON + timedelta(minutes=30), tick=False) as clock, outside_tenants():
        for _hour in range(60):
            plan_rechecks()
            clock.shift(timedelta(hours=1))

    events = OutboxEvent.objects.filter(name="attempt.recheck_due")
    assert asked_about() == attempts
    assert events.count() == 4


def test_asking_again_finds_what_polling_missed(gateway, member):
    payment, attempt = charged(member, gateway)
    gateway.queries = [PAID]

    with tenant_scope(member.tenant_id):
        recheck_attempt(attempt_id=attempt.pk)

    assert status_of(member, payment) == "settled"
    assert breaks() == []


def test_a_settled_charge_that_the_gateway_takes_back_or_does_not_know_is_a_difference(gateway, member):
    (first, one), (_second, two) = (charged(member, gateway, PAID) for _ in range(2))
    gateway.queries = [DECLINED, ChargeNotFound("two"), PAID]

    with tenant_scope(member.tenant_id):
        recheck_attempt(attempt_id=one.pk)
        recheck_attempt(attempt_id=two.pk)

    assert set(breaks(resolved_at=None)) == {("status", one.reference), ("missing_there", two.reference)}
    assert status_of(member, first) == "settled"
    with tenant_scope(member.tenant_id):
        recheck_attempt(attempt_id=two.pk)
    assert set(breaks(resolved_at=None)) == {("status", one.reference)}


def test_silence_after_a_question_is_left_to_the_next_hour(gateway, member):
    _payment, attempt = charged(member, gateway, PAID)
    gateway.queries = [GatewayUnavailable(), GatewayRefused("credentials")]

    with tenant_scope(member.tenant_id):
        for _ in range(2):
            recheck_attempt(attempt_id=attempt.pk)

    assert breaks() == []


def test_differences_tell_no_phone_number(gateway, member):
    _payment, attempt = charged(member, gateway, PAID)
    gateway.listed = [listed(attempt, replace(DECLINED, reason="+255712345678", raw={"phone": "+255712345678"}))]

    reconcile()

    row = ReconciliationBreak.objects.get()
    assert "712345678" not in json.dumps([row.ours, row.theirs])
