"""Signing in by a code to the phone: who gets one, what it opens, how often it may be guessed, and who learns what."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import AuthSession, User, VerificationCode
from apps.accounts.services import codes
from apps.accounts.services.codes import code_of, find_code, send_code
from apps.accounts.tasks import purge_sessions_task
from apps.messaging.models.messages import Message
from apps.tenants.models import Membership
from config.settings import base
from core.logging import JsonFormatter
from core.outbox.models import OutboxEvent
from core.tenancy import tenant_scope, tenant_transaction
from services.http import OutcomeUnknown
from services.sms.encoding import fits_gsm
from tests.envelope import refusal_of
from tests.factories.accounts import Member, fresh_phone, make_member, with_proven_phone
from tests.factories.tenants import messages_of
from tests.fakes import ScriptedSms, scripted_sms
from tests.figures import RecordFigure
from tests.limits import at_once, fresh_address
from tests.outbox import work_off_outbox

AUTH = "/api/v1/auth"
HOUR = timedelta(hours=1)

db = pytest.mark.django_db


def post(name: str, body: dict[str, Any], *, address: str = "", **headers: str):
    client = APIClient(REMOTE_ADDR=address or fresh_address())
    return client.post(f"{AUTH}/{name}/", body, format="json", headers=headers)


def challenge_for(phone: str, **how: str) -> str:
    response = post("request-otp", {"phone": phone}, **how)
    assert response.status_code == 200, response.content
    return str(response.json()["data"]["challenge"])


def right_code(challenge: str) -> str:
    return code_of(VerificationCode.objects.get(pk=challenge))


def wrong_code(challenge: str) -> str:
    return f"{(int(right_code(challenge)) + 1) % 1_000_000:06d}"


def verify(challenge: str, code: str, **body: str):
    return post("verify-otp", {"challenge": challenge, "code": code, **body})


@pytest.fixture
def sms() -> Iterator[ScriptedSms]:
    with scripted_sms() as gateway:
        yield gateway


@pytest.fixture
def person(db: None) -> Member:
    return with_proven_phone(make_member())


@pytest.fixture
def clock() -> Iterator[Any]:
    with time_machine.travel(datetime(2026, 3, 1, 9, 0, tzinfo=UTC), tick=False) as travelling:
        yield travelling


# --- The way in -----------------------------------------------------------------------------------------------------


def test_a_code_that_was_texted_signs_in_as_a_password_does(person, sms):
    challenge = challenge_for(person.user.phone)
    work_off_outbox()
    (text,) = sms.sent
    found = re.search(r"[0-9]{6}", text.text)
    assert text.phone == person.user.phone
    assert found

    response = verify(challenge, found[0])

    assert response.status_code == 200
    data = response.json()["data"]
    assert data["user"]["id"] == str(person.user.pk)
    assert data["user"]["is_phone_verified"] is True
    assert data["tenant"]["id"] == str(person.tenant_id)
    me = APIClient().get(f"{AUTH}/me/", headers={"Authorization": f"Bearer {data['access']}"})
    assert me.status_code == 200
    from_password = post("login", {"email": person.user.email, "password": "kahawa-na-chai-7"}).json()
    assert from_password["data"].keys() == data.keys()


def test_the_number_may_be_written_as_people_write_it(person):
    local = "0" + person.user.phone.removeprefix("+255")

    challenge = challenge_for(f" {local[:4]} {local[4:7]} {local[7:]} ")

    assert verify(challenge, f" {right_code(challenge)} ").status_code == 200


@pytest.mark.parametrize("transport", ["body", "refresh_cookie", "cookies"])
def test_tokens_travel_as_the_client_wishes(person, transport):
    challenge = challenge_for(person.user.phone)

    response = verify(challenge, right_code(challenge), transport=transport)

    data = response.json()["data"]
    assert data["transport"] == transport
    assert (data["refresh"] is not None) == (transport == "body")
    assert AuthSession.objects.filter(user=person.user, transport=transport).exists()


def test_a_page_that_is_not_ours_gets_no_cookies_and_uses_up_no_code(person):
    challenge = challenge_for(person.user.phone)
    body = {"challenge": challenge, "code": right_code(challenge), "transport": "cookies"}

    refused = post("verify-otp", body, Origin="https://evil.example")

    assert refusal_of(refused) == (403, "csrf_failed")
    assert verify(challenge, right_code(challenge)).status_code == 200


def test_the_answer_says_until_when_and_when_again(clock, person):
    data = post("request-otp", {"phone": person.user.phone}).json()["data"]

    assert data == {
        "challenge": str(VerificationCode.objects.get().pk),
        "expires_at": "2026-03-01T09:10:00Z",
        "resend_after": 60,
    }


@pytest.mark.parametrize("language", ["en", "sw"])
@pytest.mark.parametrize("purpose", VerificationCode.Purpose.values)
@pytest.mark.parametrize(
    "frontend", ["https://app.example.co.tz", "http://localhost:3000", f"https://{'a' * 60}.example"]
)
def test_each_text_is_one_message_in_the_persons_language(person, sms, settings, purpose, language, frontend):
    settings.FRONTEND_URL = frontend
    User.objects.update(language=language)
    owner = None if purpose == "login" else person.user
    code = VerificationCode.objects.create(
        user=owner, purpose=purpose, phone=person.user.phone, expires_at=timezone.now() + timedelta(minutes=10)
    )

    send_code(code_id=code.pk)
    work_off_outbox()

    (text,) = [each.text for each in sms.sent]
    assert text.startswith(code_of(code))
    assert ("msimbo" in text) == (language == "sw")
    assert fits_gsm(text)
    assert len(text) <= 160
    assert text.endswith(f"\n@app.example.co.tz #{code_of(code)}") == frontend.endswith("co.tz")


# --- What a code opens ----------------------------------------------------------------------------------------------


@pytest.mark.invariant("I66")
@db
@pytest.mark.parametrize(
    "code", ["", "12345", "1234567", "12345a", "\u0661\u0662\u0663\u0664\u0665\u0666", "12 456", 123456]
)
def test_what_is_not_six_digits_is_no_guess(code):
    challenge = challenge_for(fresh_phone())

    response = post("verify-otp", {"challenge": challenge, "code": code})

    assert refusal_of(response) == (400, "validation_error")
    assert VerificationCode.objects.get().guesses == 0


@pytest.mark.invariant("I66")
def test_a_code_works_once(person):
    challenge = challenge_for(person.user.phone)
    code = right_code(challenge)
    assert verify(challenge, code).status_code == 200

    assert refusal_of(verify(challenge, code)) == (422, "otp_invalid")


@pytest.mark.invariant("I66")
@pytest.mark.django_db(transaction=True)
def test_of_twenty_right_answers_at_once_one_signs_in(record_figure: RecordFigure):
    person = with_proven_phone(make_member())
    challenge = challenge_for(person.user.phone)
    code = right_code(challenge)

    answers = at_once(20, lambda _: verify(challenge, code))

    assert sorted(answer.status_code for answer in answers) == [200] + [422] * 19
    assert {answer.json()["code"] for answer in answers if answer.status_code == 422} == {"otp_invalid"}
    assert AuthSession.objects.filter(user=person.user).count() == 2  # the fixture's, and this one
    record_figure("race of 20 right answers: one 200, 19 x 422 otp_invalid")


@pytest.mark.invariant("I66")
@pytest.mark.parametrize(("minutes", "status"), [(9.9, 200), (10, 422)])
def test_a_code_is_good_for_ten_minutes(clock, person, minutes, status):
    challenge = challenge_for(person.user.phone)
    clock.shift(timedelta(minutes=minutes))

    assert verify(challenge, right_code(challenge)).status_code == status


@pytest.mark.invariant("I66")
def test_a_code_answers_its_own_challenge_only(person):
    other = with_proven_phone(make_member())
    mine, theirs = challenge_for(person.user.phone), challenge_for(other.user.phone)

    assert refusal_of(verify(theirs, right_code(mine))) == (422, "otp_invalid")
    assert refusal_of(verify(str(uuid.uuid4()), right_code(mine))) == (422, "otp_invalid")
    assert verify(mine, right_code(mine)).json()["data"]["user"]["id"] == str(person.user.pk)


@pytest.mark.invariant("I66")
@pytest.mark.parametrize("change", [{"purpose": "change_phone"}, {"phone": "+255700000001"}, {"nonce": "0" * 32}])
def test_the_code_of_a_row_is_bound_to_all_that_it_is_for(person, change):
    code = VerificationCode.objects.get(pk=challenge_for(person.user.phone))
    before = code_of(code)
    vars(code).update(change)

    assert code_of(code) != before


@pytest.mark.invariant("I66")
@pytest.mark.parametrize("purpose", ["verify_phone", "change_phone"])
def test_a_code_for_another_purpose_signs_nobody_in(person, purpose):
    code = VerificationCode.objects.create(
        user=person.user, purpose=purpose, phone=person.user.phone, expires_at=timezone.now() + timedelta(minutes=10)
    )

    assert refusal_of(verify(str(code.pk), code_of(code))) == (422, "otp_invalid")


@pytest.mark.invariant("I66")
def test_a_newer_code_replaces_the_older_one_of_this_number_and_no_other(person):
    other = with_proven_phone(make_member())
    older, theirs, newer = (challenge_for(each.user.phone) for each in (person, other, person))

    assert refusal_of(verify(older, right_code(older))) == (422, "otp_invalid")
    assert find_code(older) is None  # so a text that still waits is not sent
    assert verify(newer, right_code(newer)).status_code == 200
    assert verify(theirs, right_code(theirs)).status_code == 200


# --- Guessing -------------------------------------------------------------------------------------------------------


@pytest.fixture
def looked_at(monkeypatch) -> list[object]:
    """Each code that was made to be compared with a guess."""
    made: list[object] = []

    def spy(code: VerificationCode) -> str:
        made.append(code.pk)
        return code_of(code)

    monkeypatch.setattr(codes, "code_of", spy)
    return made


@pytest.mark.invariant("I65")
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("is_known", "count"), [(True, 100), (False, 30)])
def test_of_a_hundred_guesses_at_once_exactly_five_are_looked_at(looked_at, is_known, count, record_figure):
    phone = with_proven_phone(make_member()).user.phone if is_known else fresh_phone()
    challenge = challenge_for(phone)
    guess = wrong_code(challenge)

    answers = at_once(count, lambda _: verify(challenge, guess))

    assert sorted(answer.status_code for answer in answers) == [422] * 5 + [429] * (count - 5)
    assert {refusal_of(answer) for answer in answers} == {(422, "otp_invalid"), (429, "otp_locked")}
    assert len(looked_at) == 5
    record_figure(f"race of {count} guesses: 5 looked at")
    assert VerificationCode.objects.get().guesses == 5
    assert refusal_of(verify(challenge, right_code(challenge))) == (429, "otp_locked")
    assert len(looked_at) == 5


@pytest.mark.invariant("I65")
def test_the_fifth_guess_may_still_be_right(person):
    challenge = challenge_for(person.user.phone)
    for _ in range(4):
        assert refusal_of(verify(challenge, wrong_code(challenge))) == (422, "otp_invalid")

    assert verify(challenge, right_code(challenge)).status_code == 200


@pytest.mark.invariant("I65")
def test_a_new_code_gives_new_guesses(person):
    locked = challenge_for(person.user.phone)
    for _ in range(6):
        verify(locked, wrong_code(locked))

    challenge = challenge_for(person.user.phone)

    assert verify(challenge, right_code(challenge)).status_code == 200


@db
def test_wrong_codes_from_one_address_are_counted_whatever_they_are_for(settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"otp_guess_client": (10, HOUR)}
    address = fresh_address()
    body = {"challenge": str(uuid.uuid4()), "code": "204816"}

    answers = [post("verify-otp", body | {"challenge": str(uuid.uuid4())}, address=address) for _ in range(12)]

    assert [answer.status_code for answer in answers] == [422] * 10 + [429] * 2
    assert refusal_of(answers[-1]) == (429, "throttled")
    assert 300 < int(answers[-1].headers["Retry-After"]) <= 360


@db
def test_right_codes_are_not_counted(settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"otp_guess_client": (2, HOUR)}
    person, address = with_proven_phone(make_member()), fresh_address()

    for _ in range(4):
        challenge = challenge_for(person.user.phone)
        body = {"challenge": challenge, "code": right_code(challenge)}
        assert post("verify-otp", body, address=address).status_code == 200


# --- Asking ---------------------------------------------------------------------------------------------------------


def limits(**changes: tuple[int, timedelta]) -> dict[str, tuple[int, timedelta]]:
    """No limits but these."""
    return {name: changes.get(name, (1_000_000, per)) for name, (_burst, per) in base.RATE_LIMITS.items()}


@db
@pytest.mark.parametrize("is_known", [True, False])
def test_the_next_code_may_be_asked_for_after_a_minute(settings, is_known):
    settings.RATE_LIMITS = limits(otp_resend=base.RATE_LIMITS["otp_resend"])
    phone = with_proven_phone(make_member()).user.phone if is_known else fresh_phone()
    challenge = challenge_for(phone)

    refused = post("request-otp", {"phone": phone})

    assert refusal_of(refused) == (429, "throttled")
    assert 55 <= int(refused.headers["Retry-After"]) <= 60
    assert VerificationCode.objects.count() == 1
    assert VerificationCode.objects.get(pk=challenge).used_at is None  # the one that is on its way still works
    assert post("request-otp", {"phone": fresh_phone()}).status_code == 200


@db
def test_the_limits_for_asking_are_those_of_the_design():
    asked = {name: limit for name, limit in base.RATE_LIMITS.items() if name.startswith("otp_")}

    assert asked["otp_resend"] == (1, timedelta(seconds=60))
    assert asked["otp_phone"] == (5, HOUR)
    assert asked["otp_phone_daily"] == (10, timedelta(days=1))
    assert asked["otp_client"] == (10, HOUR)


@db
@pytest.mark.parametrize(("name", "burst"), [("otp_phone", 5), ("otp_phone_daily", 10)])
def test_one_number_is_texted_so_often_and_no_more(settings, name, burst):
    settings.RATE_LIMITS = limits(**{name: base.RATE_LIMITS[name]})
    phone = fresh_phone()

    answers = [post("request-otp", {"phone": phone}).status_code for _ in range(burst + 2)]

    assert answers == [200] * burst + [429] * 2


@db
def test_one_address_asks_ten_times_an_hour(settings):
    settings.RATE_LIMITS = limits(otp_client=base.RATE_LIMITS["otp_client"])
    address = fresh_address()

    answers = [post("request-otp", {"phone": fresh_phone()}, address=address).status_code for _ in range(12)]

    assert answers == [200] * 10 + [429] * 2


@pytest.mark.django_db(transaction=True)
def test_of_twenty_requests_at_once_one_makes_a_code(settings):
    settings.RATE_LIMITS = limits(otp_resend=base.RATE_LIMITS["otp_resend"])
    phone = fresh_phone()

    answers = at_once(20, lambda _: post("request-otp", {"phone": phone}).status_code)

    assert sorted(answers) == [200] + [429] * 19
    assert VerificationCode.objects.count() == 1


# --- Who is nobody --------------------------------------------------------------------------------------------------


def unknown(_person: Member) -> None:
    User.objects.update(phone="", phone_verified_at=None)


def unproven(_person: Member) -> None:
    User.objects.update(phone_verified_at=None)


def inactive(_person: Member) -> None:
    User.objects.update(is_active=False)


def without_tenant(_person: Member) -> None:
    Membership.objects.all().delete()


NOBODIES = pytest.mark.parametrize("make_nobody", [unknown, unproven, inactive, without_tenant])


@pytest.mark.invariant("I52")
@NOBODIES
def test_a_number_by_which_nobody_can_sign_in_is_answered_like_any_other(person, sms, make_nobody):
    phone = person.user.phone
    known = conversation(phone)
    make_nobody(person)

    nobodys = conversation(phone)

    assert nobodys == known
    assert [status for status, _body, _headers in known] == [200, 422, 422, 422, 422, 422, 429]
    work_off_outbox()
    assert sms.sent == []  # by the time the worker looks, nobody can sign in by it


def conversation(phone: str) -> list[tuple[int, dict[str, Any], dict[str, str]]]:
    """What somebody is told who asks for a code and guesses wrong six times, without what names the request."""
    asked = post("request-otp", {"phone": phone})
    challenge = asked.json()["data"]["challenge"]
    answers = [asked, *(verify(challenge, wrong_code(challenge)) for _ in range(6))]
    told = []
    for answer in answers:
        body, headers = answer.json(), dict(answer.headers)
        del headers["X-Request-ID"]
        if body["data"]:
            assert uuid.UUID(body["data"].pop("challenge"))
            assert datetime.fromisoformat(body["data"].pop("expires_at")) > timezone.now()
            del headers["Content-Length"]  # microseconds may end in a nought
        told.append((answer.status_code, body, headers))
    return told


@pytest.mark.invariant("I52")
@NOBODIES
def test_even_the_right_code_signs_nobody_in(person, make_nobody):
    challenge = challenge_for(person.user.phone)
    make_nobody(person)

    assert refusal_of(verify(challenge, right_code(challenge))) == (422, "otp_invalid")
    assert AuthSession.objects.count() == 1


@pytest.mark.invariant("I52")
def test_asking_looks_nobody_up(person):
    asked = []
    for phone in (person.user.phone, fresh_phone()):
        with CaptureQueriesContext(connection) as captured:
            challenge_for(phone)
        asked.append([re.sub(r"'[^']*'|\d+", "?", query["sql"]) for query in captured.captured_queries])

    assert asked[0] == asked[1] != []
    assert not [query for query in asked[0] if "accounts_user" in query]


# --- Where a code stands --------------------------------------------------------------------------------------------


@pytest.mark.invariant("I55", "I67")
def test_a_code_stands_in_no_table_and_no_log(person, sms, caplog):
    with caplog.at_level(logging.DEBUG):
        challenge = challenge_for(person.user.phone)
        work_off_outbox()
        code = right_code(challenge)
        verify(challenge, wrong_code(challenge))
        verify(challenge, code)

    assert code in sms.sent[0].text
    with tenant_scope(person.tenant_id), tenant_transaction():
        rows = [*Message.objects.values(), *OutboxEvent.objects.values(), *VerificationCode.objects.values()]
    # Numbers of a time's microseconds may be any six digits.
    kept = [str(value) for row in rows for value in row.values() if not isinstance(value, datetime)]
    logged = [re.sub(r'"time":"[^"]*"', "", JsonFormatter().format(record)) for record in caplog.records]
    assert not [text for text in [*kept, *logged] if re.search(rf"(?<![0-9a-f]){code}(?![0-9a-f])", text)]


@pytest.mark.invariant("I67")
def test_neither_the_database_nor_the_key_alone_knows_a_code(person, settings):
    code = VerificationCode.objects.get(pk=challenge_for(person.user.phone))
    before = code_of(code)

    settings.SECRET_KEY = "another-key-of-the-same-length-as-before"
    assert code_of(code) != before
    assert len({VerificationCode().nonce for _ in range(100)}) == 100


@pytest.mark.invariant("I67")
def test_members_of_the_tenant_see_that_a_code_was_sent_and_not_which(person, sms):
    challenge_for(person.user.phone)
    work_off_outbox()

    (message,) = messages_of(person)
    assert message.shown_text.startswith("****** is your code to sign in.")
    assert (message.to, message.status) == (person.user.phone, "sent")


def test_a_repetition_after_a_crash_sends_the_same_code_and_one_text(person, sms):
    challenge = challenge_for(person.user.phone)

    send_code(code_id=uuid.UUID(challenge))
    send_code(code_id=uuid.UUID(challenge))
    work_off_outbox()

    assert len(sms.sent) == 1
    assert right_code(challenge) in sms.sent[0].text


def test_a_code_whose_sending_is_uncertain_is_not_sent_twice(person, sms):
    challenge_for(person.user.phone)
    sms.answers = [OutcomeUnknown()]
    work_off_outbox()
    OutboxEvent.objects.filter(done_at=None).update(next_at=timezone.now())

    work_off_outbox()

    assert len(sms.sent) == 1
    assert messages_of(person)[0].status == "uncertain"
    assert not OutboxEvent.objects.filter(done_at=None).exists()


def test_a_code_that_waited_too_long_is_not_sent_at_all(clock, person, sms):
    challenge_for(person.user.phone)
    clock.shift(timedelta(minutes=11))

    work_off_outbox()

    assert sms.sent == []
    assert messages_of(person) == []


def test_housekeeping_forgets_codes_a_day_after_they_expired(person):
    kept, ancient = (VerificationCode.objects.get(pk=challenge_for(fresh_phone())) for _ in range(2))
    VerificationCode.objects.filter(pk=kept.pk).update(expires_at=timezone.now() - timedelta(hours=23))
    VerificationCode.objects.filter(pk=ancient.pk).update(expires_at=timezone.now() - timedelta(hours=25))

    purge_sessions_task()

    assert list(VerificationCode.objects.values_list("pk", flat=True)) == [kept.pk]
