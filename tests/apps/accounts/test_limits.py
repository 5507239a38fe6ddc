"""Guessing passwords, registering in bulk, refreshing in a loop: the limits of production, met over HTTP."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from datetime import timedelta
from typing import ClassVar

import pytest
import redis
from django.contrib.auth.hashers import MD5PasswordHasher, get_hasher
from django.test import Client
from rest_framework.test import APIClient

from apps.accounts.models import AuthSession, User
from apps.accounts.services.accounts import create_operator
from apps.payments.models.payments import Payment
from config.settings import base
from core.logging import JsonFormatter
from core.tenancy import tenant_scope, tenant_transaction
from core.throttling.models import RateBucket
from tests.factories.accounts import PASSWORD, make_member
from tests.factories.payments import a_wish_to_pay
from tests.limits import at_once, fresh_address, redis_that_is_a_black_hole, redis_that_refuses

LOGIN = "/api/v1/auth/login/"
HOUR = timedelta(hours=1)
WRONG = "not-the-password"
HASHES = 2


class SpyHasher(MD5PasswordHasher):
    """Counts how often a password was looked at. Each attempt to sign in costs `HASHES`, whoever exists."""

    algorithm = "spy"
    lock: ClassVar = threading.Lock()
    evaluated: ClassVar[int] = 0

    def encode(self, password, salt):
        with self.lock:
            SpyHasher.evaluated += 1
        return super().encode(password, salt)


@pytest.fixture(autouse=True)
def _production_limits(settings):
    # Nothing is earned back while a slow computer still counts; the bursts are production's own.
    slow = {name: (base.RATE_LIMITS[name][0], HOUR) for name in ("login_client", "refresh_session")}
    settings.RATE_LIMITS = base.RATE_LIMITS | slow


@pytest.fixture
def spy(settings) -> type[SpyHasher]:
    settings.PASSWORD_HASHERS = [f"{__name__}.SpyHasher"]
    assert isinstance(get_hasher(), SpyHasher)
    SpyHasher.evaluated = 0
    return SpyHasher


def fresh_email() -> str:
    return f"juma-{uuid.uuid4().hex}@example.com"


def login(email: str, password: str = WRONG, *, address: str = "", **headers: str):
    body = {"email": email, "password": password}
    return APIClient(REMOTE_ADDR=address or fresh_address()).post(LOGIN, body, format="json", headers=headers)


def statuses(responses) -> list[int]:
    return sorted(response.status_code for response in responses)


# --- Passwords ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("is_registered", [True, False])
@pytest.mark.invariant("I53")
def test_of_a_hundred_guesses_at_once_exactly_five_are_looked_at(spy, is_registered, record_figure):
    email = fresh_email()
    if is_registered:
        make_member(email=email)
    spy.evaluated = 0

    responses = at_once(100, lambda _: login(email))

    assert statuses(responses) == [401] * 5 + [429] * 95
    assert spy.evaluated == 5 * HASHES
    refusal = next(response for response in responses if response.status_code == 429)
    assert refusal.json() == {
        "status": "error",
        "message": "Too many requests. Please wait a moment.",
        "data": None,
        "code": "throttled",
        "errors": {},
    }
    assert 295 <= int(refusal.headers["Retry-After"]) <= 300
    record_figure(f"race of {len(responses)}: exactly {spy.evaluated // HASHES} looked at")


@pytest.mark.django_db(transaction=True)
def test_while_redis_is_away_fewer_guesses_are_looked_at_and_none_is_an_error(spy, settings):
    email = make_member(email=fresh_email()).user.email
    with redis_that_is_a_black_hole() as hole:
        settings.REDIS_URL = hole.url
        spy.evaluated = 0
        responses = at_once(30, lambda _: login(email))
        evaluated = spy.evaluated

    assert statuses(responses) == [401] * 2 + [429] * 28
    assert evaluated == 2 * HASHES


@pytest.mark.django_db
@pytest.mark.invariant("I52")
def test_known_and_unknown_addresses_are_refused_alike():
    known, unknown, address = make_member(email=fresh_email()).user.email, fresh_email(), fresh_address()
    answers = []
    for email in (known, unknown):
        responses = [login(email, address=address if number < 2 else "") for number in range(7)]
        for response in responses:
            # Names of one request, and the clock.
            del response.headers["X-Request-ID"]
            if response.headers.get("Retry-After") == "299":
                response.headers["Retry-After"] = "300"
        answers.append([(each.status_code, each.content, dict(each.headers)) for each in responses])

    assert answers[0] == answers[1]
    assert [status for status, _content, _headers in answers[0]] == [401] * 5 + [429] * 2


@pytest.mark.django_db
def test_the_spelling_of_an_e_mail_address_gives_no_further_guesses():
    email = make_member(email=fresh_email()).user.email

    responses = [login(spelling) for spelling in (email, email.upper(), email.title()) for _ in range(3)]

    assert statuses(responses) == [401] * 5 + [429] * 4


@pytest.mark.django_db
def test_right_passwords_are_never_counted():
    email = make_member(email=fresh_email()).user.email
    address = fresh_address()

    assert statuses(login(email, PASSWORD, address=address) for _ in range(25)) == [200] * 25


@pytest.mark.django_db
def test_a_right_password_does_not_forgive_the_wrong_ones():
    email = make_member(email=fresh_email()).user.email
    for _ in range(4):
        assert login(email).status_code == 401

    assert login(email, PASSWORD).status_code == 200
    assert login(email).status_code == 401
    assert login(email).status_code == 429
    assert login(email, PASSWORD).status_code == 429


@pytest.mark.django_db
@pytest.mark.invariant("I53")
def test_a_person_whose_account_is_under_attack_still_signs_in_where_they_did_before():
    email, home = make_member(email=fresh_email()).user.email, fresh_address()
    assert login(email, PASSWORD, address=home).status_code == 200
    for _ in range(6):
        login(email)

    assert login(email, PASSWORD).status_code == 429
    assert login(email, PASSWORD, address=home).status_code == 200
    assert statuses(login(email, address=home) for _ in range(6)) == [401] * 5 + [429]


@pytest.mark.django_db
def test_a_network_in_which_a_stolen_token_ended_the_session_is_not_known():
    email, cafe = make_member(email=fresh_email()).user.email, fresh_address()
    login(email, PASSWORD, address=cafe)
    AuthSession.objects.update(revoked_reason=AuthSession.Reason.REUSE)
    for _ in range(5):
        login(email)

    assert login(email, PASSWORD, address=cafe).status_code == 429


@pytest.mark.django_db
def test_a_deactivated_account_is_no_way_around_the_limit():
    member = make_member(email=fresh_email())
    User.objects.update(is_active=False)

    assert statuses(login(member.user.email, PASSWORD) for _ in range(6)) == [401] * 5 + [429]


@pytest.mark.django_db(transaction=True)
@pytest.mark.invariant("I53")
def test_one_address_tries_ten_accounts(spy):
    address = fresh_address()

    responses = at_once(60, lambda _: login(fresh_email(), address=address))

    assert statuses(responses) == [401] * 10 + [429] * 50
    assert spy.evaluated == 10 * HASHES


@pytest.mark.django_db
@pytest.mark.parametrize("proxies", [0, 1, 2])
@pytest.mark.invariant("I53")
def test_a_hundred_forged_addresses_are_one_address(spy, settings, proxies):
    settings.NUM_PROXIES = proxies
    peer, mine = fresh_address(), fresh_address()
    appended = ["", f", {mine}", f", {mine}, 198.51.100.1"][proxies]

    responses = [
        login(fresh_email(), address=peer, **{"X-Forwarded-For": fresh_address() + appended}) for _ in range(100)
    ]

    assert statuses(responses) == [401] * 10 + [429] * 90
    assert spy.evaluated == 10 * HASHES


@pytest.mark.django_db
def test_behind_a_proxy_each_client_has_its_own_limit(settings):
    settings.NUM_PROXIES = 1
    proxy = fresh_address()

    responses = [login(fresh_email(), address=proxy, **{"X-Forwarded-For": fresh_address()}) for _ in range(20)]

    assert statuses(responses) == [401] * 20


@pytest.mark.django_db
def test_the_addresses_of_one_ipv6_household_are_one_client():
    network = f"2001:db8:{uuid.uuid4().hex[:4]}:{uuid.uuid4().hex[:4]}"

    responses = [login(fresh_email(), address=f"{network}::{number:x}") for number in range(1, 13)]

    assert statuses(responses) == [401] * 10 + [429] * 2


@pytest.mark.django_db
def test_a_refused_guess_leaves_neither_address_nor_e_mail_in_logs_or_buckets(caplog, settings):
    settings.REDIS_URL = ""
    email, address = make_member(email=fresh_email()).user.email, fresh_address()
    with caplog.at_level(logging.DEBUG):
        for _ in range(6):
            login(email, address=address)

    lines = [JsonFormatter().format(record) for record in caplog.records]
    kept = lines + list(RateBucket.objects.values_list("key", flat=True))
    assert any('"limits":"login_client,login_account"' in line for line in lines)
    assert not [text for text in kept if address in text or email in text]


@pytest.mark.django_db
def test_the_admin_is_no_second_door_for_guesses(spy):
    email, address = fresh_email(), fresh_address()
    create_operator(email=email, password=PASSWORD)
    browser = Client(REMOTE_ADDR=address)

    def sign_in(password: str):
        return browser.post("/admin/login/", {"username": email, "password": password})

    assert statuses(sign_in(PASSWORD) for _ in range(7)) == [302] * 7
    for _ in range(3):
        sign_in(WRONG)
        login(email)
    spy.evaluated = 0

    assert "Too many requests" in sign_in(PASSWORD).content.decode()
    assert login(email, PASSWORD).status_code == 429
    assert spy.evaluated == 0


# --- Registration, refresh, payments --------------------------------------------------------------------------------


def register(address: str, **changes: str):
    body = {"email": fresh_email(), "password": PASSWORD} | changes
    return APIClient(REMOTE_ADDR=address).post("/api/v1/auth/register/", body, format="json")


@pytest.mark.django_db
def test_one_address_registers_ten_people_an_hour():
    address = fresh_address()
    for _ in range(5):  # a form to be corrected tells nothing and costs nothing
        assert register(address, password="12345678").status_code == 400

    responses = [register(address) for _ in range(12)]

    assert statuses(responses) == [201] * 10 + [429] * 2
    assert User.objects.count() == 10
    assert 350 <= int(responses[-1].headers["Retry-After"]) <= 360
    assert register(fresh_address()).status_code == 201


@pytest.mark.django_db
def test_a_session_refreshes_sixty_times_and_is_not_ended_by_the_refusal():
    member, other = make_member(), make_member()
    refresh, answers = member.tokens.refresh, []
    for _ in range(61):
        response = APIClient().post("/api/v1/auth/refresh/", {"refresh": refresh}, format="json")
        answers.append(response)
        refresh = response.json()["data"]["refresh"] if response.status_code == 200 else refresh

    assert statuses(answers) == [200] * 60 + [429]
    assert 50 <= int(answers[-1].headers["Retry-After"]) <= 60
    assert AuthSession.objects.get(user=member.user).revoked_at is None
    again = APIClient().post("/api/v1/auth/refresh/", {"refresh": other.tokens.refresh}, format="json")
    assert again.status_code == 200


def start(client: APIClient, **changes: str):
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    return client.post("/api/v1/payments/", a_wish_to_pay(**changes), format="json", headers=headers)


@pytest.mark.django_db
@pytest.mark.invariant("I53")
def test_payments_are_limited_per_person_and_refused_ones_count(settings):
    settings.RATE_LIMITS = base.RATE_LIMITS | {"payments_person": (6, HOUR)}
    member, other = make_member(), make_member()

    # A refusal by the use case rolls its transaction back; the count is not in it.
    responses = [start(member.client(), gateway="nobodys") for _ in range(4)]
    responses += [start(member.client()) for _ in range(4)]

    assert [response.status_code for response in responses] == [422] * 4 + [201] * 2 + [429] * 2
    with tenant_scope(member.tenant_id), tenant_transaction():
        assert Payment.objects.count() == 2
    assert start(other.client()).status_code == 201


@pytest.mark.postgresql  # SQLite cannot be emptied after it: the history of payments is append-only there too
@pytest.mark.django_db(transaction=True)
def test_of_sixty_payments_at_once_exactly_the_limit_is_started(settings):
    settings.RATE_LIMITS = base.RATE_LIMITS | {"payments_person": (10, HOUR)}
    member = make_member()

    responses = at_once(60, lambda _: start(member.client()))

    assert statuses(responses) == [201] * 10 + [429] * 50
    with tenant_scope(member.tenant_id), tenant_transaction():
        assert Payment.objects.count() == 10


@pytest.mark.django_db
def test_a_throttled_payment_can_be_repeated_under_its_key(settings):
    settings.RATE_LIMITS = base.RATE_LIMITS | {"payments_person": (1, timedelta(seconds=2))}
    client, headers = make_member().client(), {"Idempotency-Key": "order-1"}
    start(client)
    path, wish = "/api/v1/payments/", a_wish_to_pay()
    refused = client.post(path, wish, format="json", headers=headers)

    assert refused.status_code == 429
    time.sleep(int(refused.headers["Retry-After"]))
    assert client.post(path, wish, format="json", headers=headers).status_code == 201


@pytest.mark.django_db
def test_looking_at_payments_is_not_counted(settings):
    settings.RATE_LIMITS = base.RATE_LIMITS | {"payments_person": (1, HOUR)}
    client = make_member().client()

    assert statuses(client.get("/api/v1/payments/") for _ in range(5)) == [200] * 5


@pytest.mark.django_db
def test_without_redis_every_limited_door_answers(settings):
    member = make_member()
    with redis_that_refuses() as url:
        settings.REDIS_URL = url
        answers = [
            login(member.user.email, PASSWORD),
            register(fresh_address()),
            APIClient().post("/api/v1/auth/refresh/", {"refresh": member.tokens.refresh}, format="json"),
            start(member.client()),
        ]

    assert [answer.status_code for answer in answers] == [200, 201, 200, 201]


@pytest.mark.skipif(not base.REDIS_URL, reason="needs REDIS_URL")
@pytest.mark.django_db
def test_with_redis_the_database_is_not_asked_to_count():
    login(fresh_email())

    assert not RateBucket.objects.exists()
    assert redis.Redis.from_url(base.REDIS_URL).keys("rl:login_account:*")


def test_every_limited_operation_says_so_in_the_schema():
    schema = APIClient().get("/api/schema/?format=json").json()
    limited = {
        operation["operationId"]
        for methods in schema["paths"].values()
        for operation in methods.values()
        if "429" in operation["responses"]
    }

    assert limited == {
        "auth_login",
        "auth_register",
        "users_create",
        "auth_refresh",
        "auth_mfa_totp_begin",
        "auth_mfa_totp_confirm",
        "auth_mfa_totp_remove",
        "auth_mfa_recovery_codes",
        "auth_mfa_verify",
        "auth_change_password",
        "auth_reauthenticate",
        "auth_change_email",
        "auth_resend_verification",
        "auth_reset_password",
        "auth_restore_account",
        "auth_export",
        "auth_request_otp",
        "auth_verify_otp",
        "auth_verify_phone",
        "auth_verify_phone_confirm",
        "auth_change_phone",
        "auth_change_phone_confirm",
        "auth_social_open",
        "auth_social_start",
        "auth_social_exchange",
        "auth_social_token",
        "invitations_create",
        "invitations_resend",
        "payments_start",
        "payments_cancel",
        "payments_retry",
        "payments_review",
        "payments_refund",
        "payments_balance",
        "gateway_account_save",
        "messages_send",
        "messages_send_many",
        "gateway_account_retire",
        "gateway_account_rotate_callback",
        "refunds_complete",
        "refunds_reject",
        "payouts_request",
    }
