"""Whom a text is given to: in order, past what refuses it, and never to two when the first may have taken it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from apps.messaging.models.messages import Message
from apps.messaging.services.claims import NotYet, claim_message
from apps.messaging.services.messages import queue_message
from apps.messaging.services.polling import resolve_uncertain
from apps.messaging.services.routing import Leg, legs_for
from apps.messaging.services.sending import send_message
from core.outbox.models import OutboxEvent
from core.outbox.relay import RetryLater
from services.http import GatewayUnavailable, OutcomeUnknown
from services.sms.base import Refusal, SmsRefused
from services.sms.numbers import look_up
from tests.apps.messaging.wires import providers

pytestmark = pytest.mark.usefixtures("in_tenant")
PHONE = "+255712345678"


def a_text(key: str = "k", **how: object) -> Message:
    return queue_message(channel="sms", to=PHONE, text="Habari", key=key, **how)  # type: ignore[arg-type]


def a_code() -> Message:
    return a_text(kind="code", is_repeatable=False)


def refused(reason: Refusal) -> SmsRefused:
    return SmsRefused(reason, "111")


def story(message: Message) -> list[str]:
    message.refresh_from_db()
    return [f"{each.provider} {each.outcome}" for each in message.attempts.order_by("number")]


@pytest.mark.parametrize(
    ("routes", "legs"),
    [
        ({}, ["one", "two", "three"]),
        ({"TZ": ["two", "one"]}, ["two", "one"]),
        ({"TZ": ["two"], "255712": ["three"], "25575": ["one"]}, ["three"]),
        ({"KE": ["two"], "*": ["three", "three"]}, ["three"]),
        ({"TZ": ["gone"]}, ["one", "two", "three"]),
    ],
)
def test_the_order_follows_the_country_and_the_operator(settings, routes, legs):
    settings.SMS_ROUTES = routes
    with providers(one="plain", two="plain", three="plain"):
        assert [leg.provider for leg in legs_for(look_up(PHONE))] == legs


def test_each_provider_has_its_sender_names_in_order(settings):
    settings.SMS_SENDERS = {"one": {"TZ": ["FARAJA", "INFO"], "*": ["X"]}}
    with providers(one="plain", two="plain"):
        assert legs_for(look_up(PHONE)) == [Leg("one", "FARAJA"), Leg("one", "INFO"), Leg("two")]
        assert legs_for(look_up("+254712345678")) == [Leg("one", "X"), Leg("two")]


@pytest.mark.parametrize(
    "answer",
    [
        refused(Refusal.SENDER),
        refused(Refusal.ROUTE),
        refused(Refusal.ACCOUNT),
        refused(Refusal.LATER),
        GatewayUnavailable(),
    ],
)
def test_what_another_provider_may_cure_goes_to_the_next_one(answer):
    with providers(one="plain", two="plain") as wire:
        wire["one"].answers = [answer]
        message = a_code()

        send_message(message_id=message.pk)

        assert (len(wire["one"].sent), len(wire["two"].sent)) == (1, 1)
    message.refresh_from_db()
    assert (message.status, message.provider, message.tries) == ("sent", "two", 1)


@pytest.mark.parametrize("reason", [Refusal.NUMBER, Refusal.TEXT, Refusal.OPTED_OUT])
def test_what_no_provider_would_take_ends_it(reason):
    with providers(one="plain", two="plain") as wire:
        wire["one"].answers = [refused(reason)]
        message = a_text()

        send_message(message_id=message.pk)

        assert wire["two"].sent == []
    assert story(message) == ["one refused"]
    assert message.status == "failed"


def test_a_refused_sender_name_is_replaced_before_another_provider_is_asked(settings):
    settings.SMS_SENDERS = {"one": {"TZ": ["FARAJA", "INFO"]}}
    with providers(one="plain", two="plain") as wire:
        wire["one"].answers = [refused(Refusal.SENDER)]
        message = a_text()

        send_message(message_id=message.pk)

        assert [each.sender for each in wire["one"].sent] == ["FARAJA", "INFO"]
        assert wire["two"].sent == []
    message.refresh_from_db()
    assert message.sender == "INFO"


def test_what_a_text_is_told_about(settings):
    settings.PUBLIC_URL = "https://api.example.co.tz"
    with providers(one="plain") as wire, time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC), tick=False) as clock:
        message = a_text(kind="marketing")
        wire["one"].answers = [refused(Refusal.LATER)]
        with pytest.raises(NotYet):
            send_message(message_id=message.pk)
        clock.shift(timedelta(minutes=5))

        send_message(message_id=message.pk)

    first, second = wire["one"].sent
    assert first.first_sent == second.first_sent == datetime(2026, 3, 1, tzinfo=UTC)
    assert first.key == second.key == message.pk.hex
    assert second.callback_url == f"https://api.example.co.tz/api/v1/messaging/reports/one/{'r' * 22}/"
    assert not second.is_urgent


@pytest.mark.invariant("I71")
@pytest.mark.parametrize("kinds", [{"one": "plain", "two": "plain"}, {"one": "asked", "two": "keyed"}])
def test_a_code_that_may_be_out_goes_to_nobody_else(kinds, record_figure):
    with providers(**kinds) as wire:
        wire["one"].answers = [OutcomeUnknown()]
        message = a_code()

        for _ in range(3):
            send_message(message_id=message.pk)
            resolve_uncertain(message_id=message.pk)

        assert (len(wire["one"].sent), len(wire["two"].sent)) == (1, 0)
    assert story(message) == ["one unknown"]
    assert message.status == "uncertain"
    record_figure("1 text of 3 deliveries")


@pytest.mark.invariant("I71")
def test_a_receipt_that_may_be_out_is_sent_once_more_and_never_a_third_time(record_figure):
    with providers(one="plain", two="plain") as wire:
        wire["one"].answers = [OutcomeUnknown() for _ in range(9)]
        message = a_text(kind="receipt")

        for _ in range(5):
            send_message(message_id=message.pk)
            resolve_uncertain(message_id=message.pk)

        assert len(wire["one"].sent) + len(wire["two"].sent) == 2
    record_figure("2 texts of 5 rounds of silence")


@pytest.mark.invariant("I71")
def test_where_one_key_makes_one_text_a_code_is_asked_for_again_there_and_only_there():
    with providers(one="keyed", two="plain") as wire:
        wire["one"].answers = [OutcomeUnknown(), OutcomeUnknown()]
        message = a_code()
        send_message(message_id=message.pk)
        assert len(wire["one"].sent) == 2  # at once, under the same key

        wire["one"].answers = [GatewayUnavailable()]
        resolve_uncertain(message_id=message.pk)
        with pytest.raises(NotYet):
            send_message(message_id=message.pk)
        send_message(message_id=message.pk)

        assert {each.key for each in wire["one"].sent} == {message.pk.hex}
        assert wire["two"].sent == []
    assert story(message) == ["one unknown", "one unavailable", "one accepted"]
    assert message.status == "sent"


@pytest.mark.invariant("I71")
@pytest.mark.parametrize(("kind", "is_sent"), [("plain", False), ("keyed", True)])
def test_what_a_dead_worker_left_is_asked_for_again_only_under_one_key(kind, is_sent):
    with providers(one=kind, two="plain") as wire:
        message = a_code()
        claim_message(message_id=message.pk)  # and then the power went

        send_message(message_id=message.pk)

        assert len(wire["one"].sent) == int(is_sent)
        assert wire["two"].sent == []
    message.refresh_from_db()
    assert message.status == ("sent" if is_sent else "uncertain")


def test_when_nobody_can_take_it_now_it_waits_longer_and_longer_and_is_not_lost():
    with providers(one="plain", two="plain") as wire, time_machine.travel(datetime(2026, 3, 1, tzinfo=UTC)) as clock:
        message = a_text(kind="receipt")
        waits = []
        for _ in range(8):
            wire["one"].answers, wire["two"].answers = [GatewayUnavailable()], [refused(Refusal.ACCOUNT)]
            with pytest.raises(RetryLater) as later:
                send_message(message_id=message.pk)
            waits.append(later.value.delay)
            clock.shift(timedelta(minutes=20))

        send_message(message_id=message.pk)

    assert waits == sorted(waits)
    assert timedelta(seconds=5) <= waits[0] < waits[-1] == timedelta(minutes=15)
    message.refresh_from_db()
    assert (message.status, message.tries, message.error) == ("sent", 1, "")


def test_without_any_provider_a_text_waits_for_one():
    with providers():
        message = a_text()
        with pytest.raises(NotYet):
            send_message(message_id=message.pk)

    with providers(one="plain") as wire:
        send_message(message_id=message.pk)
        assert len(wire["one"].sent) == 1


def test_when_all_refuse_for_good_it_fails_with_the_last_word(caplog):
    with providers(one="plain", two="plain") as wire, caplog.at_level(logging.ERROR, "faraja.messaging"):
        wire["one"].answers, wire["two"].answers = [refused(Refusal.ROUTE)], [SmsRefused(Refusal.SENDER, "21212", "no")]
        message = a_text()

        send_message(message_id=message.pk)

    assert story(message) == ["one refused", "two refused"]
    assert (message.status, message.error) == ("failed", "21212: no")
    assert [record.provider for record in caplog.records] == ["two"]


# --- Asking -----------------------------------------------------------------------------------------------------------


def polls() -> list[tuple[int, float]]:
    """The questions that are planned: their number, and in how many minutes."""
    rows = OutboxEvent.objects.filter(name="message.poll_due").order_by("pk")
    return [(row.payload["poll"], round((row.next_at - row.created_at).total_seconds() / 60)) for row in rows]


def test_a_provider_that_can_be_asked_is_asked_five_times_and_then_the_text_expires():
    from apps.messaging.services.polling import poll_message

    with providers(one="asked") as wire:
        message = a_text()
        send_message(message_id=message.pk)
        wire["one"].news = [None, GatewayUnavailable(), SmsRefused(Refusal.ACCOUNT, "x")]
        for poll in range(5):
            poll_message(message_id=message.pk, poll=poll)
            poll_message(message_id=message.pk, poll=poll)  # as the outbox delivers it twice

        assert len(wire["one"].asked) == 5
        assert wire["one"].asked[0].provider_reference == "R1"
    assert polls() == [(0, 5), (1, 15), (2, 60), (3, 360), (4, 1440)]
    message.refresh_from_db()
    assert message.status == "expired"


def test_nobody_is_asked_about_a_text_that_arrived():
    from apps.messaging.services.polling import poll_message

    with providers(one="asked") as wire:
        message = a_text()
        send_message(message_id=message.pk)
        Message.objects.update(status="delivered")

        poll_message(message_id=message.pk, poll=0)

        assert wire["one"].asked == []
    assert polls() == [(0, 5)]


@pytest.mark.invariant("I71")
def test_before_a_receipt_is_repeated_its_provider_is_asked():
    from services.sms.base import MessageStatus, SmsReport

    with providers(one="asked") as wire:
        wire["one"].answers = [OutcomeUnknown()]
        message = a_text(kind="receipt")
        send_message(message_id=message.pk)
        found = SmsReport(
            key="", provider_reference="R9", phone=PHONE, status=MessageStatus.DELIVERED, raw_status="DELIVRD"
        )
        wire["one"].news = [found]

        resolve_uncertain(message_id=message.pk)

        assert len(wire["one"].sent) == 1
    message.refresh_from_db()
    assert (message.status, message.provider_reference) == ("delivered", "R9")
