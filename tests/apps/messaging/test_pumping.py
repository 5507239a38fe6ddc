"""I68 and I70: somebody asks for codes in bulk, to numbers that earn them money. The limits are those of production."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from itertools import count
from typing import Any

import pytest
import time_machine
from django.core.cache import cache
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import User, VerificationCode
from apps.accounts.services.codes import code_of, request_login_code
from apps.messaging.models.limits import PrefixHour, PrefixPause, Usage
from apps.messaging.models.messages import Message
from apps.messaging.services.guard import lift_pause, note_sent, note_verified, purge_guard, refuse_paused
from apps.messaging.services.messages import queue_message
from apps.messaging.services.sending import send_message
from apps.tenants.models import Membership
from config.settings import base
from core.exceptions import NotFound
from core.throttling import database_bucket
from core.throttling.limits import Throttled
from services.sms.numbers import look_up
from tests.envelope import refusal_of
from tests.factories.accounts import Member, fresh_phone, make_member, with_proven_phone
from tests.fakes import ScriptedSms, scripted_sms
from tests.figures import Figure, RecordFigure
from tests.limits import at_once, fresh_address
from tests.outbox import work_off_outbox

pytestmark = pytest.mark.django_db
REQUEST = "/api/v1/auth/request-otp/"
VERIFY = "/api/v1/auth/verify-otp/"
HOUR = timedelta(hours=1)
OTP_LIMITS = {name: limit for name, limit in base.RATE_LIMITS.items() if name.startswith("otp_")}


@pytest.fixture(autouse=True)
def _production_limits(settings):
    cache.clear()
    settings.RATE_LIMITS = settings.RATE_LIMITS | OTP_LIMITS


@pytest.fixture
def sms() -> Iterator[ScriptedSms]:
    with scripted_sms() as gateway:
        yield gateway


@pytest.fixture
def clock(settings, monkeypatch) -> Iterator[time_machine.Traveller]:
    """A clock of the test's own, by which the limits count too: in the database, with Python's time."""
    settings.REDIS_URL = ""
    monkeypatch.setattr(database_bucket, "_NOW", {})
    with time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False) as traveller:
        yield traveller


def ask(phone: str, *, address: str = ""):
    return APIClient(REMOTE_ADDR=address or fresh_address()).post(REQUEST, {"phone": phone}, format="json")


def fresh_prefix() -> str:
    return fresh_phone()[:-4]


def numbers_of(prefix: str, amount: int) -> list[str]:
    return [f"{prefix}{number:04d}" for number in range(amount)]


def people_with(phones: list[str]) -> None:
    """Somebody for each number, so that each code that may go out goes out."""
    owner = make_member()
    users = [
        User(email=f"pump{number}.{secrets.token_hex(8)}@example.com", phone=phone, phone_verified_at=timezone.now())
        for number, phone in enumerate(phones)
    ]
    User.objects.bulk_create(users)
    Membership.objects.bulk_create(Membership(tenant_id=owner.tenant_id, user=user) for user in users)


@pytest.mark.invariant("I68", "I70")
@pytest.mark.parametrize("texts_that_money_buys", [1_000, 8])
def test_pumping_a_prefix_costs_no_more_than_the_limits_allow(
    clock, sms, settings, texts_that_money_buys, figure: Figure, record_figure: RecordFigure
):
    """10,000 numbers of one prefix from 500 addresses, in a day; every one of them is somebody's."""
    settings.SMS_TENANT_DAILY_BUDGET = texts_that_money_buys * settings.SMS_PRICES["TZ"]
    amount, step = figure(quick=60, full=10_000), timedelta(days=1) / 10_000
    phones = numbers_of(fresh_prefix(), amount)
    people_with(phones)
    sent_at: list[datetime] = []

    for number, phone in enumerate(phones):
        with suppress(Throttled):
            request_login_code(phone=phone, client=str(IPv4Address((10 << 24) + number % 500)))
            work_off_outbox()
            sent_at += [timezone.now()] * (len(sms.sent) - len(sent_at))
        clock.shift(step)

    worst = max(sum(start <= each < start + HOUR for each in sent_at) for start in sent_at)
    loss = Usage.objects.filter(scope="money:all", period="2026-03-01").values_list("used", flat=True).get()
    assert 0 < worst <= 20
    assert len(sent_at) <= min(settings.SMS_GUARD_MIN_SENT, texts_that_money_buys)
    assert loss == len(sent_at) * settings.SMS_PRICES["TZ"] <= settings.SMS_TENANT_DAILY_BUDGET
    if amount == 10_000:
        assert len(sent_at) == min(settings.SMS_GUARD_MIN_SENT, texts_that_money_buys)
    record_figure(f"{amount} requests from 500 addresses: {len(sent_at)} texts, at most {worst} within an hour")


@pytest.mark.invariant("I68")
def test_a_prefix_is_limited_whoever_has_its_numbers_and_answers_alike(settings):
    """Twice the same requests: once to numbers of nobody, and once to somebody's."""
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"otp_prefix": (3, HOUR)}
    answers = []
    for is_known in (False, True):
        phones = numbers_of(fresh_prefix(), 4)
        if is_known:
            people_with(phones)
        found = [ask(phone) for phone in phones]
        assert refusal_of(found[-1]) == (429, "throttled")
        for response in found:
            del response.headers["X-Request-ID"]
        assert 1190 <= int(found[-1].headers["Retry-After"]) <= 1200
        del found[-1].headers["Retry-After"]
        answers.append([(each.status_code, dict(each.headers)) for each in found])

    assert answers[0] == answers[1]
    assert ask(fresh_phone()).status_code == 200


@pytest.mark.invariant("I68")
@pytest.mark.parametrize(
    ("name", "phones"),
    [
        ("otp_country", ["+254712345678", "+254722345678", "+254701345678"]),
        ("otp_platform", ["+254712345678", "+256712345678", "+250788123456"]),
    ],
)
def test_a_country_and_all_together_have_a_limit_for_the_day(clock, settings, name, phones):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {name: (2, timedelta(days=1))}

    statuses = [ask(phone).status_code for phone in phones]

    assert statuses == [200, 200, 429]
    assert VerificationCode.objects.count() == 2


def test_what_a_prefix_has_in_an_hour_is_what_is_promised():
    burst, per = base.RATE_LIMITS["otp_prefix"]
    assert burst + HOUR // (per / burst) <= 20

    assert base.RATE_LIMITS["otp_country"] == (2_500, timedelta(days=1))
    assert base.RATE_LIMITS["otp_platform"] == (5_000, timedelta(days=1))


@pytest.mark.invariant("I68")
@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_a_prefix_gets_what_it_may(settings, record_figure: RecordFigure):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"otp_prefix": (10, HOUR)}
    phones = numbers_of(fresh_prefix(), 24)

    statuses = at_once(24, lambda number: ask(phones[number]).status_code)

    assert sorted(statuses) == [200] * 10 + [429] * 14
    assert VerificationCode.objects.count() == 10
    record_figure("race of 24: exactly 10")


@pytest.mark.invariant("I69")
@pytest.mark.parametrize("phone", ["+255222123456", "+255900123456", "+255410123456", "+447400123456", "+12025550123"])
def test_a_code_to_a_phone_that_gets_no_texts_is_refused_whoever_has_it(sms, phone):
    with_proven_phone(make_member(), phone)

    answers = [ask(phone), ask(phone)]

    assert {refusal_of(answer) for answer in answers} == {(422, "phone_not_supported")}
    assert not VerificationCode.objects.exists()


# --- The guard --------------------------------------------------------------------------------------------------------


def sent(prefix: str, amount: int, *, verified: int = 0) -> None:
    """What went to a prefix, and came back."""
    for number in range(amount):
        note_sent(look_up(f"{prefix}{number:04d}"))
        if number < verified:
            note_verified(look_up(f"{prefix}{number:04d}"))


def is_paused(prefix: str) -> bool:
    try:
        refuse_paused(look_up(prefix + "0001"))
    except Throttled:
        return True
    return False


@pytest.mark.invariant("I70")
@pytest.mark.parametrize(
    ("amount", "verified", "expected"), [(49, 0, False), (50, 0, True), (50, 9, True), (50, 10, False), (60, 12, False)]
)
def test_a_prefix_is_paused_at_fifty_codes_of_which_less_than_a_fifth_came_back(
    clock, amount, verified, expected, record_figure: RecordFigure
):
    prefix = fresh_prefix()

    sent(prefix, amount, verified=verified)

    assert is_paused(prefix) is expected
    assert not is_paused(fresh_prefix())
    record_figure(f"{amount} sent, {verified} verified: {'paused' if expected else 'goes on'}")


@pytest.mark.invariant("I70")
def test_whoever_asks_meanwhile_hears_what_everybody_hears_at_a_limit_and_staff_are_told_once(clock, sms, caplog):
    prefix = fresh_prefix()
    known = with_proven_phone(make_member(), prefix + "0001")
    with caplog.at_level(logging.ERROR, "faraja.messaging"):
        sent(prefix, 60)

    answers = [ask(known.user.phone), ask(prefix + "0002")]

    assert [(refusal_of(each), each.headers["Retry-After"]) for each in answers] == [((429, "throttled"), "86400")] * 2
    assert not VerificationCode.objects.exists()
    (told,) = [record.__dict__ for record in caplog.records if record.levelno == logging.ERROR]
    assert (told["pause"], told["sent"], told["verified"]) == (str(PrefixPause.objects.get().pk), 50, 0)

    clock.shift(timedelta(hours=24))
    assert ask(known.user.phone).status_code == 200


@pytest.mark.invariant("I70")
def test_a_code_that_waits_when_its_prefix_is_paused_is_not_sent(sms, in_tenant: Member):
    prefix = fresh_prefix()
    message = queue_message(channel="sms", to=prefix + "0001", text="123456", key="k", kind="code")
    receipt = queue_message(channel="sms", to=prefix + "0001", text="Paid", key="k2", kind="receipt")
    sent(prefix, 50)

    send_message(message_id=message.pk)
    send_message(message_id=receipt.pk)

    assert [each.text for each in sms.sent] == ["Paid"]
    message.refresh_from_db()
    assert message.status == "failed"


@pytest.mark.invariant("I70")
def test_codes_are_counted_when_they_go_out_and_when_they_come_back(sms):
    person = with_proven_phone(make_member())
    challenge = ask(person.user.phone).json()["data"]["challenge"]
    work_off_outbox()
    code = code_of(VerificationCode.objects.get(pk=challenge))
    body = {"challenge": challenge, "code": code}

    assert APIClient(REMOTE_ADDR=fresh_address()).post(VERIFY, body, format="json").status_code == 200
    APIClient(REMOTE_ADDR=fresh_address()).post(VERIFY, body, format="json")

    row = PrefixHour.objects.get(prefix=person.user.phone[:-4])
    assert (row.sent, row.verified) == (1, 1)


def test_other_texts_are_not_counted_by_the_guard(sms, in_tenant: Member):
    message = queue_message(channel="sms", to="+255712345678", text="Habari", key="k")
    send_message(message_id=message.pk)

    assert not PrefixHour.objects.exists()
    assert Message.objects.get().first_sent_at is not None


def test_codes_of_the_day_before_yesterday_do_not_count(clock):
    prefix = fresh_prefix()
    sent(prefix, 49)
    clock.shift(timedelta(hours=25))

    sent(prefix, 1)

    assert not is_paused(prefix)


def test_staff_can_lift_a_pause_and_the_prefix_is_counted_afresh(clock, member: Member):
    prefix = fresh_prefix()
    sent(prefix, 50)
    pause = PrefixPause.objects.get()

    lift_pause(pause_id=pause.pk, actor_id=member.user.pk)
    lift_pause(pause_id=pause.pk, actor_id=member.user.pk)
    sent(prefix, 49)
    assert not is_paused(prefix)
    sent(prefix, 1)

    assert is_paused(prefix)
    pause.refresh_from_db()
    assert pause.lifted_by_id == member.user.pk
    with pytest.raises(NotFound):
        lift_pause(pause_id=member.user.pk, actor_id=member.user.pk)


def test_what_the_guard_has_counted_is_bounded(clock):
    sent(fresh_prefix(), 50)
    clock.shift(timedelta(days=3))
    purge_guard()
    assert not PrefixHour.objects.exists()
    assert PrefixPause.objects.exists()

    clock.shift(timedelta(days=90))
    purge_guard()

    assert not PrefixPause.objects.exists()


@pytest.mark.postgresql
@pytest.mark.invariant("I70")
@pytest.mark.django_db(transaction=True)
def test_codes_that_go_out_at_once_pause_a_prefix_once():
    from core.tenancy import tenant_transaction

    prefix, turns = fresh_prefix(), count()
    sent(prefix, 44)

    def one(_number: int) -> Any:
        with tenant_transaction():
            note_sent(look_up(f"{prefix}{5000 + next(turns):04d}"))

    at_once(12, one)

    assert PrefixPause.objects.count() == 1
    assert sum(PrefixHour.objects.values_list("sent", flat=True)) == 56
