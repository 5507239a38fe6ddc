"""What people want to hear: choices, STOP, the unsubscribe link, and what goes out all the same."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.selectors import subject_of
from apps.accounts.services.codes import request_login_code, send_code
from apps.messaging.kinds import ESSENTIAL, MessageKind
from apps.messaging.models.messages import Message
from apps.messaging.models.people import MessagePreference, OptOut
from apps.messaging.services.consent import (
    first_word,
    hear,
    is_wanted,
    record_opt_in,
    record_opt_out,
    unsubscribe_token,
)
from apps.messaging.services.deletion import erase_choices
from apps.messaging.services.messages import queue_message
from apps.messaging.services.sending import send_message
from core.audit.actions import Action
from core.outbox.models import OutboxEvent
from core.sealing import seal
from services.sms.base import InboundText
from tests.envelope import refusal_of
from tests.factories.accounts import Member, fresh_phone, make_member, with_proven_phone
from tests.factories.operators import act, browser_of, lines, make_operator
from tests.fakes import ScriptedSms, scripted_sms

PREFERENCES = "/api/v1/messaging/preferences/"
OPTIONAL = [kind for kind in MessageKind if kind not in ESSENTIAL]


@pytest.fixture
def sms(in_tenant: Member) -> Iterator[ScriptedSms]:
    with scripted_sms() as gateway:
        yield gateway


def text_from(phone: str, words: str, reference: str = "1") -> InboundText:
    return InboundText(provider_reference=reference, phone=phone, to="15000", text=words)


def proven(member: Member) -> Member:
    """`member`, whose e-mail address and phone are proven."""
    User.objects.filter(pk=member.user.pk).update(email_verified_at=timezone.now())
    member.user.refresh_from_db()
    return with_proven_phone(member)


def choose(member: Member, **kinds: Any) -> Any:
    return member.client().patch(PREFERENCES, {"kinds": kinds}, format="json")


# --- Stop and start --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        "STOP",
        "stop",
        " Stop! ",
        "\u201cstop\u201d please",
        "Acha.",
        "SIMAMA",
        "unsubscribe",
        "End",
        "QUIT now",
        "cancel",
        "STOPALL",
    ],
)
@pytest.mark.django_db
def test_a_text_that_begins_with_stop_stops_everything_that_is_not_essential(words):
    phone = fresh_phone()

    for reference in "112":
        assert hear(text_from(phone, words, reference)) == "stop"

    assert OptOut.objects.get().address == phone
    assert {kind: is_wanted(channel="sms", to=phone, kind=kind) for kind in MessageKind} == {
        kind: kind in ESSENTIAL for kind in MessageKind
    }


@pytest.mark.parametrize(
    "words", ["", "   ", "!?", "stopping by", "please stop", "nasimama", "ok", "\x00" * 5, "a" * 9_000]
)
@pytest.mark.django_db
def test_any_other_text_stops_nothing(words):
    assert hear(text_from(fresh_phone(), words)) == ""

    assert not OptOut.objects.exists()


@pytest.mark.parametrize("words", ["START", "anza", "Anza!"])
@pytest.mark.django_db
def test_start_undoes_stop_and_means_nothing_otherwise(words):
    phone, other = fresh_phone(), fresh_phone()
    hear(text_from(phone, "STOP"))

    assert [hear(text_from(each, words)) for each in (phone, phone, other)] == ["start"] * 3

    assert is_wanted(channel="sms", to=phone, kind="marketing")
    row = OptOut.objects.get()
    assert (row.address, row.started_at is not None) == (phone, True)
    hear(text_from(phone, "STOP"))
    row.refresh_from_db()
    assert (OptOut.objects.count(), row.started_at) == (1, None)


def test_the_first_word_is_found_whatever_stands_around_it():
    assert first_word("  \u00ab\uff33\uff34\uff2f\uff30\u00bb\n") == "stop"  # letters of full width
    assert first_word("_stop_") == "stop"


@pytest.mark.django_db
def test_an_address_is_the_same_however_it_is_written():
    assert record_opt_out(channel="email", to=" Asha@Example.com ", source="link")
    assert not record_opt_out(channel="email", to="asha@example.com", source="provider")
    assert record_opt_out(channel="sms", to="0712 345 678", source="staff")

    assert not is_wanted(channel="email", to="ASHA@example.com", kind="service")
    assert not is_wanted(channel="sms", to="+255712345678", kind="service")
    assert is_wanted(channel="email", to="asha@example.org", kind="service")
    assert not record_opt_out(channel="sms", to="  ", source="reply")
    assert not record_opt_in(channel="sms", to="+255712000000")


# --- Messages --------------------------------------------------------------------------------------------------------


def queue(phone: str, kind: str, key: str = "k") -> Message:
    return queue_message(channel="sms", to=phone, text="Habari", key=f"{key}:{kind}", kind=kind)


@pytest.mark.invariant("I73")
def test_what_is_not_wanted_is_stored_and_never_sent(sms, record_figure):
    phone = fresh_phone()
    hear(text_from(phone, "STOP"))

    for kind in MessageKind:
        for _ in range(2):
            message = queue(phone, kind)
            send_message(message_id=message.pk)

    sent = set(Message.objects.filter(status="sent").values_list("kind", flat=True))
    suppressed = Message.objects.filter(status="suppressed")
    assert sent == ESSENTIAL
    assert {each.kind for each in suppressed} == set(OPTIONAL)
    assert len(sms.sent) == len(ESSENTIAL)
    queued = {event.payload["message_id"] for event in OutboxEvent.objects.filter(name="message.queued")}
    assert not queued & {str(each.pk) for each in suppressed}
    record_figure(f"{len(OPTIONAL)} kinds suppressed after STOP, {len(ESSENTIAL)} essential ones sent")


def test_a_code_reaches_somebody_who_has_said_stop(sms, in_tenant):
    phone = with_proven_phone(in_tenant).user.phone
    hear(text_from(phone, "STOP"))

    code = request_login_code(phone=phone, client="test")
    send_code(code_id=code.pk)

    assert Message.objects.get().status == "queued"


def test_a_suppressed_message_stays_so_when_they_start_again(sms):
    phone = fresh_phone()
    hear(text_from(phone, "STOP"))
    message = queue(phone, "service")
    hear(text_from(phone, "START"))

    assert queue(phone, "service").pk == message.pk
    send_message(message_id=message.pk)

    assert (Message.objects.get().status, sms.sent) == ("suppressed", [])
    assert queue(phone, "service", key="later").status == "queued"


def test_asking_whether_a_message_is_wanted_costs_nothing_for_what_is_essential_and_little_for_the_rest(in_tenant):
    phone = with_proven_phone(in_tenant).user.phone

    def queries(kind: str) -> int:
        with CaptureQueriesContext(connection) as captured:
            is_wanted(channel="sms", to=phone, kind=kind)
        return len(captured)

    assert queries("code") == 0
    assert queries("service") == 3


# --- Choices ---------------------------------------------------------------------------------------------------------


def test_a_choice_counts_for_addresses_that_are_proven(member):
    person = proven(member)
    assert choose(person, marketing={"sms": False}, service={"email": False}).status_code == 200

    phone, email = person.user.phone, person.user.email
    assert not is_wanted(channel="sms", to=phone, kind="marketing")
    assert is_wanted(channel="sms", to=phone, kind="service")
    assert not is_wanted(channel="email", to=email, kind="service")
    assert is_wanted(channel="email", to=email, kind="marketing")


def test_nobody_decides_for_an_address_that_they_merely_claim(member):
    choose(member, service={"email": False})

    assert is_wanted(channel="email", to=member.user.email, kind="service")


def test_preferences_are_shown_changed_and_replaced(member):
    client = member.client()
    before = client.get(PREFERENCES).json()["data"]
    assert before["opted_out"] == []
    assert all(on for kind in before["kinds"].values() for on in kind.values())
    assert set(before["kinds"]) == {str(kind) for kind in MessageKind}

    changed = choose(member, marketing={"sms": False, "inbox": False}).json()["data"]
    again = choose(member, marketing={"inbox": True}).json()["data"]

    assert changed["kinds"]["marketing"] == {"sms": False, "email": True, "inbox": False}
    assert again["kinds"]["marketing"] == {"sms": False, "email": True, "inbox": True}
    assert client.put(PREFERENCES, again, format="json").json()["data"] == again
    assert client.put(PREFERENCES, {"kinds": {}}, format="json").json()["data"] == before
    assert MessagePreference.objects.filter(user=member.user).count() == len(OPTIONAL) * 3
    assert make_member().client().get(PREFERENCES).json()["data"] == before


@pytest.mark.parametrize("kind", sorted(ESSENTIAL))
def test_what_is_essential_cannot_be_turned_off(member, kind):
    refused = choose(member, **{kind: {"sms": False}, "service": {"sms": False}})

    assert refusal_of(refused) == (422, "essential_messages")
    assert not MessagePreference.objects.exists()
    assert choose(member, **{kind: {"sms": True}}).status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        {"kinds": {"service": {"sms": "false"}}},
        {"kinds": {"service": {"sms": 0}}},
        {"kinds": {"service": {"fax": False}}},
        {"kinds": {"gossip": {"sms": False}}},
        {"kinds": {"service": None}},
        {"kinds": []},
        {"opted_out": ["inbox"]},
        {"opted_out": ["sms"] * 11},
        {"service": {"sms": False}},
    ],
)
def test_a_choice_that_cannot_be_understood_is_refused(member, body):
    assert refusal_of(member.client().patch(PREFERENCES, body, format="json")) == (400, "validation_error")


def test_a_person_stops_and_starts_their_own_proven_addresses(member):
    person = proven(member)
    client, phone = person.client(), person.user.phone
    hear(text_from(phone, "STOP"))
    assert client.get(PREFERENCES).json()["data"]["opted_out"] == ["sms"]

    swapped = client.patch(PREFERENCES, {"opted_out": ["email"]}, format="json").json()["data"]

    assert swapped["opted_out"] == ["email"]
    assert is_wanted(channel="sms", to=phone, kind="service")
    assert not is_wanted(channel="email", to=person.user.email, kind="service")
    assert choose(person, service={"sms": True}).json()["data"]["opted_out"] == ["email"]  # not named: as it was
    assert client.patch(PREFERENCES, {"opted_out": []}, format="json").json()["data"]["opted_out"] == []


def test_nobody_stops_messages_to_an_address_that_they_have_not_proven(member):
    body = {"kinds": {"service": {"sms": False}}, "opted_out": ["sms"]}

    refused = member.client().patch(PREFERENCES, body, format="json")

    assert refusal_of(refused) == (422, "address_not_proven")
    assert not OptOut.objects.exists()
    assert not MessagePreference.objects.exists()


# --- The link --------------------------------------------------------------------------------------------------------


def link_of(kind: str) -> dict[str, str]:
    """The headers of a mail of this kind."""
    message = queue_message(channel="email", to="asha@example.com", subject="Hi", text="x", key=kind, kind=kind)
    send_message(message_id=message.pk)
    return mail.outbox[-1].extra_headers


@pytest.mark.parametrize("kind", OPTIONAL)
def test_one_click_unsubscribes(client, sms, kind):
    headers = link_of(kind)
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = headers["List-Unsubscribe"].strip("<>")
    assert "asha" not in url
    path = url.partition("8000")[2]
    assert "List-Unsubscribe: <" in mail.outbox[-1].message().as_string().replace("\n ", " ").replace(":  <", ": <")

    looked = client.get(path)
    assert looked.json()["data"] == {"address": "a***@example.com", "is_subscribed": True}
    assert not OptOut.objects.exists()

    for _ in range(2):  # as a mail program sends it: a form, and no token
        form = {"data": "List-Unsubscribe=One-Click", "content_type": "application/x-www-form-urlencoded"}
        done = client.generic("POST", path, **form)
        assert done.json()["data"] == {"address": "a***@example.com", "is_subscribed": False}

    assert not is_wanted(channel="email", to="asha@example.com", kind="service")
    assert is_wanted(channel="email", to="asha@example.com", kind="receipt")
    assert client.get(path).json()["data"]["is_subscribed"] is False


@pytest.mark.parametrize("kind", sorted(ESSENTIAL))
def test_what_is_essential_offers_no_way_out(sms, kind):
    assert "List-Unsubscribe" not in link_of(kind)


@pytest.mark.django_db
def test_a_link_that_was_not_mailed_is_not_found(client, caplog):
    good = unsubscribe_token(to="asha@example.com")
    others = [
        seal("asha@example.com").rstrip("="),
        good[:-3] + ("abc" if good[-3:] != "abc" else "xyz"),
        "x",
        "a" * 2_000,
    ]
    caplog.set_level(logging.ERROR)

    for token in others:
        for method in ("get", "post"):
            answer = getattr(client, method)(f"/api/v1/messaging/unsubscribe/{token}/")
            assert refusal_of(answer) == (404, "not_found")

    assert not OptOut.objects.exists()
    assert caplog.text == ""


# --- Personal data ---------------------------------------------------------------------------------------------------


def test_an_export_tells_choices_and_own_addresses_only(member):
    person = proven(member)
    hear(text_from(person.user.phone, "STOP"))
    hear(text_from("+255754000111", "STOP"))
    choose(person, service={"sms": False})

    records = person.client().get("/api/v1/auth/export/").json()["data"]["records"]

    assert [(row["kind"], row["channel"], row["is_wanted"]) for row in records["message_preferences"]] == [
        ("service", "sms", False)
    ]
    assert [row["address"] for row in records["message_opt_outs"]] == [person.user.phone]


@pytest.mark.django_db
def test_stop_outlives_the_account_without_the_address(settings):
    person = proven(make_member())
    phone = person.user.phone
    hear(text_from(phone, "STOP"))
    choose(person, service={"inbox": False})

    for _ in range(2):
        erase_choices(subject=subject_of(person.user))

    row = OptOut.objects.get()
    assert (row.address, len(row.digest)) == ("", 64)
    assert not MessagePreference.objects.exists()
    assert not is_wanted(channel="sms", to=phone, kind="service")
    assert is_wanted(channel="sms", to="+255754000111", kind="service")
    settings.SECRET_KEY_FALLBACKS, settings.SECRET_KEY = [settings.SECRET_KEY], "another-key-" * 5
    assert not is_wanted(channel="sms", to=phone, kind="service")  # also after the key was changed
    hear(text_from(phone, "START"))
    assert is_wanted(channel="sms", to=phone, kind="service")
    hear(text_from(phone, "STOP"))
    assert OptOut.objects.count() == 1


# --- The admin -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_staff_note_a_stop_and_a_start_with_a_reason():
    browser = browser_of(make_operator(is_superuser=True))
    add = "/admin/messaging/optout/add/"

    for wish in ({"channel": "sms", "address": "12"}, {"channel": "email", "address": "asha"}, {"channel": "sms"}):
        assert browser.post(add, {"reason": "rang us", **wish}).status_code == 200
    assert not OptOut.objects.exists()
    for _ in range(2):
        wish = {"channel": "sms", "address": "0712345678", "reason": "rang us"}
        assert browser.post(add, wish).status_code == 302

    row = OptOut.objects.get()
    assert (row.address, row.source) == ("+255712345678", "staff")
    act(browser, "messaging.optout", "lift", row, reason="rang again")
    row.refresh_from_db()
    assert row.started_at is not None
    assert [line.data for line in lines(Action.OPT_OUT_CHANGED)] == [
        {"wants": False, "reason": "rang us"},
        {"wants": True, "reason": "rang again"},
    ]


@pytest.mark.django_db
def test_staff_who_may_only_look_lift_nothing():
    record_opt_out(channel="sms", to="+255712345678", source="reply")
    row = OptOut.objects.get()

    act(browser_of(make_operator("messaging.view_optout")), "messaging.optout", "lift", row)

    row.refresh_from_db()
    assert row.started_at is None
