"""Register, sign in, refresh, sign out, me: as phones and browsers see them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import jwt
import pytest
import time_machine
from django.core import mail
from rest_framework.test import APIClient

from apps.accounts.models import AuthSession, EmailLink, User
from apps.tenants.models import Membership, Tenant
from core.outbox import relay
from tests.envelope import refusal_of
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.tokens import resign

pytestmark = pytest.mark.django_db

AUTH = "/api/v1/auth"
ORIGIN = "https://app.faraja.test"
START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)


def post(client: APIClient, path: str, body: dict | None = None, **headers: str):
    return client.post(f"{AUTH}/{path}/", body or {}, format="json", headers=headers)


def me(access: str):
    return APIClient().get(f"{AUTH}/me/", headers={"Authorization": f"Bearer {access}"})


def deliver_events() -> None:
    """What the worker does with everything that is due."""
    for row_id, token in relay.claim():
        relay.deliver(row_id, token)


def registration(**changes: str) -> dict[str, str]:
    return {"email": "asha@example.com", "password": PASSWORD, "first_name": "Asha", "last_name": "Juma"} | changes


def test_registration_signs_in_and_makes_a_personal_tenant(client):
    response = post(client, "register", registration(phone="0712 345 678"))

    assert response.status_code == 201
    data = response.json()["data"]
    assert data["user"]["email"] == "asha@example.com"
    assert data["user"]["phone"] == "+255712345678"
    assert data["tenant"]["name"] == "Asha Juma"
    assert data["tenant"]["role"] == "owner"
    assert data["transport"] == "body"
    assert me(data["access"]).json()["data"]["tenant"] == data["tenant"]
    assert jwt.decode(data["access"], options={"verify_signature": False})["tenant_id"] == data["tenant"]["id"]


@pytest.mark.parametrize("email", ["asha@example.com", "ASHA@Example.com", " asha@example.com "])
def test_registering_again_with_the_password_signs_in_to_the_same_account(client, email):
    first = post(client, "register", registration())

    again = post(client, "register", registration(email=email))

    assert again.status_code == 201
    assert again.json()["data"]["user"] == first.json()["data"]["user"]
    assert User.objects.count() == Tenant.objects.count() == Membership.objects.count() == 1


def test_a_stranger_who_registers_a_known_address_gets_an_account_that_sees_nothing_of_it(client):
    owner = make_member(email="asha@example.com")

    response = post(client, "register", registration(password="nyingine-kabisa-8"))

    assert response.status_code == 201
    data = response.json()["data"]
    assert data["user"]["email"] == "asha@example.com"
    assert data["user"]["id"] != str(owner.user.pk)
    assert data["tenant"]["id"] != str(owner.tenant_id)
    for password, person in [(PASSWORD, str(owner.user.pk)), ("nyingine-kabisa-8", data["user"]["id"])]:
        login = post(client, "login", {"email": "asha@example.com", "password": password})
        assert login.json()["data"]["user"]["id"] == person


@pytest.mark.parametrize("password", ["short7!", "12345678", "password", "asha@example.com"])
def test_a_weak_password_is_refused_and_nothing_is_stored(client, password):
    response = post(client, "register", registration(password=password))

    assert response.status_code == 400
    assert response.json()["code"] == "validation_error"
    assert response.json()["errors"]["password"]
    assert not User.objects.exists()


def test_nobody_registers_themselves_as_staff(client):
    response = post(client, "register", registration(is_staff="true", role="owner"))

    assert response.status_code == 400
    assert set(response.json()["errors"]) == {"is_staff", "role"}
    assert not User.objects.exists()


@pytest.mark.invariant("I52")
def test_a_wrong_password_and_an_unknown_address_are_answered_alike(client, member):
    wrong = post(client, "login", {"email": member.user.email, "password": "not-the-password"})
    unknown = post(client, "login", {"email": "nobody@example.com", "password": "not-the-password"})

    assert wrong.status_code == unknown.status_code == 401
    assert wrong.json() == unknown.json()
    assert wrong.json()["code"] == "invalid_credentials"


@pytest.mark.invariant("I45")
def test_a_deactivated_person_is_refused_at_every_door(client, member):
    User.objects.update(is_active=False)

    login = post(client, "login", {"email": member.user.email, "password": PASSWORD})
    refresh = post(client, "refresh", {"refresh": member.tokens.refresh})

    assert [login.status_code, refresh.status_code, me(member.tokens.access).status_code] == [401, 401, 401]
    codes = {each.json()["code"] for each in (login, refresh, me(member.tokens.access))}
    assert codes == {"account_inactive"}


@pytest.mark.invariant("I45")
def test_a_deleted_person_is_refused_and_never_a_server_error(client, member):
    Membership.objects.all().delete()
    AuthSession.objects.all().delete()
    EmailLink.objects.all().delete()
    User.objects.all()._raw_delete("default")

    assert post(client, "refresh", {"refresh": member.tokens.refresh}).json()["code"] == "session_revoked"
    assert me(member.tokens.access).json()["code"] == "session_revoked"


@pytest.mark.invariant("I54")
def test_refreshing_gives_new_tokens_and_keeps_one_row(client, member):
    response = post(client, "refresh", {"refresh": member.tokens.refresh})

    data = response.json()["data"]
    assert response.status_code == 200
    assert data["refresh"] != member.tokens.refresh
    assert me(data["access"]).status_code == 200
    assert AuthSession.objects.count() == 1
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.invariant("I40")
def test_a_lost_answer_is_given_again_within_the_grace(client, member, record_figure):
    first = post(client, "refresh", {"refresh": member.tokens.refresh}).json()["data"]
    again = post(client, "refresh", {"refresh": member.tokens.refresh}).json()["data"]

    assert again["refresh"] == first["refresh"]
    assert AuthSession.objects.get().generation == 2
    record_figure("the repetition has the same successor")


@pytest.mark.invariant("I41")
def test_the_predecessor_after_the_grace_ends_the_family():
    with time_machine.travel(START, tick=False) as clock:
        member = make_member()
        client = APIClient()
        successor = post(client, "refresh", {"refresh": member.tokens.refresh}).json()["data"]
        clock.shift(timedelta(seconds=11))

        replay = post(client, "refresh", {"refresh": member.tokens.refresh})

        assert replay.status_code == 401
        assert replay.json()["code"] == "refresh_reused"
        assert post(client, "refresh", {"refresh": successor["refresh"]}).json()["code"] == "refresh_reused"
        assert me(successor["access"]).json()["code"] == "refresh_reused"
        assert AuthSession.objects.get().revoked_reason == "reuse"


# The predecessor has a grace of ten seconds; anything older has none, and no replay comes too late.
@pytest.mark.parametrize(("age", "seconds"), [(1, 11), (2, 0), (3, 11), (4, 0), (5, 13 * 86_400)])
@pytest.mark.invariant("I41")
def test_an_older_generation_ends_the_family_at_any_time(age, seconds, record_figure):
    with time_machine.travel(START, tick=False) as clock:
        tokens = [make_member().tokens.refresh]
        for _ in range(age):
            tokens.append(post(APIClient(), "refresh", {"refresh": tokens[-1]}).json()["data"]["refresh"])
        clock.shift(seconds)

        assert post(APIClient(), "refresh", {"refresh": tokens[0]}).json()["code"] == "refresh_reused"
        assert post(APIClient(), "refresh", {"refresh": tokens[-1]}).json()["code"] == "refresh_reused"
        assert AuthSession.objects.get().revoked_reason == "reuse"
    record_figure(f"{age} generations behind, after {seconds} s: the session ended")


@pytest.mark.invariant("I41")
def test_the_owner_is_told_once_that_an_old_token_came_back(caplog):
    with time_machine.travel(START, tick=False) as clock:
        member = make_member()
        post(APIClient(), "refresh", {"refresh": member.tokens.refresh})
        clock.shift(timedelta(seconds=11))

        for _ in range(3):
            post(APIClient(), "refresh", {"refresh": member.tokens.refresh})
        deliver_events()

    session = AuthSession.objects.get()
    (warning,) = [record for record in caplog.records if record.name == "faraja.security"]
    assert warning.getMessage() == "refresh token reused"
    assert (warning.session_id, warning.behind) == (str(session.pk), 1)
    assert [(each.to, each.subject) for each in mail.outbox] == [([member.user.email], "A session of yours was ended")]


@pytest.mark.invariant("I41")
def test_the_notice_speaks_the_persons_language_and_nobody_gets_it_for_a_lost_answer(member):
    User.objects.update(language="sw")
    tokens = [member.tokens.refresh]
    for _ in range(2):
        tokens.append(post(APIClient(), "refresh", {"refresh": tokens[-1]}).json()["data"]["refresh"])
        post(APIClient(), "refresh", {"refresh": tokens[-2]})  # the answer was lost
    deliver_events()
    assert mail.outbox == []

    post(APIClient(), "refresh", {"refresh": tokens[0]})
    deliver_events()

    assert [each.subject for each in mail.outbox] == ["Kipindi chako kimoja kimefungwa"]


def test_a_phone_that_keeps_its_refresh_token_stays_signed_in_over_many_access_lifetimes():
    with time_machine.travel(START, tick=False) as clock:
        member = make_member()
        access, refresh = member.tokens.access, member.tokens.refresh
        for _ in range(40):
            clock.shift(timedelta(hours=1))
            assert me(access).json()["code"] == "token_expired"
            data = post(APIClient(), "refresh", {"refresh": refresh}).json()["data"]
            access, refresh = data["access"], data["refresh"]
            assert me(access).status_code == 200


@pytest.mark.invariant("I47")
def test_a_session_refreshed_just_before_fourteen_idle_days_lives():
    with time_machine.travel(START, tick=False) as clock:
        member = make_member()
        clock.shift(timedelta(days=14, seconds=-1))

        assert post(APIClient(), "refresh", {"refresh": member.tokens.refresh}).status_code == 200


@pytest.mark.invariant("I47")
def test_a_session_ends_after_fourteen_idle_days():
    with time_machine.travel(START, tick=False) as clock:
        member = make_member()
        clock.shift(timedelta(days=14))

        response = post(APIClient(), "refresh", {"refresh": member.tokens.refresh})

    assert response.status_code == 401
    assert response.json()["code"] == "session_expired"


@pytest.mark.invariant("I47")
def test_a_session_ends_after_ninety_days_however_often_it_is_refreshed(figure, record_figure):
    refreshes = figure(quick=1, full=24)  # a day
    with time_machine.travel(START, tick=False) as clock:
        data = {"refresh": make_member().tokens.refresh}
        answers = []
        for _ in range(91 * refreshes):
            clock.shift(timedelta(days=1) / refreshes)
            response = post(APIClient(), "refresh", {"refresh": data["refresh"]})
            answers.append(response.json().get("code", "refreshed"))
            data = response.json()["data"] or data
        clock.move_to(START + timedelta(days=90))
        last = me(data["access"]).status_code

    assert answers == ["refreshed"] * (90 * refreshes - 1) + ["session_expired"] * (refreshes + 1)
    assert last == 401
    record_figure(f"refreshed {refreshes} times a day: ended after exactly 90 days; unused: after exactly 14")


@pytest.mark.invariant("I43")
def test_signing_out_kills_both_tokens_on_the_next_request(client, member):
    response = post(client, "logout", {"refresh": member.tokens.refresh})

    assert response.status_code == 200
    assert me(member.tokens.access).json()["code"] == "session_revoked"
    assert post(client, "refresh", {"refresh": member.tokens.refresh}).json()["code"] == "session_revoked"
    assert post(client, "logout", {"refresh": member.tokens.refresh}).status_code == 200


@pytest.mark.invariant("I43")
def test_signing_out_with_the_access_token_alone_works(client, member):
    post(client, "logout", Authorization=f"Bearer {member.tokens.access}")

    assert me(member.tokens.access).json()["code"] == "session_revoked"


def test_signing_out_ends_only_this_session(client, member):
    other = post(client, "login", {"email": member.user.email, "password": PASSWORD}).json()["data"]

    post(client, "logout", {"refresh": member.tokens.refresh})

    assert me(other["access"]).status_code == 200


@pytest.mark.invariant("I45")
def test_losing_the_membership_acts_on_the_next_request(member, member_client):
    Membership.objects.all().delete()

    assert member_client.get("/api/v1/payments/").json()["code"] == "not_a_member"
    assert me(member.tokens.access).json()["data"]["tenant"] is None


@pytest.mark.invariant("I45")
def test_a_suspended_tenant_is_told_so(member, member_client):
    Tenant.objects.update(suspended_at=datetime.now(UTC))

    response = member_client.get("/api/v1/payments/")

    assert response.status_code == 403
    assert response.json()["code"] == "tenant_suspended"


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer ", "Basic abc", "bearer  ", "Token x", "Bearer\tx"])
@pytest.mark.invariant("I48")
def test_a_malformed_header_is_refused(member, header):
    response = APIClient().get(f"{AUTH}/me/", headers={"Authorization": header})

    assert response.status_code == 401
    assert response.json()["code"] in {"token_invalid", "not_authenticated"}


@pytest.mark.invariant("I48")
def test_an_access_token_is_no_refresh_token(client, member):
    assert post(client, "refresh", {"refresh": member.tokens.access}).json()["code"] == "token_invalid"


@pytest.mark.invariant("I48")
def test_a_generation_that_was_never_given_out_is_refused(client, member):
    forged = resign(member.tokens.refresh, gen=99)

    assert post(client, "refresh", {"refresh": forged}).json()["code"] == "token_invalid"
    assert me(member.tokens.access).status_code == 200


# --- Browsers -------------------------------------------------------------------------------------------------------


def login(client: APIClient, member: Member, **body: str):
    credentials = {"email": member.user.email, "password": PASSWORD}
    return post(client, "login", credentials | body, Origin=ORIGIN)


def test_a_browser_gets_its_refresh_token_in_a_cookie_by_default(client, member):
    response = login(client, member)

    data = response.json()["data"]
    assert data["transport"] == "refresh_cookie"
    assert data["access"]
    assert data["refresh"] is None
    cookie = response.cookies["refresh"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Strict"
    assert cookie["path"] == "/api/v1/auth/"


@pytest.mark.invariant("I51")
def test_production_cookies_carry_every_flag(client, member, settings):
    settings.AUTH_COOKIE_SECURE = True

    response = login(client, member, transport="cookies")

    access, refresh, csrf = (response.cookies[name] for name in ("__Host-access", "__Secure-refresh", "__Host-csrf"))
    assert all(cookie["secure"] for cookie in (access, refresh, csrf))
    assert (access["httponly"], access["samesite"], access["path"], access["domain"]) == (True, "Lax", "/", "")
    assert (refresh["httponly"], refresh["samesite"], refresh["path"]) == (True, "Strict", "/api/v1/auth/")
    assert (csrf["httponly"], csrf["samesite"], csrf["path"], csrf["domain"]) == ("", "Lax", "/", "")
    data = response.json()["data"]
    assert (data["access"], data["refresh"]) == (None, None)
    assert access.value not in response.content.decode()


def test_a_browser_refreshes_with_its_cookie_and_a_listed_origin(client, member):
    login(client, member)
    before = client.cookies["refresh"].value

    response = post(client, "refresh", Origin=ORIGIN)

    assert response.status_code == 200
    assert response.json()["data"]["refresh"] is None
    assert client.cookies["refresh"].value != before


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": ORIGIN, "Sec-Fetch-Site": "cross-site"},
    ],
)
@pytest.mark.parametrize("path", ["refresh", "logout"])
@pytest.mark.invariant("I50")
def test_a_cookie_without_proof_of_our_page_does_nothing(client, member, headers, path):
    login(client, member)
    before = client.cookies["refresh"].value

    response = client.post(f"{AUTH}/{path}/", {}, format="json", headers=headers)

    assert response.status_code == 403
    assert response.json()["code"] == "csrf_failed"
    assert "refresh" not in response.cookies
    assert client.cookies["refresh"].value == before
    assert AuthSession.objects.get(transport="refresh_cookie").revoked_at is None


@pytest.mark.invariant("I50")
def test_a_page_elsewhere_cannot_sign_somebody_in(client, member):
    credentials = {"email": member.user.email, "password": PASSWORD, "transport": "cookies"}

    response = post(client, "login", credentials, Origin="https://evil.example")

    assert response.json()["code"] == "csrf_failed"
    assert not response.cookies


@pytest.mark.invariant("I42")
def test_a_refused_refresh_never_clears_the_cookies(client, member):
    login(client, member)
    AuthSession.objects.update(revoked_at=datetime.now(UTC))

    response = post(client, "refresh", Origin=ORIGIN)

    assert response.status_code == 401
    assert not response.cookies


@pytest.mark.parametrize(
    "headers", [{"Origin": "https://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
@pytest.mark.parametrize("content_type", ["application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_a_form_elsewhere_that_comes_without_cookies_clears_none(client, headers, content_type):
    """SameSite keeps the cookies from the request, and not the browser from obeying the answer."""
    response = client.generic("POST", f"{AUTH}/logout/", b"", content_type=content_type, headers=headers)

    assert refusal_of(response) == (403, "csrf_failed")
    assert not response.cookies


def test_signing_out_again_is_fine_for_a_page_of_ours_and_for_a_phone(client, member):
    assert post(client, "logout", Origin=ORIGIN).status_code == 200
    for _ in range(2):
        assert post(client, "logout", {"refresh": member.tokens.refresh}).status_code == 200


def test_signing_out_clears_the_cookies(client, member):
    login(client, member, transport="cookies")
    csrf = client.cookies["csrf"].value

    response = post(client, "logout", None, Origin=ORIGIN, **{"X-CSRF-Token": csrf})

    assert response.status_code == 200
    for name in ("access", "refresh", "csrf"):
        assert response.cookies[name]["max-age"] == 0
    assert AuthSession.objects.get(transport="cookies").revoked_at is not None


def cookie_session(client: APIClient, member: Member) -> str:
    """Sign in with all tokens in cookies; returns the CSRF token."""
    return str(login(client, member, transport="cookies").json()["data"]["csrf_token"])


@pytest.mark.invariant("I50")
def test_cookies_alone_read_and_need_proof_to_write(client, member):
    from tests.factories.payments import a_wish_to_pay

    csrf = cookie_session(client, member)
    wish = a_wish_to_pay()
    key = {"Idempotency-Key": "k-1"}

    def start(**headers: str):
        return client.post("/api/v1/payments/", wish, format="json", headers=key | headers)

    assert client.get(f"{AUTH}/me/").status_code == 200
    assert start().json()["code"] == "csrf_failed"
    assert start(Origin=ORIGIN).json()["code"] == "csrf_failed"
    assert start(**{"X-CSRF-Token": csrf}).json()["code"] == "csrf_failed"
    assert start(**{"X-CSRF-Token": csrf, "Origin": "https://evil.example"}).json()["code"] == "csrf_failed"
    assert start(**{"X-CSRF-Token": csrf + "x", "Origin": ORIGIN}).json()["code"] == "csrf_failed"
    assert start(**{"X-CSRF-Token": "é", "Origin": ORIGIN}).json()["code"] == "csrf_failed"
    assert start(**{"X-CSRF-Token": csrf, "Origin": ORIGIN}).status_code == 201


def test_every_tab_goes_on_with_the_proof_that_it_has(client, member):
    """Tabs share the cookies and not the answers: a refresh in one must leave the other's header good."""
    csrf = cookie_session(client, member)
    proof = {"Origin": ORIGIN, "X-CSRF-Token": csrf}

    refreshed = post(client, "refresh", None, **proof)

    assert refreshed.json()["data"]["csrf_token"] == csrf
    assert refreshed.cookies["csrf"].value == csrf
    assert client.patch(f"{AUTH}/me/", {"first_name": "Neema"}, format="json", headers=proof).status_code == 200


def test_another_login_has_another_proof(client, member):
    assert cookie_session(client, member) != cookie_session(client, member)


def test_a_page_that_starts_asks_for_its_proof(client, member):
    csrf = cookie_session(client, member)
    del client.cookies["access"]  # fifteen minutes later

    response = client.get(f"{AUTH}/csrf/")

    assert response.json()["data"] == {"transport": "cookies", "csrf_token": csrf}
    assert not response.cookies
    assert response.headers["Cache-Control"] == "no-store"
    assert post(client, "refresh", None, Origin=ORIGIN, **{"X-CSRF-Token": csrf}).status_code == 200


@pytest.mark.parametrize("held", [None, "planted.by-somebody", ""])
def test_a_lost_or_altered_proof_is_replaced(client, member, held):
    cookie_session(client, member)
    del client.cookies["csrf"]
    if held is not None:
        client.cookies["csrf"] = held

    response = client.get(f"{AUTH}/csrf/")

    csrf = response.json()["data"]["csrf_token"]
    cookie = response.cookies["csrf"]
    assert (cookie.value, cookie["samesite"], cookie["path"]) == (csrf, "Lax", "/")
    assert post(client, "refresh", None, Origin=ORIGIN, **{"X-CSRF-Token": csrf}).status_code == 200


def test_a_page_with_its_access_token_in_memory_needs_no_proof(client, member):
    login(client, member)

    response = client.get(f"{AUTH}/csrf/")

    assert response.json()["data"] == {"transport": "refresh_cookie", "csrf_token": None}
    assert not response.cookies


def test_there_is_no_proof_for_nobody_and_none_for_a_session_that_has_ended(client, member):
    assert refusal_of(client.get(f"{AUTH}/csrf/")) == (401, "not_authenticated")
    client.cookies["access"] = "nonsense"
    assert refusal_of(client.get(f"{AUTH}/csrf/")) == (401, "token_invalid")
    cookie_session(client, member)
    AuthSession.objects.update(revoked_at=datetime.now(UTC))

    response = client.get(f"{AUTH}/csrf/")

    assert refusal_of(response) == (401, "session_revoked")
    assert not response.cookies


@pytest.mark.invariant("I50")
def test_another_sessions_proof_is_no_proof(client, member):
    cookie_session(client, member)
    other = APIClient()
    foreign = cookie_session(other, make_member())
    client.cookies["csrf"] = foreign

    response = post(client, "logout", None, Origin=ORIGIN, **{"X-CSRF-Token": foreign})

    assert response.json()["code"] == "csrf_failed"


@pytest.mark.invariant("I50")
def test_a_bad_header_never_falls_back_to_the_cookie(client, member):
    cookie_session(client, member)

    response = client.get(f"{AUTH}/me/", headers={"Authorization": "Bearer nonsense"})

    assert response.json()["code"] == "token_invalid"


def test_the_unversioned_path_scopes_its_own_cookie(client, member):
    body = {"email": member.user.email, "password": PASSWORD}
    response = client.post("/api/auth/login/", body, format="json", headers={"Origin": ORIGIN})

    assert response.cookies["refresh"]["path"] == "/api/auth/"


@pytest.mark.invariant("I55")
def test_no_secret_of_a_session_is_stored(member):
    row = AuthSession.objects.values().get()

    assert member.tokens.refresh not in str(row)
    assert member.tokens.refresh.rpartition(".")[2] not in str(row)
