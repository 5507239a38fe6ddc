"""Without callbacks: asking alone ends every payment, however late the customer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest
import time_machine
from django.conf import settings
from django.utils import timezone

from apps.payments.models.payments import Attempt, Payment
from apps.payments.schedule import GIVE_UP_AFTER, jittered, next_wait
from core.money import Money
from core.outbox.models import OutboxEvent
from core.tenancy import outside_tenants, tenant_scope, tenant_transaction
from services.payments.base import ChargeId, ChargeRequest, ChargeResult, ChargeStatus
from tests.factories.payments import make_payment
from tests.fakes import ScriptedGateway, scripted_gateway
from tests.outbox import work_off_outbox

ASKED = Money(500_000, "TZS")


def asked_at(first_waits: list[float]) -> Iterator[timedelta]:
    """The ages at which one attempt is asked about."""
    age, polls = timedelta(), 0
    while (wait := next_wait(polls=polls, age=age, first_waits=first_waits)) is not None:
        age += jittered(wait)
        polls += 1
        yield age


@pytest.mark.invariant("I19")
def test_every_customer_within_a_day_is_noticed_soon_after(record_figure):
    dice, count, latest = random.Random(19), 10_000, 0.0
    schedule = list(asked_at(settings.PAYMENT_POLL_SECONDS))

    for _ in range(count):
        paid_at = timedelta(seconds=86_400 * dice.random() ** 4)  # most of them soon
        noticed = next(age for age in schedule if age >= paid_at)
        # Never longer than the longest wait of that age.
        assert noticed - paid_at <= max(paid_at, timedelta(minutes=2)) * 1.2
        latest = max(latest, (noticed - paid_at).total_seconds())

    assert schedule[-1] <= GIVE_UP_AFTER * 1.1
    assert len(schedule) < 150
    record_figure(f"{count} of {count} noticed, the last after {latest / 60:.0f} minutes; {len(schedule)} questions")


class PatientGateway(ScriptedGateway):
    """Sends no callback; each customer pays when they have decided to."""

    def __init__(self) -> None:
        super().__init__()
        self.dice = random.Random(19)
        self.decides_at: dict[str, datetime] = {}

    def charge(self, request: ChargeRequest) -> ChargeResult:
        self.decides_at[request.reference] = timezone.now() + timedelta(seconds=self.dice.choice([3, 12, 50, 3_000]))
        return ChargeResult(status=ChargeStatus.PENDING)

    def query(self, charge: ChargeId) -> ChargeResult:
        if timezone.now() < self.decides_at[charge.reference]:
            return ChargeResult(status=ChargeStatus.PENDING)
        return ChargeResult(status=ChargeStatus.PAID, money=ASKED)


@pytest.mark.django_db
@pytest.mark.invariant("I19")
def test_with_callbacks_off_polling_settles_everything(member, figure, record_figure):
    count = figure(quick=6, full=200)
    with scripted_gateway(PatientGateway), time_machine.travel(timezone.now(), tick=False) as clock:
        for _ in range(count):
            make_payment(member, gateway="scripted")
        with outside_tenants():
            while (due := _next_due()) is not None:
                # A worker is not there to the millisecond, and takes what has gathered.
                clock.move_to(max(due, timezone.now()) + timedelta(seconds=2))
                work_off_outbox()

    with tenant_scope(member.tenant_id), tenant_transaction():
        assert Payment.objects.filter(status="settled").count() == count
        questions = sum(Attempt.objects.values_list("polls", flat=True))
    record_figure(f"{count} of {count} settled by {questions} questions, no callbacks")


def _next_due() -> datetime | None:
    """When the worker has something to do about payments again; no SMS provider is there to take the receipts."""
    waiting = OutboxEvent.objects.filter(done_at=None, dead_at=None).exclude(name="payment.settled")
    waiting = waiting.exclude(name__startswith="message.")
    due: datetime | None = waiting.order_by("next_at").values_list("next_at", flat=True).first()
    return due
