"""What has to happen is written down with its reason, and happens: at least once, in order, for the right tenant."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
import time_machine
from django.db import DatabaseError, connections, transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st
from kombu.exceptions import OperationalError as BrokerError

from core import context
from core.outbox import relay, tasks
from core.outbox.models import OutboxEvent
from core.outbox.publisher import NoTransaction, publish, withdraw
from core.outbox.relay import MAX_ATTEMPTS, MAX_LEASED, RetryLater, backoff, claim, deliver, replay
from core.tenancy import find_current_tenant_id, tenant_scope
from tests.core import subscribers
from tests.core.subscribers import behave, heard


@pytest.fixture(autouse=True)
def _wired(settings: Any) -> None:
    settings.OUTBOX_SUBSCRIBERS = "tests.core.subscribers.SUBSCRIBERS"
    heard.clear()
    behave.clear()


def happen(what: Any, *, aggregate: str = "", name: str = "thing.happened", delay: timedelta | None = None) -> None:
    with transaction.atomic():
        publish(name, {"what": what}, aggregate=aggregate, delay=delay)


def deliver_all(limit: int = 20) -> int:
    """Claim once and deliver what was claimed; returns how many."""
    claimed = claim(limit)
    for row_id, token in claimed:
        deliver(row_id, token)
    return len(claimed)


def later(seconds: float) -> Any:
    """From now on it is `seconds` later."""
    return time_machine.travel(timezone.now() + timedelta(seconds=seconds))


def the_row() -> OutboxEvent:
    return OutboxEvent.objects.get()


def fail() -> None:
    raise ValueError("password=mango-tree-42 refused")


# --- Publishing ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_publishing_outside_a_transaction_is_refused():
    with pytest.raises(NoTransaction):
        publish("thing.happened", {"what": 1})

    assert not OutboxEvent.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_a_rollback_leaves_nothing():
    def publish_and_fail() -> None:
        with transaction.atomic():
            publish("thing.happened", {"what": 1})
            fail()

    with pytest.raises(ValueError, match="refused"):
        publish_and_fail()

    assert not OutboxEvent.objects.exists()
    assert deliver_all() == 0


def test_an_event_nobody_has_wired_is_an_error(db):
    with pytest.raises(KeyError):
        happen(1, name="thing.hapened")

    happen(1, name="thing.ignored")
    assert not OutboxEvent.objects.exists()


def test_an_event_is_a_row_per_subscriber_with_one_id(db):
    happen(1, name="thing.seen_by_two")

    rows = OutboxEvent.objects.all()
    assert {row.subscriber.rpartition(".")[2] for row in rows} == {"hear", "hear_too"}
    assert len({row.event_id for row in rows}) == 1


def test_a_delayed_event_waits(db):
    happen(1, delay=timedelta(minutes=5))

    assert deliver_all() == 0
    with later(299):
        assert deliver_all() == 0
    with later(301):
        assert deliver_all() == 1
    assert [what for what, _ in heard] == [1]


@pytest.mark.django_db(transaction=True)
def test_what_has_lost_its_reason_is_withdrawn_and_what_is_under_way_is_not():
    happen("under way", aggregate="a")
    [(row_id, token)] = claim()
    for what, aggregate in (("waits", "a"), ("waits too", "b"), ("stays", "c")):
        happen(what, aggregate=aggregate, delay=timedelta(minutes=5))

    with transaction.atomic():
        withdraw("a", "b")
    deliver(row_id, token)
    with later(301):
        deliver_all()

    assert [what for what, _ in heard] == ["under way", "stays"]


# Events that nobody hears yet: they are for subscribers outside.
FOR_OTHERS = {
    *("payment.anomaly", "refund.failed", "refund.returned"),
    *("payout.succeeded", "payout.failed", "payout.returned"),
}


def test_every_event_of_the_configuration_is_heard_by_something_that_exists():
    from config.events import SUBSCRIBERS as configured
    from core.outbox.publisher import path_of

    for name, functions in configured.items():
        assert bool(functions) is (name not in FOR_OTHERS), name
        for function in functions:
            module, _, attribute = path_of(function).rpartition(".")
            assert getattr(__import__(module, fromlist=[attribute]), attribute) is function


# --- Delivering ------------------------------------------------------------------------------------------------------


def test_a_delivered_event_is_done_and_not_delivered_again(db):
    happen("a")

    assert (deliver_all(), deliver_all()) == (1, 0)
    row = the_row()
    assert [what for what, _ in heard] == ["a"]
    assert row.done_at is not None
    assert (row.attempts, row.lease_token, row.lease_until, row.last_error) == (1, None, None, "")


@pytest.mark.invariant("I61")
def test_an_event_is_delivered_in_the_scope_of_its_tenant_which_is_left_afterwards(db):
    tenants = [uuid.uuid4(), None, uuid.uuid4()]
    for number, tenant in enumerate(tenants):
        if tenant is None:
            happen(number)
        else:
            with tenant_scope(tenant):
                happen(number)
    behave[2] = fail

    deliver_all()

    assert heard == list(enumerate(tenants))
    assert find_current_tenant_id() is None
    assert context.request_id.get() == ""


def test_a_failure_is_retried_later_and_told_without_its_secrets(db):
    happen("a")
    behave["a"] = fail
    before = timezone.now()

    deliver_all()

    row = the_row()
    assert (row.attempts, row.done_at, row.dead_at, row.lease_token) == (1, None, None, None)
    assert timedelta(seconds=1) <= row.next_at - before < timedelta(seconds=4)
    assert row.last_error.startswith("ValueError")
    assert "mango-tree-42" not in row.last_error
    assert deliver_all() == 0
    behave.clear()
    with later(5):
        assert deliver_all() == 1
    assert the_row().done_at is not None
    assert the_row().last_error == ""


@given(attempts=st.integers(min_value=1, max_value=60))
def test_the_wait_doubles_up_to_five_minutes_and_is_never_less_than_half(attempts):
    ceiling = min(2.0**attempts, 300)

    wait = backoff(attempts).total_seconds()

    assert ceiling / 2 <= wait <= ceiling


def test_waits_are_spread():
    assert len({backoff(5) for _ in range(20)}) > 10


def test_after_ten_failures_an_event_is_dead_until_an_operator_wants_it(db):
    happen("a")
    behave["a"] = fail
    now = timezone.now()

    for number in range(MAX_ATTEMPTS + 3):
        with time_machine.travel(now + timedelta(minutes=6 * number)):
            deliver_all()

    row = the_row()
    assert (len(heard), row.attempts) == (MAX_ATTEMPTS, MAX_ATTEMPTS)
    assert row.dead_at is not None
    behave.clear()
    with time_machine.travel(now + timedelta(days=1)):
        assert deliver_all() == 0
        assert replay([row.pk]) == 1
        assert deliver_all() == 1
    assert (the_row().event_id, the_row().dead_at) == (row.event_id, None)
    assert the_row().done_at is not None


def test_only_the_dead_are_replayed(db):
    happen("done")
    happen("waiting", delay=timedelta(hours=1))
    deliver_all()

    assert replay(list(OutboxEvent.objects.values_list("pk", flat=True))) == 0
    assert deliver_all() == 0


def test_a_subscriber_that_says_later_has_not_failed(db):
    def wait() -> None:
        raise RetryLater(timedelta(seconds=30))

    happen("a")
    behave["a"] = wait
    now = timezone.now()

    for number in range(MAX_ATTEMPTS + 5):
        with time_machine.travel(now + timedelta(seconds=31 * number)):
            assert deliver_all() == 1
            assert deliver_all() == 0

    row = the_row()
    assert (len(heard), row.attempts) == (MAX_ATTEMPTS + 5, 0)
    assert (row.dead_at, row.lease_token, row.last_error) == (None, None, "")


def test_a_subscriber_that_is_gone_is_a_failure_like_any_other(db):
    happen("a")
    OutboxEvent.objects.update(subscriber="tests.core.subscribers.gone")

    deliver_all()

    assert "gone" in the_row().last_error
    assert the_row().done_at is None


def test_poison_does_not_hold_up_the_others(db):
    for number in range(30):
        happen(number)
        behave[number] = fail if number % 3 == 0 else lambda: None

    while deliver_all():
        pass

    done = OutboxEvent.objects.exclude(done_at=None)
    assert {row.payload["what"] for row in done} == {number for number in range(30) if number % 3}


def test_a_slow_subscriber_of_an_event_does_not_hold_up_the_other_one(db):
    happen("a", name="thing.seen_by_two")
    behave["a"] = fail

    deliver_all()

    assert [row.done_at is not None for row in OutboxEvent.objects.order_by("subscriber")] == [False, True]


# --- Order -----------------------------------------------------------------------------------------------------------


def test_events_of_one_aggregate_wait_for_each_other_and_for_nobody_else(db):
    happen("a1", aggregate="a")
    happen("a2", aggregate="a")
    happen("b1", aggregate="b")
    happen("free")

    assert deliver_all() == 3
    assert [what for what, _ in heard] == ["a1", "b1", "free"]
    assert deliver_all() == 1
    assert heard[-1][0] == "a2"


def test_a_failed_event_holds_back_its_successors_and_a_dead_one_lets_them_go(db):
    happen("a1", aggregate="a")
    happen("a2", aggregate="a")
    behave["a1"] = fail
    now = timezone.now()

    for number in range(MAX_ATTEMPTS):
        with time_machine.travel(now + timedelta(minutes=6 * number)):
            deliver_all()
            assert "a2" not in dict(heard)
    with time_machine.travel(now + timedelta(hours=2)):
        deliver_all()

    assert heard[-1][0] == "a2"


def test_the_order_of_an_aggregate_is_per_subscriber(db):
    happen("a1", aggregate="a", name="thing.seen_by_two")
    happen("a2", aggregate="a", name="thing.seen_by_two")
    behave["a1"] = fail

    deliver_all()
    deliver_all()

    assert [what for what, _ in heard if str(what).endswith("too")] == ["a1 too", "a2 too"]
    assert "a2" not in dict(heard)


# --- Leases ----------------------------------------------------------------------------------------------------------


def test_a_claimed_event_is_nobody_elses_until_its_lease_runs_out(db, settings):
    happen("a")
    ((row_id, first),) = claim()

    assert claim() == []
    with later(settings.OUTBOX_LEASE_SECONDS + 1):
        ((again_id, second),) = claim()
        assert again_id == row_id
        assert second != first
        deliver(row_id, first)
        assert heard == []
        deliver(row_id, second)

    assert [what for what, _ in heard] == ["a"]


def test_a_worker_that_comes_back_late_writes_nothing(db, settings):
    """It stood still inside the subscriber until its lease ran out and another took over."""
    happen("a")
    ((row_id, first),) = claim()

    def stand_still() -> None:
        behave.clear()
        OutboxEvent.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
        ((_, taken_over),) = claim()
        tokens.append(taken_over)

    tokens: list[uuid.UUID] = []
    behave["a"] = stand_still

    deliver(row_id, first)

    row = the_row()
    assert (row.done_at, row.lease_token) == (None, tokens[0])
    deliver(row_id, tokens[0])
    assert the_row().done_at is not None


@pytest.mark.parametrize("outcome", ["failure", "later"])
def test_a_late_workers_failure_counts_for_nothing_either(db, outcome):
    happen("a")
    ((row_id, first),) = claim()

    def be_overtaken() -> None:
        OutboxEvent.objects.update(lease_token=taken_over, last_error="theirs")
        raise ValueError if outcome == "failure" else RetryLater(timedelta(hours=1))

    taken_over = uuid.uuid4()
    behave["a"] = be_overtaken

    deliver(row_id, first)

    assert (the_row().lease_token, the_row().last_error) == (taken_over, "theirs")


def test_an_event_that_was_done_meanwhile_is_not_done_again(db):
    happen("a")
    ((row_id, token),) = claim()
    deliver(row_id, token)

    deliver(row_id, token)

    assert len(heard) == 1


def test_a_message_that_waits_in_the_broker_costs_no_attempt(db, settings):
    """Claims without a delivery (a broker that lost the message, workers that are behind) are nobody's failure."""
    happen("a")
    now = timezone.now()

    for number in range(MAX_ATTEMPTS + 5):
        with time_machine.travel(now + timedelta(seconds=(settings.OUTBOX_LEASE_SECONDS + 1) * number)):
            assert len(claim()) == 1

    assert the_row().attempts == 0


def test_an_event_that_kills_its_worker_every_time_is_dead_in_the_end(db, settings):
    happen("a")
    behave["a"] = _die
    now = timezone.now()

    for number in range(MAX_ATTEMPTS + 3):
        with time_machine.travel(now + timedelta(seconds=(settings.OUTBOX_LEASE_SECONDS + 1) * number)):
            for row_id, token in claim():
                try:
                    deliver(row_id, token)
                except _Killed:
                    continue

    assert len(heard) == MAX_ATTEMPTS
    assert the_row().dead_at is not None
    assert the_row().last_error


class _Killed(BaseException):
    """As when the process ends in the middle: nothing after it is written."""


def _die() -> None:
    raise _Killed


# --- Several relays --------------------------------------------------------------------------------------------------


def in_threads(count: int, work: Any) -> list[Any]:
    def one(_number: int) -> Any:
        try:
            return work()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_four_relays_never_claim_one_row_twice(monkeypatch):
    monkeypatch.setattr(relay, "MAX_LEASED", 1000)
    with transaction.atomic():
        for number in range(MAX_LEASED - 20):
            publish("thing.happened", {"what": number})
    barrier = threading.Barrier(4)

    def claim_until_nothing_is_left() -> list[int]:
        barrier.wait(timeout=60)
        mine: list[int] = []
        while claimed := claim(7):
            mine += [row_id for row_id, _ in claimed]
        return mine

    taken = [row_id for mine in in_threads(4, claim_until_nothing_is_left) for row_id in mine]

    assert len(taken) == len(set(taken)) == MAX_LEASED - 20


def test_no_more_is_claimed_than_workers_can_carry_before_the_leases_run_out(db, settings):
    with transaction.atomic():
        for number in range(MAX_LEASED + 20):
            publish("thing.happened", {"what": number})
    claimed = [each for _ in range(20) for each in claim(20)]

    assert len(claimed) == MAX_LEASED
    deliver(*claimed[0])
    assert claim(20)
    with later(settings.OUTBOX_LEASE_SECONDS + 1):
        assert len(claim(20)) == 20


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_four_relays_keep_the_order_of_every_aggregate_and_deliver_each_event_once():
    with transaction.atomic():
        for number in range(10):
            for aggregate in range(8):
                publish("thing.happened", {"what": f"{aggregate} {number}"}, aggregate=f"a:{aggregate}")

    def work() -> None:
        empty = 0
        while empty < 3:
            empty = 0 if deliver_all(3) else empty + 1
            if empty:
                threading.Event().wait(0.02)

    in_threads(4, work)

    assert OutboxEvent.objects.filter(done_at=None).count() == 0
    told = [tuple(map(int, what.split())) for what, _ in heard]
    assert len(told) == len(set(told)) == 80
    for aggregate in range(8):
        assert [number for each, number in told if each == aggregate] == list(range(10))


# --- The relay's loop and its carriers -------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_the_relay_survives_whatever_handing_over_raises(settings):
    """A relay that dies delivers nothing any more, and nobody would notice."""
    settings.OUTBOX_POLL_SECONDS, settings.REDIS_URL = 0.01, ""
    settings.OUTBOX_LEASE_SECONDS = -1  # what was not delivered is free again at once
    troubles: list[Exception] = [DatabaseError("away"), ValueError("odd")]
    stop = threading.Event()
    happen("a")

    def hand_over(row_id: int, token: uuid.UUID) -> None:
        if troubles:
            raise troubles.pop()
        deliver(row_id, token)
        stop.set()

    relay.run(hand_over, stop)

    assert [what for what, _ in heard] == ["a"]


@pytest.mark.django_db(transaction=True)
def test_the_relay_takes_what_a_full_batch_has_left_without_waiting(settings):
    settings.OUTBOX_POLL_SECONDS = 30
    stop = threading.Event()
    with transaction.atomic():
        for number in range(relay.BATCH + 1):
            publish("thing.happened", {"what": number})

    def hand_over(row_id: int, token: uuid.UUID) -> None:
        deliver(row_id, token)
        if len(heard) > relay.BATCH:
            stop.set()

    relay.run(hand_over, stop)

    assert [what for what, _ in heard] == list(range(relay.BATCH + 1))


@pytest.mark.django_db(transaction=True)
def test_without_a_broker_events_are_delivered_where_they_were_claimed(monkeypatch):
    def away(**_options: object) -> None:
        raise BrokerError("connection refused")

    monkeypatch.setattr(tasks.deliver_event_task, "apply_async", away)
    happen("a")

    for row_id, token in claim():
        tasks.hand_over(row_id, token)

    assert [what for what, _ in heard] == ["a"]


def test_the_celery_task_carries_one_event(db):
    happen("a")
    ((row_id, token),) = claim()

    tasks.deliver_event_task(row_id, str(token))

    assert [what for what, _ in heard] == ["a"]


def test_old_deliveries_are_forgotten_and_the_dead_are_kept(db, settings):
    for what in ("done", "dead", "waiting"):
        happen(what, delay=timedelta(days=90) if what == "waiting" else None)
    OutboxEvent.objects.filter(payload={"what": "dead"}).update(dead_at=timezone.now())
    deliver_all()

    with later(timedelta(days=settings.OUTBOX_KEEP_DONE_DAYS, hours=1).total_seconds()):
        tasks.purge_outbox_task()

    assert {row.payload["what"] for row in OutboxEvent.objects.all()} == {"dead", "waiting"}


def test_the_subscribers_of_these_tests_are_those_of_the_settings(settings):
    assert f"{subscribers.__name__}.SUBSCRIBERS" == settings.OUTBOX_SUBSCRIBERS
