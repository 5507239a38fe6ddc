"""A limit of ten admits ten: in a burst, on every store, and while Redis is refused or silent."""

from __future__ import annotations

import math
import os
import statistics
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import count

import pytest
import redis
import time_machine
from django.conf import settings as configured
from django.db import transaction
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from core import redis as shared_redis
from core.redis import RedisAway
from core.throttling import database_bucket, handover, redis_bucket
from core.throttling.buckets import Bucket, Taken
from core.throttling.limits import InsideTransaction, Limit, Spent, Throttled, find_limit, spend
from core.throttling.models import RateBucket
from core.throttling.tasks import purge_rate_buckets_task
from tests.limits import at_once, redis_that_is_a_black_hole, redis_that_refuses

needs_redis = pytest.mark.skipif(not configured.REDIS_URL, reason="needs REDIS_URL")
HOUR = timedelta(hours=1)
HOUR_IN_MICROSECONDS = 3_600_000_000


@pytest.fixture(autouse=True)
def _limits(settings):
    settings.RATE_LIMITS = {"ten": (10, HOUR), "three": (3, HOUR), "quick": (3, timedelta(seconds=3))}


@pytest.fixture(params=[pytest.param("redis", marks=needs_redis), "database"])
def store(request, settings) -> str:
    """Both places where buckets are kept, as an installation has them: with REDIS_URL, and without."""
    if request.param == "database":
        settings.REDIS_URL = ""
    return str(request.param)


@pytest.fixture
def ident() -> str:
    return f"asha-{uuid.uuid4()}@example.com"


def is_admitted(idents: dict[str, str]) -> bool:
    try:
        spend(idents)
    except Throttled:
        return False
    return True


def admitted_at_once(count: int, idents: dict[str, str]) -> int:
    return at_once(count, lambda _number: is_admitted(idents)).count(True)


def wait_of(idents: dict[str, str]) -> int:
    with pytest.raises(Throttled) as refusal:
        spend(idents)
    assert refusal.value.retry_after is not None
    return refusal.value.retry_after


# --- Exactly the limit ----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_sixty_at_once_exactly_the_limit_is_admitted(store):
    for _ in range(20):
        assert admitted_at_once(60, {"ten": str(uuid.uuid4())}) == 10


@needs_redis
def test_of_sixty_at_once_from_several_processes_exactly_the_limit_is_admitted(figure, ident):
    count = figure(quick=2, full=4)
    program = (
        "import sys, django; django.setup()\n"
        "from tests.core.test_throttling import admitted_at_once\n"
        "from django.conf import settings; from datetime import timedelta\n"
        "settings.RATE_LIMITS = {'ten': (10, timedelta(hours=1))}\n"
        "from tests.limits import PATIENT, redis_may_take\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "with redis_may_take(PATIENT): print(admitted_at_once(int(sys.argv[2]), {'ten': sys.argv[1]}))\n"
    )
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "config.settings.test"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, ident, str(60 // count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=env,
            cwd=configured.BASE_DIR,
        )
        for _ in range(count)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    admitted = []
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        printed = process.communicate(timeout=60)[0]
        admitted.append(int(printed.splitlines()[-1]))  # the lines above are log lines

    assert sum(admitted) == 10


@pytest.mark.django_db
def test_each_ident_and_each_limit_has_a_bucket_of_its_own(store, ident):
    assert [is_admitted({"three": ident}) for _ in range(4)] == [True, True, True, False]

    assert is_admitted({"three": f"not {ident}"})
    assert is_admitted({"ten": ident})


@pytest.mark.django_db
def test_a_request_that_one_limit_refuses_counts_against_none(store, ident):
    for _ in range(3):
        spend({"ten": ident, "three": ident})
    for _ in range(20):
        wait_of({"ten": ident, "three": ident})

    assert [is_admitted({"ten": ident}) for _ in range(8)] == [True] * 7 + [False]


@pytest.mark.django_db(transaction=True)
def test_requests_that_meet_at_two_limits_do_not_wait_for_each_other_for_ever(store, ident):
    names = ["ten", "three"]

    def one(number: int) -> bool:
        return is_admitted(dict.fromkeys(names if number % 2 else names[::-1], ident))

    assert at_once(40, one).count(True) == 3


@needs_redis
def test_a_redis_that_has_forgotten_the_script_is_taught_it_again(ident, settings):
    redis.Redis.from_url(settings.REDIS_URL).script_flush()

    assert [is_admitted({"three": ident}) for _ in range(4)] == [True, True, True, False]


@pytest.mark.django_db
def test_giving_back_undoes_one_request_and_no_other(store, ident):
    spend({"three": ident})
    spend({"three": ident})
    spend({"three": ident}).give_back()

    assert [is_admitted({"three": ident}) for _ in range(2)] == [True, False]


@pytest.mark.django_db
def test_giving_back_never_fills_a_bucket_beyond_full(store, ident):
    spent = spend({"three": ident})
    for _ in range(10):
        spent.give_back()

    assert [is_admitted({"three": ident}) for _ in range(4)] == [True, True, True, False]


@pytest.mark.django_db(transaction=True)
def test_a_bucket_admits_again_when_the_refusal_said_so(store, ident):
    for _ in range(3):
        spend({"quick": ident})
    bucket = find_limit("quick").bucket(ident)
    take = redis_bucket.take if store == "redis" else database_bucket.take
    wait = take([bucket]).wait

    assert 0 < wait <= 1_000_000
    time.sleep(wait / 1_000_000 + 0.005)
    assert take([bucket]).wait == 0
    assert take([bucket]).wait > 500_000


# --- The arithmetic -------------------------------------------------------------------------------------------------


class Model:
    """The rule in other words: a bucket of `burst` tokens that earns one per interval. Exact, with fractions."""

    def __init__(self, burst: int, interval: int) -> None:
        self.burst, self.interval = burst, interval
        self.tokens = Fraction(burst)

    def pass_time(self, microseconds: int) -> None:
        self.tokens = min(Fraction(self.burst), self.tokens + Fraction(microseconds, self.interval))

    def take(self) -> int:
        if self.tokens >= 1:
            self.tokens -= 1
            return 0
        return math.ceil((1 - self.tokens) * self.interval)

    def give_back(self) -> None:
        self.tokens = min(Fraction(self.burst), self.tokens + 1)


STEPS = st.lists(
    st.tuples(st.sampled_from(["take", "take", "take", "give back"]), st.integers(0, 4_000_000)), max_size=30
)
ON_THE_MICROSECOND = [("take", 0), ("take", 999_999), ("take", 1)]
START = 1_800_000_000_000_000
_numbers = count()


def compare_with_model(burst: int, interval: int, steps: list[tuple[str, int]], store, travel) -> None:
    model, now = Model(burst, interval), START
    bucket = Bucket(f"model:{uuid.uuid4()}-{next(_numbers)}", interval, burst)
    for step, pause in steps:
        now += pause
        model.pass_time(pause)
        travel(now)
        if step == "take":
            taken = store.take([bucket])
            assert taken.wait == model.take()
            assert taken.until_full == {bucket: (burst - model.tokens) * interval}
        else:
            store.give_back([bucket])
            model.give_back()


@pytest.mark.django_db
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(burst=st.integers(1, 6), interval=st.integers(1_000_000, 5_000_000), steps=STEPS)
@example(burst=1, interval=1_000_000, steps=ON_THE_MICROSECOND)
def test_the_database_bucket_agrees_with_a_simple_model(monkeypatch, burst, interval, steps):
    monkeypatch.setattr(database_bucket, "_NOW", {})  # Python's clock on PostgreSQL too: one that a test can move
    with time_machine.travel(datetime.fromtimestamp(START / 1_000_000, UTC), tick=False) as clock:
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        compare_with_model(
            burst,
            interval,
            steps,
            database_bucket,
            lambda now: clock.move_to(epoch + timedelta(microseconds=now)),
        )


@needs_redis
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(burst=st.integers(1, 6), interval=st.integers(1_000_000, 5_000_000), steps=STEPS)
@example(burst=1, interval=1_000_000, steps=ON_THE_MICROSECOND)
def test_the_redis_bucket_agrees_with_a_simple_model(monkeypatch, burst, interval, steps):
    scripts = {name: getattr(redis_bucket, name) for name in ("TAKE", "GIVE_BACK")}

    def travel(now: int) -> None:
        for name, script in scripts.items():
            clock = f"{{'{now // 1_000_000}', '{now % 1_000_000}'}}"
            monkeypatch.setattr(redis_bucket, name, script.replace("redis.call('TIME')", clock))

    try:
        compare_with_model(burst, interval, steps, redis_bucket, travel)
    finally:
        monkeypatch.undo()


@given(burst=st.integers(1, 1000), seconds=st.integers(1, 100_000))
def test_an_interval_is_never_shorter_than_configured(burst, seconds):
    limit = Limit("any", burst, timedelta(seconds=seconds))

    assert limit.interval * burst >= seconds * 1_000_000
    assert (limit.interval - 1) * burst < seconds * 1_000_000


@pytest.mark.parametrize(("burst", "half"), [(10, 5), (5, 2), (1, 1)])
def test_half_of_a_limit_is_never_nothing(burst, half):
    limit = Limit("any", burst, HOUR)

    assert limit.halved() == Limit("any", half, HOUR)


@pytest.mark.django_db
def test_retry_after_is_in_whole_seconds_and_long_enough(store, ident):
    for _ in range(3):
        spend({"three": ident})

    assert 1198 <= wait_of({"three": ident}) <= 1200


def test_an_unknown_limit_is_a_defect(ident):
    with pytest.raises(KeyError):
        spend({"nobody_configured_this": ident})


# --- What survives, and what is stored ------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_counting_inside_a_transaction_is_refused(store, ident):
    with transaction.atomic(), pytest.raises(InsideTransaction):
        spend({"three": ident})

    assert [is_admitted({"three": ident}) for _ in range(4)] == [True, True, True, False]


@pytest.mark.django_db
def test_neither_key_nor_row_holds_who_was_counted(store, ident, settings):
    spend({"three": ident})

    if store == "database":
        kept = list(RateBucket.objects.values_list("key", flat=True))
    else:
        kept = [str(key) for key in redis.Redis.from_url(settings.REDIS_URL).keys("rl:three:*")]
    assert kept
    assert not [key for key in kept if "asha" in key or "example.com" in key]


@needs_redis
def test_redis_forgets_a_bucket_when_it_is_full_again(ident, settings):
    spend({"quick": ident})

    key = redis_bucket.PREFIX + find_limit("quick").bucket(ident).key
    client = redis.Redis.from_url(settings.REDIS_URL)
    assert 0 < client.pttl(key) <= 1000
    time.sleep(1.1)
    assert not client.exists(key)


@pytest.mark.django_db
def test_purging_deletes_full_buckets_and_keeps_those_in_use(settings, ident):
    settings.REDIS_URL = ""
    for _ in range(3):
        spend({"three": ident})
    long_ago = time.time_ns() // 1000 - 2 * 3_600_000_000
    RateBucket.objects.bulk_create(RateBucket(key=f"old-{number}", full_at=long_ago) for number in range(1500))

    purge_rate_buckets_task()

    assert RateBucket.objects.count() == 1
    assert not is_admitted({"three": ident})


# --- Redis away -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["refused", "black hole"])
def broken_redis(request, settings) -> Iterator[str]:
    """REDIS_URL names a server that refuses connections, or one that accepts them and is silent."""
    if request.param == "refused":
        with redis_that_refuses() as url:
            settings.REDIS_URL = url
            yield url
    else:
        with redis_that_is_a_black_hole() as hole:
            settings.REDIS_URL = hole.url
            yield hole.url


@pytest.mark.django_db(transaction=True)
def test_without_its_redis_a_limit_admits_exactly_half(broken_redis, ident):
    assert admitted_at_once(60, {"ten": ident}) == 5


@pytest.mark.django_db(transaction=True)
def test_a_redis_that_is_away_costs_two_fifths_of_a_second_once(broken_redis, ident):
    times = []
    for _ in range(30):
        started = time.monotonic()
        is_admitted({"ten": ident})
        times.append(time.monotonic() - started)

    assert times[0] < 1.0
    assert statistics.median(times[1:]) < 0.1
    assert max(times[1:]) < 1.0


def test_after_the_pause_one_caller_tries_and_the_others_go_on(settings, monkeypatch):
    monkeypatch.setattr(shared_redis, "PAUSE_AFTER_FAILURE", 0.5)

    def ask(_number: int) -> float:
        started = time.monotonic()
        with pytest.raises(RedisAway):
            shared_redis.ask(lambda client: client.ping())
        return time.monotonic() - started

    with redis_that_is_a_black_hole() as hole:
        settings.REDIS_URL = hole.url
        ask(0)
        before = len(hole.visitors)
        time.sleep(0.55)
        times = at_once(20, ask)
        tried = len(hole.visitors) - before

    assert tried == 1
    assert sum(seconds > 0.15 for seconds in times) == 1


@needs_redis
def test_a_server_that_comes_back_is_asked_again(settings, monkeypatch):
    monkeypatch.setattr(shared_redis, "PAUSE_AFTER_FAILURE", 0.2)
    link = shared_redis._Link(settings.REDIS_URL)

    def fail(_client: object) -> None:
        raise redis.ConnectionError

    with pytest.raises(RedisAway):
        link.ask(fail)
    with pytest.raises(RedisAway):
        link.ask(lambda client: client.ping())
    time.sleep(0.25)

    assert link.ask(lambda client: client.ping())
    assert link.ask(lambda client: client.ping())


@needs_redis
def test_one_late_answer_does_not_make_redis_away(settings):
    link = shared_redis._Link(settings.REDIS_URL)
    asked: list[str] = []

    def late_at_first(client: redis.Redis) -> bool:
        asked.append("late" if len(asked) == 0 else "in time")
        if asked == ["late"]:
            raise redis.TimeoutError
        return bool(client.ping())

    assert link.ask(late_at_first)
    assert asked == ["late", "in time"]


@needs_redis
def test_a_late_answer_to_what_may_not_be_repeated_is_not_asked_for_again(settings):
    link = shared_redis._Link(settings.REDIS_URL)
    asked = []

    def late(_client: redis.Redis) -> None:
        asked.append("late")
        raise redis.TimeoutError

    with pytest.raises(RedisAway):
        link.ask(late, may_repeat=False)

    assert asked == ["late"]
    assert link.ask(lambda client: client.ping())


@pytest.fixture
def away(settings) -> Callable[[], AbstractContextManager[None]]:
    """Redis is away for as long as the block runs."""

    @contextmanager
    def away() -> Iterator[None]:
        before = settings.REDIS_URL
        with redis_that_refuses() as settings.REDIS_URL:
            yield
        settings.REDIS_URL = before

    return away


@needs_redis
@pytest.mark.django_db
def test_a_redis_that_goes_away_and_comes_back_gives_nobody_a_fresh_limit(away, ident):
    admitted = [is_admitted({"ten": ident}) for _ in range(4)]
    with away():
        without = [is_admitted({"ten": ident}) for _ in range(12)]
    again = [is_admitted({"ten": ident}) for _ in range(12)]
    with away():
        at_last = [is_admitted({"ten": ident}) for _ in range(12)]

    assert admitted == [True] * 4
    assert without == [True] + [False] * 11  # half of ten, of which four were used
    assert again == [True] * 5 + [False] * 7
    assert at_last == [False] * 12


@needs_redis
@pytest.mark.django_db
def test_what_was_given_back_is_not_held_against_anybody_when_redis_goes_away(away, ident):
    spent = [spend({"ten": ident}) for _ in range(5)]
    for each in spent[:2]:
        each.give_back()

    with away():
        without = [is_admitted({"ten": ident}) for _ in range(4)]

    assert without == [True, True, False, False]


@needs_redis
@pytest.mark.django_db
def test_a_refusal_by_one_limit_hands_over_what_was_used_of_the_other(away, ident):
    for _ in range(3):
        spend({"ten": ident, "three": ident})
    wait_of({"ten": ident, "three": ident})

    with away():
        wait_of({"ten": ident, "three": ident})
        without = [is_admitted({"ten": ident}) for _ in range(4)]

    assert without == [True, True, False, False]


def test_a_process_remembers_only_so_many_buckets_and_first_those_that_matter_longest(monkeypatch):
    monkeypatch.setattr(handover, "MAX_KNOWN", 10)
    buckets = [Bucket(f"bucket-{number}", HOUR_IN_MICROSECONDS, 5) for number in range(11)]
    known = handover.Handover()

    for number, bucket in enumerate(buckets):
        known.note(redis_bucket, Taken(0, {bucket: (number + 1) * HOUR_IN_MICROSECONDS}))

    assert list(known.unknown_to(database_bucket, buckets)) == buckets[-5:]
    assert known.unknown_to(redis_bucket, buckets) == {}


@needs_redis
@pytest.mark.django_db
def test_a_redis_that_goes_away_before_the_count_is_given_back_does_no_harm(settings, ident):
    spent = spend({"three": ident})
    assert spent == Spent(redis_bucket, (find_limit("three").bucket(ident),))

    with redis_that_refuses() as url:
        settings.REDIS_URL = url
        spent.give_back()
