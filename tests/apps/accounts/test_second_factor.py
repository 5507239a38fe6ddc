"""Second factors over HTTP: switching on and off, signing in with one, and everything that must not get past it."""

from __future__ import annotations

import base64
import threading
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from uuid import UUID
from xml.etree import ElementTree

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal import auth as arithmetic
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.methods import Method
from apps.accounts.models import AuthSession, EmailLink, MfaChallenge, TotpSetup, User, VerificationCode
from apps.accounts.services import proofs
from apps.accounts.services.codes import code_of
from apps.accounts.services.links import reset_password, token_of
from apps.accounts.services.sessions import end_all_sessions
from apps.accounts.services.sign_in import begin_sign_in
from apps.accounts.tasks import purge_sessions_task
from apps.accounts.tokens import AccessToken
from config.settings import base
from core.outbox.models import OutboxEvent
from tests.factories.accounts import PASSWORD, Member, make_member, with_proven_phone
from tests.factories.factors import Phone, phone_being_set_up, totp, with_second_factor
from tests.limits import at_once, fresh_address

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

MFA = "/api/v1/auth/mfa/"
NEW_PASSWORD = "chai-na-kahawa-8"
OWN_PAGE = "https://app.faraja.test"


@pytest.fixture
def guarded(clock) -> tuple[Member, Phone]:
    return with_second_factor(make_member())


@pytest.fixture
def phone(guarded: tuple[Member, Phone]) -> Phone:
    return guarded[1]


@pytest.fixture
def person(guarded: tuple[Member, Phone]) -> Member:
    return guarded[0]


def post(path: str, body: Any = None, *, client: APIClient | None = None, **headers: str):
    return (client or APIClient(REMOTE_ADDR=fresh_address())).post(
        f"/api/v1/auth/{path}", body or {}, format="json", headers=headers
    )


def login(member: Member, password: str = PASSWORD, **extra: Any):
    return post("login/", {"email": member.user.email, "password": password} | extra)


def challenge_for(member: Member, password: str = PASSWORD, **extra: Any) -> str:
    response = login(member, password, **extra)
    assert (response.status_code, response.json()["code"]) == (401, "mfa_required")
    return str(response.json()["data"]["challenge"])


def verify(challenge: str, **told: str):
    return post("mfa/verify/", {"challenge": challenge} | told)


def told(response) -> tuple[int, str]:
    body = response.json()
    return response.status_code, body.get("code", body["status"])


def client_of(answer) -> APIClient:
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {answer.json()['data']['access']}")
    return client


def live_sessions(member: Member) -> int:
    return AuthSession.objects.filter(user=member.user, revoked_at=None).count()


def changes_told() -> list[str]:
    return [event.payload["change"] for event in OutboxEvent.objects.filter(name="account.factors_changed")]


# --- The arithmetic --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_the_app_of_the_tests_and_the_kit_agree_with_the_vectors_of_rfc_6238(at, code):
    key = b"12345678901234567890"

    assert totp(key, at, digits=8) == code
    kits = arithmetic.format_hotp_value(arithmetic.hotp_value(base64.b32encode(key).decode(), at // 30))
    assert kits == code[2:]


# --- Switching on and off --------------------------------------------------------------------------------------------


@pytest.mark.invariant("I44")
def test_a_factor_is_in_force_once_the_app_has_shown_a_code(clock):
    member = make_member()
    elsewhere = login(member)

    offer = member.client().post(f"{MFA}totp/").json()["data"]
    assert login(member).status_code == 200, "nothing is in force yet"
    phone = Phone(offer["secret"])
    done = member.client().post(f"{MFA}totp/confirm/", {"code": phone.code()}, format="json")

    assert done.status_code == 200
    assert done.headers["Cache-Control"] == "no-store"
    codes = done.json()["data"]["recovery_codes"]
    assert len(set(codes)) == 10
    assert live_sessions(member) == 1
    for old in (member.client(), client_of(elsewhere)):
        assert told(old.get(MFA)) == (401, "session_revoked")
    assert post("refresh/", {"refresh": member.tokens.refresh}).json()["code"] == "session_revoked"
    state = client_of(done).get(MFA).json()["data"]
    assert [factor["type"] for factor in state.pop("factors")] == ["totp"]
    assert state == {
        "is_enabled": True,
        "recovery_codes_left": 10,
        "reauthenticate_with": ["code", "recovery_code"],
    }
    assert changes_told() == ["enabled"]
    assert not TotpSetup.objects.exists()


def test_the_offer_is_the_same_by_hand_by_address_and_as_a_picture():
    member = make_member(email="asha@example.com")

    response = member.client().post(f"{MFA}totp/")

    offer = response.json()["data"]
    address = urlsplit(offer["otpauth_url"])
    assert (address.scheme, address.netloc, unquote(address.path)) == ("otpauth", "totp", "/Faraja:asha@example.com")
    assert parse_qs(address.query) == {"secret": [offer["secret"]], "issuer": ["Faraja"]}
    assert len(base64.b32decode(offer["secret"])) == 20
    kind, _comma, picture = offer["qr"].partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert ElementTree.fromstring(base64.b64decode(picture)).tag == "{http://www.w3.org/2000/svg}svg"  # noqa: S314
    assert response.headers["Cache-Control"] == "no-store"


def test_without_a_right_code_of_the_newest_secret_nothing_is_switched_on():
    member = make_member()
    first, second = phone_being_set_up(member), phone_being_set_up(member)

    for code in (first.code(), second.wrong_code(), second.code(-2), second.code(2)):
        answer = member.client().post(f"{MFA}totp/confirm/", {"code": code}, format="json")
        assert told(answer) == (422, "mfa_code_invalid")
        assert "code" in answer.json()["errors"]

    assert not Authenticator.objects.exists()
    assert live_sessions(member) == 1
    assert told(member.client().post(f"{MFA}totp/confirm/", {"code": second.code()}, format="json")) == (200, "success")


def test_a_set_up_that_nobody_finished_expires(clock):
    member = make_member()
    phone = phone_being_set_up(member)
    clock.shift(timedelta(minutes=31))
    client = client_of(login(member))

    answer = client.post(f"{MFA}totp/confirm/", {"code": phone.code()}, format="json")

    assert told(answer) == (422, "mfa_setup_expired")
    purge_sessions_task()
    assert not TotpSetup.objects.exists()


@pytest.mark.invariant("I44")
def test_switched_off_is_off_and_every_other_session_ends(person, phone):
    challenge = challenge_for(person)
    elsewhere = verify(challenge, code=phone.code())
    waiting = challenge_for(person)

    done = person.client().delete(f"{MFA}totp/")

    assert told(done) == (200, "success")
    assert not Authenticator.objects.exists()
    assert told(client_of(elsewhere).get(MFA)) == (401, "session_revoked")
    assert told(verify(waiting, code=phone.code(1))) == (401, "mfa_challenge_invalid")
    assert client_of(done).get(MFA).json()["data"]["reauthenticate_with"] == ["password"]
    assert login(person).status_code == 200
    assert changes_told() == ["enabled", "disabled"]


@pytest.mark.invariant("I44")
def test_new_recovery_codes_void_the_old_ones(person, phone):
    done = person.client().post(f"{MFA}recovery-codes/")

    new = done.json()["data"]["recovery_codes"]
    assert len(new) == 10
    assert not set(new) & set(phone.recovery_codes)
    assert told(person.client().get(MFA)) == (401, "session_revoked")
    assert told(verify(challenge_for(person), recovery_code=phone.recovery_codes[0])) == (422, "mfa_code_invalid")
    assert told(verify(challenge_for(person), recovery_code=new[0])) == (200, "success")


def test_the_session_that_goes_on_stays_where_it_was_and_lives_no_longer(clock):
    member = make_member()
    before = AuthSession.objects.get(user=member.user)
    clock.shift(timedelta(minutes=5))
    member, _phone = with_second_factor(member)
    AuthSession.objects.filter(user=member.user, revoked_at=None).update(
        absolute_expires_at=before.absolute_expires_at, user_agent="App", client_key="k", methods=["pwd", "otp"]
    )
    old = AuthSession.objects.get(user=member.user, revoked_at=None)
    clock.shift(timedelta(minutes=5))

    assert member.client().post(f"{MFA}recovery-codes/").status_code == 200

    new = AuthSession.objects.get(user=member.user, revoked_at=None)
    kept = (
        "tenant_id",
        "transport",
        "absolute_expires_at",
        "user_agent",
        "client_key",
        "methods",
        "authenticated_at",
    )
    assert new.pk != old.pk
    assert [getattr(new, name) for name in kept] == [getattr(old, name) for name in kept]


def test_there_is_one_factor_or_none(person):
    assert told(person.client().post(f"{MFA}totp/")) == (409, "mfa_already_enabled")
    confirm = person.client().post(f"{MFA}totp/confirm/", {"code": "123456"}, format="json")
    assert told(confirm) == (409, "mfa_already_enabled")

    nobody = make_member().client()
    assert told(nobody.delete(f"{MFA}totp/")) == (422, "mfa_not_enabled")
    assert told(nobody.post(f"{MFA}recovery-codes/")) == (422, "mfa_not_enabled")
    assert nobody.get(MFA).json()["data"] == {
        "is_enabled": False,
        "factors": [],
        "recovery_codes_left": 0,
        "reauthenticate_with": ["password"],
    }


def test_with_cookies_a_change_sets_new_ones(clock):
    member = make_member()
    page = APIClient()
    login_body = {"email": member.user.email, "password": PASSWORD, "transport": "cookies"}
    csrf = post("login/", login_body, client=page, Origin=OWN_PAGE).json()["data"]["csrf_token"]
    headers = {"Origin": OWN_PAGE, "X-CSRF-Token": csrf}
    secret = post("mfa/totp/", client=page, **headers).json()["data"]["secret"]
    before = page.cookies["access"].value

    assert told(post("mfa/totp/confirm/", {"code": Phone(secret).code()}, client=page)) == (403, "csrf_failed")
    done = post("mfa/totp/confirm/", {"code": Phone(secret).code()}, client=page, **headers)

    assert (done.status_code, done.json()["data"]["access"]) == (200, None)
    assert page.cookies["access"].value != before
    assert page.get(MFA).json()["data"]["is_enabled"]


# --- Signing in ------------------------------------------------------------------------------------------------------


def test_a_right_password_opens_no_session_but_a_challenge(person, phone):
    before = AuthSession.objects.count()

    first = login(person)

    assert told(first) == (401, "mfa_required")
    assert set(first.json()["data"]) == {"challenge", "methods", "expires_at"}
    assert first.json()["data"]["methods"] == ["code", "recovery_code"]
    assert first.json()["data"]["expires_at"].startswith("2026-11-20T09:05:01")
    assert first.headers["Cache-Control"] == "no-store"
    assert not first.cookies
    assert AuthSession.objects.count() == before

    second = verify(first.json()["data"]["challenge"], code=phone.code())

    assert second.status_code == 200
    data = second.json()["data"]
    assert data["user"]["email"] == person.user.email
    assert data["tenant"]["id"] == str(person.tenant_id)
    claims = AccessToken(data["access"]).payload
    assert claims["amr"] == ["pwd", "otp"]
    assert claims["auth_time"] == int(AuthSession.objects.get(pk=claims["sid"]).authenticated_at.timestamp())
    assert client_of(second).get("/api/v1/auth/sessions/").json()["data"][0]["methods"] == ["pwd", "otp"]
    refreshed = post("refresh/", {"refresh": data["refresh"]}).json()["data"]["access"]
    assert AccessToken(refreshed).payload["amr"] == ["pwd", "otp"]


def test_registering_again_with_the_right_password_is_no_way_around(person, phone):
    answer = post("register/", {"email": person.user.email, "password": PASSWORD})

    assert told(answer) == (401, "mfa_required")
    assert verify(answer.json()["data"]["challenge"], code=phone.code()).status_code == 200


def test_a_code_to_the_phone_is_a_first_factor_like_the_password(person, phone):
    number = with_proven_phone(person).user.phone
    first = post("request-otp/", {"phone": number}).json()["data"]["challenge"]
    texted = code_of(VerificationCode.objects.get(pk=first))

    second = post("verify-otp/", {"challenge": first, "code": texted})

    assert told(second) == (401, "mfa_required")
    done = verify(second.json()["data"]["challenge"], code=phone.code())
    assert client_of(done).get("/api/v1/auth/sessions/").json()["data"][0]["methods"] == ["sms", "otp"]
    assert told(verify(first, code=phone.code(1))) == (401, "mfa_challenge_invalid")


def test_a_new_password_needs_no_code_where_the_session_has_one_behind_it(person, phone):
    changed = post(
        "change-password/",
        {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
        client=person.client(),
    )

    assert told(changed) == (200, "success")
    assert client_of(changed).get(MFA).status_code == 200
    assert told(login(person, NEW_PASSWORD)) == (401, "mfa_required")


def test_a_reset_by_mail_is_no_way_around(person):
    link = EmailLink.objects.create(
        user=person.user,
        purpose="reset_password",
        email=person.user.email,
        expires_at=timezone.now() + timedelta(minutes=5),
    )
    reset_password(token=token_of(link), password=NEW_PASSWORD)

    assert told(login(person, NEW_PASSWORD)) == (401, "mfa_required")


def test_a_wrong_password_is_told_as_always_and_asks_for_no_code(person):
    assert told(login(person, "si-hiyo-kabisa-1")) == (401, "invalid_credentials")
    assert not MfaChallenge.objects.exists()


def test_a_recovery_code_works_once_however_it_is_written(person, phone):
    code = phone.recovery_codes[3]

    assert told(verify(challenge_for(person), recovery_code=code.replace("-", " "))) == (200, "success")
    assert told(verify(challenge_for(person), recovery_code=code)) == (422, "mfa_code_invalid")
    done = verify(challenge_for(person), recovery_code=phone.recovery_codes[0].replace("-", ""))

    assert AccessToken(done.json()["data"]["access"]).payload["amr"] == ["pwd", "recovery"]
    assert client_of(done).get(MFA).json()["data"]["recovery_codes_left"] == 8
    assert changes_told() == ["enabled", "recovery_code_used", "recovery_code_used"]


def test_when_the_recovery_codes_are_used_up_they_are_no_longer_offered(person, phone):
    row = Authenticator.objects.get(type="recovery_codes")
    row.data["used_mask"] = 2**10 - 1
    row.save()

    assert login(person).json()["data"]["methods"] == ["code"]
    answer = verify(challenge_for(person), recovery_code=phone.recovery_codes[0])
    assert told(answer) == (422, "mfa_code_invalid")


def test_a_code_works_once_for_the_account_not_for_the_challenge(person, phone, clock):
    code = phone.code()
    first, second = challenge_for(person), challenge_for(person)

    assert told(verify(first, code=code)) == (200, "success")
    assert told(verify(second, code=code)) == (422, "mfa_code_invalid")
    assert told(post("reauthenticate/", {"code": code}, client=person.client())) == (422, "mfa_code_invalid")
    clock.shift(30)  # good for another minute by its age alone
    assert told(verify(second, code=code)) == (422, "mfa_code_invalid")
    assert told(verify(second, code=phone.code())) == (200, "success")


def test_no_code_of_an_earlier_step_is_good_after_a_later_one(person, phone):
    assert told(verify(challenge_for(person), code=phone.code(1))) == (200, "success")
    assert told(verify(challenge_for(person), code=phone.code())) == (422, "mfa_code_invalid")


@pytest.mark.parametrize(("steps", "is_good"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
def test_a_clock_may_be_one_step_early_or_late(person, phone, clock, steps, is_good):
    clock.shift(120)  # past what switching on has used up

    answer = verify(challenge_for(person), code=phone.code(steps))

    assert told(answer) == ((200, "success") if is_good else (422, "mfa_code_invalid"))


def test_what_is_no_code_is_refused_before_it_counts(person):
    challenge = challenge_for(person)

    for code in ("", "12345", "1234567", "12345a", "\u0661" * 6, 123456, None):
        answer = post("mfa/verify/", {"challenge": challenge, "code": code})
        assert told(answer) == (400, "validation_error"), code
    assert MfaChallenge.objects.get().guesses == 0


def test_one_code_is_asked_for_not_none_and_not_two(person, phone):
    challenge = challenge_for(person)
    both = {"code": phone.code(), "recovery_code": phone.recovery_codes[0]}

    assert told(verify(challenge)) == (400, "validation_error")
    assert told(verify(challenge, **both)) == (400, "validation_error")
    assert told(verify(challenge, code=phone.code())) == (200, "success")


def test_somebody_elses_code_opens_nothing(person, phone):
    other, others_phone = with_second_factor(make_member())

    assert told(verify(challenge_for(person), code=others_phone.code())) == (422, "mfa_code_invalid")
    assert told(verify(challenge_for(person), recovery_code=others_phone.recovery_codes[0])) == (
        422,
        "mfa_code_invalid",
    )
    assert told(verify(challenge_for(other), code=others_phone.code())) == (200, "success")


# --- Challenges ------------------------------------------------------------------------------------------------------


def test_a_challenge_is_met_once(person, phone):
    challenge = challenge_for(person)
    assert told(verify(challenge, code=phone.code())) == (200, "success")

    assert told(verify(challenge, code=phone.code(1))) == (401, "mfa_challenge_invalid")


def test_a_challenge_lives_five_minutes(person, phone, clock):
    in_time, late = challenge_for(person), challenge_for(person)
    clock.shift(299)
    assert told(verify(in_time, code=phone.code())) == (200, "success")
    clock.shift(1)

    assert told(verify(late, code=phone.code(1))) == (401, "mfa_challenge_invalid")


def test_after_five_wrong_codes_the_right_one_is_too_late(person, phone):
    challenge = challenge_for(person)

    assert [told(verify(challenge, code=phone.wrong_code())) for _ in range(5)] == [(422, "mfa_code_invalid")] * 5
    assert told(verify(challenge, code=phone.code())) == (401, "mfa_challenge_invalid")
    assert told(verify(challenge_for(person), code=phone.code())) == (200, "success")


def test_no_other_text_is_a_challenge(person, phone):
    challenge = challenge_for(person)
    other = challenge_for(with_second_factor(make_member())[0])
    link = EmailLink.objects.create(
        user=person.user, purpose="reset_password", email="a@example.com", expires_at=timezone.now()
    )
    flipped = challenge[:-1] + ("0" if challenge[-1] != "0" else "1")
    made_up = [
        flipped,
        challenge[:32] + other[32:],
        challenge[:32],
        challenge.upper(),
        "{" + challenge,
        challenge + "0",
        token_of(link),
        person.tokens.access[:200],
        str(UUID(int=0)) * 2,
        "0" * 64,
        "\u00e9" * 64,
        "x",
    ]

    for text in made_up:
        assert told(verify(text, code=phone.code())) == (401, "mfa_challenge_invalid"), text
    assert MfaChallenge.objects.filter(guesses__gt=0).count() == 0


def test_nothing_else_takes_a_challenge_for_a_proof(person):
    challenge = challenge_for(person)
    bearer = APIClient()
    bearer.credentials(HTTP_AUTHORIZATION=f"Bearer {challenge}")

    assert told(bearer.get("/api/v1/auth/me/")) == (401, "token_invalid")
    assert told(post("refresh/", {"refresh": challenge})) == (401, "token_invalid")
    for path in ("verify-email/", "reset-password-confirm/"):
        body = {"token": challenge} | ({"password": NEW_PASSWORD} if "reset" in path else {})
        assert told(post(path, body)) == (422, "link_invalid")


def test_a_deactivated_person_gets_no_further(person, phone):
    challenge = challenge_for(person)
    User.objects.update(is_active=False)

    assert told(verify(challenge, code=phone.code())) == (401, "account_inactive")
    assert live_sessions(person) == 1


def by_change(member: Member) -> None:
    post("change-password/", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}, client=member.client())


def by_reset(member: Member) -> None:
    expires_at = timezone.now() + timedelta(minutes=5)
    link = EmailLink.objects.create(
        user=member.user, purpose="reset_password", email=member.user.email, expires_at=expires_at
    )
    reset_password(token=token_of(link), password=NEW_PASSWORD)


def by_logout_everywhere(member: Member) -> None:
    post("logout-all/", client=member.client())


def by_hand(member: Member) -> None:
    """As the admin's form does it: no use case ends anything."""
    member.user.set_password(NEW_PASSWORD)
    member.user.save()


@pytest.mark.parametrize("end", [by_change, by_reset, by_logout_everywhere, by_hand])
def test_a_new_password_or_the_end_of_all_sessions_ends_open_challenges(person, phone, end):
    challenge = challenge_for(person)

    end(person)

    assert told(verify(challenge, code=phone.code())) == (401, "mfa_challenge_invalid")


def test_a_persons_challenges_do_not_pile_up(person, phone, clock):
    refusals: list[Any] = [begin_sign_in(user=person.user, transport="body", method=Method.PASSWORD) for _ in range(23)]
    challenges = [refusal.data["challenge"] for refusal in refusals]

    assert MfaChallenge.objects.count() == 20
    assert told(verify(challenges[0], code=phone.code())) == (401, "mfa_challenge_invalid")
    assert told(verify(challenges[-1], code=phone.code())) == (200, "success")
    clock.shift(timedelta(days=2))
    purge_sessions_task()
    assert not MfaChallenge.objects.exists()


# --- Transports ------------------------------------------------------------------------------------------------------


def test_cookies_are_set_by_the_second_step_only_and_for_our_own_page_only(person, phone):
    page = APIClient()
    body = {"email": person.user.email, "password": PASSWORD, "transport": "cookies"}
    first = post("login/", body, client=page, Origin=OWN_PAGE)
    answer = {"challenge": first.json()["data"]["challenge"], "code": phone.code()}
    assert not page.cookies

    foreign = {"Origin": "https://evil.example"}
    crossing = {"Origin": OWN_PAGE, "Sec-Fetch-Site": "cross-site"}
    for headers in (foreign, crossing):
        assert told(post("mfa/verify/", answer, client=page, **headers)) == (403, "csrf_failed")
    assert not page.cookies
    assert MfaChallenge.objects.get().guesses == 0

    done = post("mfa/verify/", answer, client=page, Origin=OWN_PAGE)
    assert (done.status_code, done.json()["data"]["access"], done.json()["data"]["refresh"]) == (200, None, None)
    assert set(page.cookies) == {"access", "refresh", "csrf"}
    assert page.cookies["refresh"]["path"] == "/api/v1/auth/"
    assert page.get("/api/v1/auth/me/").status_code == 200


def test_the_transport_is_the_one_of_the_first_step(person, phone):
    challenge = challenge_for(person)

    for other in ("cookies", "refresh_cookie"):
        refused = verify(challenge, code=phone.code(), transport=other)
        assert told(refused) == (401, "mfa_challenge_invalid")
        assert "transport" in refused.json()["errors"]
        assert not refused.cookies
    assert verify(challenge, code=phone.code(), transport="body").json()["data"]["refresh"]


def test_a_form_of_another_page_cannot_carry_the_second_step(person, phone):
    challenge = challenge_for(person)
    body = f'{{"challenge": "{challenge}", "code": "{phone.code()}"}}'

    response = APIClient().post("/api/v1/auth/mfa/verify/", body, content_type="text/plain")

    assert told(response) == (415, "unsupported_media_type")


# --- Limits and races ------------------------------------------------------------------------------------------------


@pytest.fixture
def evaluated(monkeypatch) -> list[str]:
    """The codes that were looked at."""
    seen: list[str] = []
    lock, look = threading.Lock(), proofs.step_of

    def counting(secret: str, code: str, **after: int) -> int | None:
        with lock:
            seen.append(code)
        return look(secret, code, **after)

    monkeypatch.setattr(proofs, "step_of", counting)
    return seen


@pytest.mark.django_db(transaction=True)
def test_of_thirty_guesses_at_once_five_are_looked_at(evaluated):
    person, phone = with_second_factor(make_member())
    challenge = challenge_for(person)
    wrong = phone.wrong_code()
    evaluated.clear()

    answers = at_once(30, lambda _: told(verify(challenge, code=wrong)))

    assert sorted(answers) == [(401, "mfa_challenge_invalid")] * 25 + [(422, "mfa_code_invalid")] * 5
    assert len(evaluated) == 5


@pytest.mark.django_db(transaction=True)
def test_of_twelve_uses_of_one_code_at_once_one_wins():
    person, phone = with_second_factor(make_member())
    challenges, code = [challenge_for(person) for _ in range(4)], phone.code()

    answers = at_once(12, lambda number: verify(challenges[number % 4], code=code).status_code)

    assert sorted(answers)[0] == 200
    assert set(answers[1:] + answers[:1]) <= {200, 401, 422}
    assert answers.count(200) == 1
    assert live_sessions(person) == 2


@pytest.mark.django_db(transaction=True)
def test_of_eight_uses_of_one_recovery_code_at_once_one_wins():
    person, phone = with_second_factor(make_member())
    challenges = [challenge_for(person) for _ in range(8)]

    answers = at_once(8, lambda n: verify(challenges[n], recovery_code=phone.recovery_codes[0]).status_code)

    assert sorted(answers) == [200] + [422] * 7
    assert live_sessions(person) == 2


@pytest.mark.django_db(transaction=True)
def test_of_two_confirmations_at_once_one_switches_on():
    member = make_member()
    code = phone_being_set_up(member).code()

    answers = at_once(4, lambda _: told(member.client().post(f"{MFA}totp/confirm/", {"code": code}, format="json")))

    assert answers.count((200, "success")) == 1
    assert set(answers) <= {(200, "success"), (409, "mfa_already_enabled"), (401, "session_revoked")}
    assert live_sessions(member) == 1
    assert Authenticator.objects.filter(user=member.user).count() == 2


@pytest.mark.django_db(transaction=True)
def test_sign_ins_while_the_factor_is_switched_on_leave_no_session_without_it():
    member = make_member()
    code = phone_being_set_up(member).code()

    def act(number: int):
        if number:
            return login(member)
        return member.client().post(f"{MFA}totp/confirm/", {"code": code}, format="json")

    assert told(at_once(6, act)[0]) == (200, "success")
    alive = AuthSession.objects.filter(user=member.user, revoked_at=None)
    assert [session.methods for session in alive] == [["otp"]]


def test_ten_wrong_codes_an_hour_for_one_account_over_all_challenges(settings):
    settings.RATE_LIMITS = base.RATE_LIMITS | {"login_client": (1000, timedelta(hours=1))}
    person, phone = with_second_factor(make_member(email=f"{fresh_address()}@example.com"))
    home = APIClient(REMOTE_ADDR=fresh_address())
    body = {"challenge": challenge_for(person), "code": phone.code()}
    assert told(post("mfa/verify/", body, client=home)) == (200, "success")

    answers = []
    for _ in range(3):
        challenge = challenge_for(person)
        answers += [told(verify(challenge, code=phone.wrong_code())) for _ in range(4)]

    assert answers == [(422, "mfa_code_invalid")] * 10 + [(429, "throttled")] * 2
    refused = verify(challenge_for(person), recovery_code=phone.recovery_codes[0])
    assert told(refused) == (429, "throttled")
    assert int(refused.headers["Retry-After"]) > 0
    body = {"challenge": challenge_for(person), "code": phone.code(1)}
    assert told(post("mfa/verify/", body, client=home)) == (200, "success"), "at home the person is not locked out"


def test_right_codes_are_never_counted(settings, clock):
    settings.RATE_LIMITS = base.RATE_LIMITS | {
        "mfa_known": (1, timedelta(hours=1)),
        "mfa_account": (1, timedelta(hours=1)),
    }
    person, phone = with_second_factor(make_member(email=f"{fresh_address()}@example.com"))

    for _ in range(4):
        assert told(verify(challenge_for(person), code=phone.code())) == (200, "success")
        clock.shift(30)


def test_wrong_codes_from_one_address_are_counted_over_all_accounts(settings):
    settings.RATE_LIMITS = base.RATE_LIMITS | {"login_client": (3, timedelta(hours=1))}
    address, answers = APIClient(REMOTE_ADDR=fresh_address()), []
    for _ in range(4):
        person, phone = with_second_factor(make_member(email=f"{fresh_address()}@example.com"))
        body = {"challenge": challenge_for(person), "code": phone.wrong_code()}
        answers.append(told(post("mfa/verify/", body, client=address)))

    assert answers == [(422, "mfa_code_invalid")] * 3 + [(429, "throttled")]


def test_ending_all_sessions_by_a_use_case_ends_challenges_too(person, phone):
    challenge = challenge_for(person)

    end_all_sessions(user_id=person.user.pk)

    assert told(verify(challenge, code=phone.code())) == (401, "mfa_challenge_invalid")
