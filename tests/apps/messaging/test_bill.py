"""What texts cost: known before they are sent, counted once, given back when nothing was sent, and never run away."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.cache import cache
from django.db import connection

from apps.messaging.models.limits import Budget, Usage
from apps.messaging.models.messages import Message
from apps.messaging.services.budgets import BudgetExceeded, TooManyTexts, set_budget
from apps.messaging.services.claims import NotYet
from apps.messaging.services.messages import (
    MessageNotRepeatable,
    TextEmpty,
    TextTooLong,
    Wish,
    queue_message,
    queue_messages,
    resend_message,
)
from apps.messaging.services.numbers import PhoneNotSupported
from apps.messaging.services.polling import resolve_uncertain
from apps.messaging.services.sending import send_message
from apps.messaging.services.usage import Share, of_day, purge_usage, take
from apps.messaging.tasks import purge_messaging_task
from core.outbox.models import OutboxEvent
from core.tenancy import tenant_scope, tenant_transaction
from services.http import GatewayUnavailable, OutcomeUnknown
from services.sms.base import Refusal, SmsRefused
from tests.factories.accounts import Member, make_member
from tests.fakes import ScriptedSms, scripted_sms
from tests.figures import Figure, RecordFigure
from tests.limits import at_once

PHONE = "+255712345678"


@pytest.fixture
def sms(in_tenant: Member) -> Iterator[ScriptedSms]:
    cache.clear()  # what was said in the log of another test
    with scripted_sms() as gateway:
        yield gateway


@pytest.fixture(autouse=True)
def _simple_prices(settings):
    settings.SMS_PRICES = {"TZ": 100, "25575": 70, "*": 900}
    settings.SMS_CURRENCY = "TZS"
    settings.SMS_PHONE_DAILY = {}


def ask(text: str = "Habari", *, to: str = PHONE, key: str = "k", **how: object) -> Message:
    return queue_message(channel="sms", to=to, text=text, key=key, **{"is_strict": True, **how})  # type: ignore[arg-type]


def used(scope: str) -> int:
    """Of today, or of this month: they are equal in these tests."""
    found = set(Usage.objects.filter(scope=scope).values_list("used", flat=True)) or {0}
    assert len(found) == 1
    return found.pop()


def own(member: Member) -> str:
    return f"money:{member.tenant_id}"


def events() -> int:
    return OutboxEvent.objects.filter(name="message.queued").count()


# --- Before sending ---------------------------------------------------------------------------------------------------


@pytest.mark.invariant("I73")
@pytest.mark.parametrize(
    ("to", "text", "told"),
    [
        (PHONE, "Habari", ("TZ", "255712", "gsm7", 1, 100)),
        (PHONE, "x" * 161, ("TZ", "255712", "gsm7", 2, 200)),
        ("+255754000111", "\u044f" * 71, ("TZ", "255754", "ucs2", 2, 140)),
        ("+254712345678", "Habari", ("KE", "254712", "gsm7", 1, 900)),
    ],
)
def test_what_a_text_costs_is_known_and_counted_before_it_is_sent(sms, in_tenant, to, text, told):
    message = ask(text, to=to)

    assert (message.country, message.operator_prefix, message.encoding, message.parts, message.price) == told
    assert message.currency == "TZS"
    assert used(own(in_tenant)) == used("money:all") == told[-1]
    assert used("texts:all") == told[3]
    assert sms.sent == []


@pytest.mark.invariant("I69")
@pytest.mark.parametrize(
    "phone",
    [
        "+255222123456",  # fixed line
        "+255410123456",  # VoIP
        "+255900123456",  # premium rate
        "+447400123456",  # a mobile number of a country that is not served
        "+12025550123",
        "+25571234567",  # one digit short
        "+99999999999999",
        "someone",
        "",
    ],
)
def test_a_phone_that_gets_no_texts_is_refused_and_nobody_is_asked(sms, phone, record_figure: RecordFigure):
    with pytest.raises(PhoneNotSupported):
        ask(to=phone)
    assert not Message.objects.exists()

    message = ask(to=phone, is_strict=False)
    send_message(message_id=message.pk)

    assert (message.status, message.error) == ("failed", "phone_not_supported")
    assert events() == 0
    assert sms.sent == []
    assert not Usage.objects.exists()
    record_figure("0 provider calls")


@pytest.mark.invariant("I73")
@pytest.mark.parametrize("text", ["x" * 10_000, "\u044f" * 10_000, "\U0001f600" * 5_000, "~" * 10_000])
def test_a_text_never_has_more_parts_than_it_may(sms, settings, text, record_figure: RecordFigure):
    with pytest.raises(TextTooLong):
        ask(text)
    assert not Message.objects.exists()

    message = ask(text, is_strict=False)
    send_message(message_id=message.pk)

    (sent,) = sms.sent
    assert message.parts == settings.SMS_MAX_PARTS
    assert sent.text.endswith("...")
    record_figure(f"10,000 characters: {message.parts} parts")


@pytest.mark.invariant("I73")
def test_line_ends_and_control_characters_are_cleaned_before_they_are_counted(sms):
    message = ask("Habari\r\nza\x00 leo\x1b\u2028\ud800")
    send_message(message_id=message.pk)

    assert [each.text for each in sms.sent] == ["Habari\nza leo\n?"]
    assert message.encoding == "gsm7"


@pytest.mark.parametrize("text", ["", "  ", "\r\n", "\x00\x07"])
def test_a_text_of_nothing_is_refused(sms, text):
    with pytest.raises(TextEmpty):
        ask(text)

    assert not Message.objects.exists()


# --- Budgets ----------------------------------------------------------------------------------------------------------


def test_a_tenant_gets_no_more_than_its_budget_and_others_go_on(sms, in_tenant, settings, caplog):
    settings.SMS_TENANT_DAILY_BUDGET = 250
    ask(key="1")
    ask(key="2")

    with caplog.at_level(logging.ERROR, "faraja.messaging"):
        for number in range(3):
            with pytest.raises(BudgetExceeded):
                ask(key=f"more {number}")

    assert Message.objects.count() == events() == 2
    assert used(own(in_tenant)) == used("money:all") == 200
    assert [record.limit for record in caplog.records] == [own(in_tenant)]
    other = make_member()
    with tenant_scope(other.tenant_id), tenant_transaction():
        ask(key="1")


def test_staff_may_give_a_tenant_another_budget(sms, in_tenant, settings):
    settings.SMS_TENANT_DAILY_BUDGET = 0
    with pytest.raises(BudgetExceeded):
        ask(key="1")

    set_budget(tenant_id=in_tenant.tenant_id, daily=100, monthly=None)
    ask(key="1")
    with pytest.raises(BudgetExceeded):
        ask(key="2")

    set_budget(tenant_id=in_tenant.tenant_id, daily=1_000, monthly=100)
    with pytest.raises(BudgetExceeded):
        ask(key="2")
    assert Budget.objects.count() == 1


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("SMS_DAILY_BUDGET", 250),
        ("SMS_MONTHLY_BUDGET", 250),
        ("SMS_DAILY", 2),
        ("SMS_COUNTRY_DAILY", {"TZ": 2}),
        ("SMS_PHONE_DAILY", {"service": 2}),
    ],
)
def test_every_shared_limit_holds_and_says_when_to_come_back(sms, settings, name, limit):
    setattr(settings, name, limit)
    with time_machine.travel(datetime(2026, 3, 1, 23, 0, tzinfo=UTC), tick=False):
        ask(key="1")
        ask(key="2")
        with pytest.raises(TooManyTexts) as refusal:
            ask(key="3")

    assert (refusal.value.code, refusal.value.retry_after) == ("throttled", 3601)
    if "MONTHLY" not in name:
        with time_machine.travel(datetime(2026, 3, 2, 0, 0, tzinfo=UTC), tick=False):
            ask(key="3")


def test_the_last_tenth_is_kept_for_what_nobody_can_do_without(sms, settings):
    settings.SMS_DAILY_BUDGET = 1_000
    for number in range(9):
        ask(key=f"{number}")

    with pytest.raises(TooManyTexts):
        ask(key="news", kind="marketing")

    ask(key="receipt", kind="receipt")


def test_many_are_asked_for_together_or_not_at_all(sms, in_tenant, settings):
    settings.SMS_TENANT_DAILY_BUDGET = 350
    wishes = [Wish(channel="sms", to=PHONE, text="Habari", key=str(number)) for number in range(4)]

    with pytest.raises(BudgetExceeded):
        queue_messages(wishes=wishes)
    assert not Message.objects.exists()

    assert len(queue_messages(wishes=wishes[:3])) == 3
    assert used(own(in_tenant)) == 300


def test_the_same_wish_twice_is_counted_once(sms, in_tenant):
    assert ask().pk == ask().pk
    send_message(message_id=ask().pk)

    assert used(own(in_tenant)) == 100


def test_a_receipt_over_budget_waits_where_it_can_be_seen_and_goes_out_later(sms, in_tenant, settings):
    settings.SMS_TENANT_DAILY_BUDGET = 0
    with time_machine.travel(datetime(2026, 3, 1, 12, 0, tzinfo=UTC), tick=False) as clock:
        message = ask(kind="receipt", is_strict=False)
        with pytest.raises(NotYet) as waits:
            send_message(message_id=message.pk)
        message.refresh_from_db()
        assert (message.status, message.error) == ("queued", "Over the limit money of 2026-03-01: waits.")
        assert timedelta() < waits.value.delay <= timedelta(hours=1)
        assert sms.sent == []

        set_budget(tenant_id=in_tenant.tenant_id, daily=100, monthly=None)
        clock.shift(waits.value.delay)
        send_message(message_id=message.pk)

    message.refresh_from_db()
    assert (message.status, message.error) == ("sent", "")
    assert used(own(in_tenant)) == 100


def test_what_waits_too_long_expires_and_the_log_says_why(sms, settings):
    settings.SMS_TENANT_DAILY_BUDGET = 0
    with time_machine.travel(datetime(2026, 3, 1, 12, 0, tzinfo=UTC), tick=False) as clock:
        message = ask(kind="receipt", is_strict=False)
        with pytest.raises(NotYet):
            send_message(message_id=message.pk)
        clock.shift(timedelta(days=7))
        send_message(message_id=message.pk)

    message.refresh_from_db()
    assert message.status == "expired"
    assert message.error.startswith("Over the limit money")


# --- Given back, or not -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answers", "counted"),
    [
        ([SmsRefused(Refusal.NUMBER, "101")], 0),
        ([SmsRefused(Refusal.SENDER, "111")], 0),
        ([OutcomeUnknown()], 100),
        ([], 100),
    ],
)
def test_only_what_was_certainly_not_sent_is_given_back(sms, in_tenant, answers, counted):
    message = ask()
    sms.answers = answers

    send_message(message_id=message.pk)

    assert used(own(in_tenant)) == used("money:all") == used("texts:TZ") * 100 == counted
    message.refresh_from_db()
    assert (message.counted_on is not None) == bool(counted)


def test_a_text_that_waits_for_its_provider_is_counted_once(sms, in_tenant):
    message = ask(is_strict=False)
    sms.answers = [GatewayUnavailable(), SmsRefused(Refusal.LATER, "busy"), SmsRefused(Refusal.ACCOUNT, "102")]

    for _ in range(3):
        with pytest.raises(NotYet):
            send_message(message_id=message.pk)
    send_message(message_id=message.pk)

    assert used(own(in_tenant)) == 100
    assert list(message.attempts.order_by("number").values_list("outcome", "reason")) == [
        ("unavailable", ""),
        ("refused", "later"),
        ("refused", "account"),
        ("accepted", ""),
    ]
    message.refresh_from_db()
    assert (message.status, message.tries) == ("sent", 1)


def test_a_second_text_costs_again(sms, in_tenant):
    message = ask(kind="receipt")
    sms.answers = [OutcomeUnknown()]
    send_message(message_id=message.pk)

    resolve_uncertain(message_id=message.pk)
    send_message(message_id=message.pk)

    assert len(sms.sent) == 2
    assert used(own(in_tenant)) == 200


def test_a_text_whose_secret_is_longer_than_thought_is_billed_as_it_is(sms, in_tenant, settings):
    settings.MESSAGE_SECRETS = f"{__name__}.SECRETS"
    message = queue_message(channel="sms", to=PHONE, text="Open {secret}", key="k", secret="long:1")
    assert (message.parts, message.price) == (1, 100)

    send_message(message_id=message.pk)

    message.refresh_from_db()
    assert (message.parts, message.price, used(own(in_tenant))) == (2, 200, 200)


SECRETS = {"long": lambda _reference: "https://example.com/" + "x" * 200}


def test_a_message_is_sent_again_as_a_new_one_that_names_the_old_one(sms, in_tenant):
    message = ask()
    sms.answers = [SmsRefused(Refusal.NUMBER, "101")]
    send_message(message_id=message.pk)

    again = resend_message(message_id=message.pk)
    send_message(message_id=again.pk)

    again.refresh_from_db()
    assert (again.repeats_id, again.status, again.text) == (message.pk, "sent", "Habari")
    assert used(own(in_tenant)) == 100
    assert resend_message(message_id=message.pk).pk != again.pk


def test_what_is_on_its_way_or_holds_a_secret_is_not_sent_again(sms, settings):
    settings.MESSAGE_SECRETS = f"{__name__}.SECRETS"
    waiting = ask(key="waiting")
    secret = queue_message(channel="sms", to=PHONE, text="Open {secret}", key="secret", secret="long:1")
    Message.objects.filter(pk=secret.pk).update(status="failed")

    for message in (waiting, secret):
        with pytest.raises(MessageNotRepeatable):
            resend_message(message_id=message.pk)


def test_old_counts_are_purged_and_those_of_this_month_stay(sms, in_tenant):
    with time_machine.travel(datetime(2025, 1, 1, 12, 0, tzinfo=UTC), tick=False):
        ask(key="old")
    ask(key="new")
    purge_usage(today=datetime(2026, 1, 1, tzinfo=UTC).date())
    assert Usage.objects.filter(period="2025-01-01").exists()

    purge_messaging_task()

    assert not Usage.objects.filter(period__startswith="2025").exists()
    assert used(own(in_tenant)) == 100


# --- Many at once -----------------------------------------------------------------------------------------------------


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_hundred_at_once_take_exactly_what_there_is(figure: Figure, record_figure: RecordFigure):
    rounds, day = figure(quick=1, full=20), datetime(2026, 3, 1, tzinfo=UTC).date()
    for number in range(rounds):
        tenant, everybody = of_day(1, f"money:{number}", day, 1_000), of_day(3, "money:all", day, 700 * (number + 1))

        def one(_each: int, tenant=tenant, everybody=everybody) -> bool:
            with tenant_transaction():
                return take([Share(tenant, 100), Share(everybody, 100)]) is None

        assert sum(at_once(20, one)) == 7
        assert used(tenant.scope) == 700
        assert used("money:all") == 700 * (number + 1)
    record_figure(f"{rounds} races of 20: 7 of 7")


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_requests_at_once_cannot_overspend_a_tenants_budget(settings):
    settings.SMS_TENANT_DAILY_BUDGET = 500
    member = make_member()

    def one(number: int) -> bool:
        with tenant_scope(member.tenant_id), tenant_transaction():
            try:
                with tenant_transaction():
                    ask(key=str(number), to=f"+2557123456{number:02d}")
            except BudgetExceeded:
                return False
            return True

    assert sum(at_once(12, one)) == 5
    assert used(own(member)) == 500
    assert connection.vendor == "postgresql"
