"""Signing in through Google, GitHub and ChurchSuite, over HTTP, against the simulated providers."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
import time_machine
from allauth.socialaccount.models import SocialAccount, SocialToken
from django.core import mail
from django.db import connections
from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import AuthSession, EmailLink, SocialFlow, User
from apps.accounts.services.social import tell_social_change
from apps.accounts.services.social_flows import purge_social_flows
from apps.tenants.models import Membership
from config.settings.providers import oauth_providers
from core.outbox.models import OutboxEvent
from services.oauth.base import SocialProviderUnavailable
from services.oauth.id_tokens import KeySet
from services.simulators.people import PEOPLE
from tests.contracts.test_no_secret_is_kept import everything_stored
from tests.factories.accounts import PASSWORD, make_member
from tests.factories.social import SOCIAL, Traveller, make_code, query_of
from tests.services.simulators.conftest import Simulator, running
from tests.services.wire import refused_url

pytestmark = pytest.mark.django_db
PROVIDERS = ("google", "github", "churchsuite")
DEMO = "demo@faraja.test"


@pytest.fixture(scope="session")
def providers() -> Iterator[Simulator]:
    environ = {"SIMULATOR_OAUTH_CALLBACKS": "http://testserver/api/v1/auth/social", "SIMULATOR_HANG": "3"}
    with running(environ) as simulator:
        yield simulator


@pytest.fixture(autouse=True)
def _simulated(settings, providers):
    settings.OAUTH_PROVIDERS = oauth_providers(providers.url)


def refusal(response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def prove(user: User) -> User:
    user.email_verified_at = timezone.now()
    user.save()
    return user


def id_token(providers: Simulator, person: str = "asha", **told: str) -> str:
    answer = providers.http.get("/simulator/google/id_token", params={"person": person, **told})
    return str(answer.json()["id_token"])


def hand_over(token: str, provider: str = "google", **told: str):
    body = {"id_token": token, **told}
    return APIClient().post(f"{SOCIAL}/{provider}/token/", body, format="json")


# --- The way through the browser ------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_person_signs_in_through_each_provider_and_the_next_time_into_the_same_account(provider):
    first, second = (Traveller(provider).sign_in() for _ in range(2))

    assert first.status_code == second.status_code == 200
    signed_in, again = first.json()["data"], second.json()["data"]
    assert signed_in["user"]["id"] == again["user"]["id"]
    assert signed_in["user"]["email"] == "asha.mrema@example.com"
    assert (signed_in["user"]["first_name"], signed_in["user"]["last_name"]) == ("Asha", "Mrema")
    assert signed_in["tenant"]["role"] == "owner"
    me = APIClient().get("/api/v1/auth/me/", headers={"Authorization": f"Bearer {signed_in['access']}"})
    assert me.json()["data"]["id"] == signed_in["user"]["id"]
    assert AuthSession.objects.filter(user_id=signed_in["user"]["id"]).count() == 2
    assert not User.objects.get().has_usable_password()


def test_the_three_transports_are_those_of_every_sign_in(settings):
    traveller = Traveller()
    traveller.api.credentials(HTTP_ORIGIN=settings.CORS_ALLOWED_ORIGINS[0])

    by_cookie = traveller.sign_in(transport="refresh_cookie")
    all_cookies = traveller.sign_in(transport="cookies")

    assert by_cookie.json()["data"]["refresh"] is None
    assert by_cookie.cookies["refresh"].value
    assert all_cookies.json()["data"]["access"] is None
    assert all_cookies.json()["data"]["csrf_token"]
    assert all_cookies.cookies["access"].value


def test_a_page_that_is_not_ours_gets_no_cookies():
    traveller = Traveller()
    code = traveller.travel()["code"]
    traveller.api.credentials(HTTP_ORIGIN="https://evil.example.org")

    assert refusal(traveller.exchange(code, transport="cookies")) == (403, "csrf_failed")
    assert not AuthSession.objects.exists()


def test_the_start_sends_state_and_pkce_and_returns_the_clients_state_at_the_end():
    traveller = Traveller()
    started = traveller.start()
    asked = query_of(started.json()["data"]["authorize_url"])

    assert asked["code_challenge_method"] == "S256"
    assert asked["response_type"] == "code"
    assert set(asked["scope"].split()) == {"openid", "email", "profile"}
    assert asked["redirect_uri"] == "http://testserver/api/v1/auth/social/google/callback/"
    assert asked["code_challenge"] not in (traveller.verifier, "")
    came = traveller.come_back(traveller.agree(started.json()["data"]["authorize_url"]))
    assert came.startswith("http://localhost:3000/social?code=")
    assert query_of(came)["state"] == "af0ifjsldkj"


def test_a_browser_that_opens_the_start_itself_is_sent_to_the_provider():
    traveller = Traveller()
    challenge = query_of(traveller.start().json()["data"]["authorize_url"])["code_challenge"]

    answer = traveller.api.get(f"{SOCIAL}/google/start/", {"code_challenge": challenge[:43], "redirect": "web"})

    assert answer.status_code == 302
    assert "/google/o/oauth2/v2/auth?" in answer.headers["Location"]
    assert answer.headers["Cache-Control"] == "no-store"
    (cookie,) = answer.cookies.values()
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Lax", "/api/v1/auth/social/")


def test_the_unversioned_start_names_the_same_callback():
    body = {"code_challenge": "x" * 43}

    answer = APIClient().post("/api/auth/social/google/start/", body, format="json")

    asked = query_of(answer.json()["data"]["authorize_url"])
    assert asked["redirect_uri"] == "http://testserver/api/v1/auth/social/google/callback/"


def test_an_app_goes_through_the_systems_browser_which_shares_no_cookie_with_it():
    traveller = Traveller(redirect="app", browser=APIClient())
    started = traveller.start()
    assert not started.cookies

    came = traveller.come_back(traveller.agree(started.json()["data"]["authorize_url"]))

    assert came.startswith("faraja://social?code=")
    assert traveller.exchange(query_of(came)["code"]).status_code == 200


def test_the_providers_that_are_configured_are_listed(settings):
    listed = APIClient().get(f"{SOCIAL}/providers/").json()["data"]
    assert [each["code"] for each in listed] == list(PROVIDERS)
    assert [each["takes_id_tokens"] for each in listed] == [True, False, False]

    settings.OAUTH_PROVIDERS = {}

    assert APIClient().get(f"{SOCIAL}/providers/").json()["data"] == []
    for method, path, body in (
        ("post", "google/start", {"code_challenge": "x" * 43}),
        ("get", "google/callback", None),
        ("post", "google/token", {"id_token": "x"}),
    ):
        answer = getattr(APIClient(), method)(f"{SOCIAL}/{path}/", body, format="json" if body else None)
        assert refusal(answer) == (404, "social_provider_unknown"), path


# --- Attacks on the way ----------------------------------------------------------------------------------------------


def test_only_the_browser_that_left_for_a_page_can_come_back():
    traveller = Traveller(browser=APIClient())
    callback = traveller.agree(traveller.start().json()["data"]["authorize_url"])

    assert query_of(traveller.come_back(callback)) == {"error": "social_state_invalid"}
    traveller.browser = None
    assert "code" in query_of(traveller.come_back(callback)), "a stranger's try must not spend it"


def test_another_flows_cookie_is_no_proof():
    victim, attacker = Traveller(), Traveller()
    victim.start()
    callback = attacker.agree(attacker.start().json()["data"]["authorize_url"])

    assert query_of(victim.come_back(callback)) == {"error": "social_state_invalid"}


def test_a_state_is_good_once_and_for_its_own_provider():
    traveller = Traveller()
    callback = traveller.agree(traveller.start().json()["data"]["authorize_url"])
    elsewhere = callback.replace("/google/callback/", "/github/callback/")

    assert query_of(traveller.come_back(elsewhere)) == {"error": "social_state_invalid"}
    assert "code" in query_of(traveller.come_back(callback))
    assert query_of(traveller.come_back(callback)) == {"error": "social_state_invalid"}


@pytest.mark.parametrize("state", ["", "x", "0" * 96, "\u00e9" * 40, "../../x", "3f" * 48])
def test_a_made_up_state_leads_to_our_own_page_with_a_code_of_ours(state):
    answer = APIClient().get(f"{SOCIAL}/google/callback/", {"state": state, "code": "x", "error": "<script>"})

    assert answer.headers["Location"] == "http://localhost:3000/social?error=social_state_invalid"
    assert answer.headers["Referrer-Policy"] == "no-referrer"


def test_a_state_of_yesterday_is_late():
    traveller = Traveller()
    callback = traveller.agree(traveller.start().json()["data"]["authorize_url"])

    with time_machine.travel(timezone.now() + timedelta(minutes=11)):
        assert query_of(traveller.come_back(callback)) == {"error": "social_state_invalid"}


@pytest.mark.parametrize(
    "redirect",
    [
        "https://evil.example.org/social",
        "//evil.example.org",
        "http://localhost:3000/social/",
        "http://localhost:3000/social?next=//evil.example.org",
        "http://localhost:3000@evil.example.org/social",
        "http://localhost:3000/socialite",
        "javascript:alert(1)",
        "faraja://social/../x",
        "WEB",
        "/social",
        "\\\\evil.example.org",
    ],
)
def test_nobody_is_sent_anywhere_that_is_not_registered(redirect):
    assert refusal(Traveller().start(redirect=redirect)) == (422, "redirect_not_allowed")
    query = urlencode({"redirect": redirect, "code_challenge": "x" * 43})
    answer = APIClient().get(f"{SOCIAL}/google/start/?{query}")
    assert refusal(answer) == (422, "redirect_not_allowed")
    assert "Location" not in answer.headers
    assert not SocialFlow.objects.exists()


@pytest.mark.parametrize(
    "changes",
    [
        {"code_challenge": ""},
        {"code_challenge": "short"},
        {"code_challenge": "x" * 44},
        {"code_challenge": "x" * 42 + "="},
        {"code_challenge_method": "plain"},
        {"state": "a\r\nSet-Cookie: x=y"},
        {"state": "x" * 301},
    ],
)
def test_a_start_without_a_good_challenge_is_refused(changes):
    assert refusal(Traveller().start(**changes)) == (400, "validation_error")


@pytest.mark.parametrize("how", ["reuse", "wrong verifier", "late", "forged"])
def test_a_code_opens_one_session_for_one_verifier_within_a_minute(how):
    traveller = Traveller()
    code = traveller.travel()["code"]
    before = AuthSession.objects.count()
    if how == "reuse":
        assert traveller.exchange(code).status_code == 200
        before += 1
    if how == "wrong verifier":
        wrong = traveller.exchange(code, code_verifier=secrets.token_urlsafe(48))
        assert refusal(wrong) == (422, "social_code_invalid")
    if how == "forged":
        code = code[:-1] + ("0" if code[-1] != "0" else "1")

    with time_machine.travel(timezone.now() + timedelta(seconds=61 if how == "late" else 0)):
        answer = traveller.exchange(code)

    assert refusal(answer) == (422, "social_code_invalid")
    assert AuthSession.objects.count() == before


@pytest.mark.django_db(transaction=True)
def test_of_two_exchanges_at_once_one_signs_in():
    traveller = Traveller()
    code = traveller.travel()["code"]

    assert sorted(each.status_code for each in at_once(4, lambda _: traveller.exchange(code))) == [200, 422, 422, 422]
    assert AuthSession.objects.count() == 1


def at_once(number, action):
    def one(place):
        try:
            return action(place)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(number) as pool:
        return list(pool.map(one, range(number)))


# --- What goes wrong at a provider -----------------------------------------------------------------------------------

UNAVAILABLE, FAILED = "social_provider_unavailable", "social_sign_in_failed"


@pytest.mark.parametrize(
    ("provider", "person", "told"),
    [
        ("google", "denied", "social_sign_in_denied"),
        *((provider, "code-refused", FAILED) for provider in PROVIDERS),
        ("github", "down", UNAVAILABLE),
        ("churchsuite", "malformed", UNAVAILABLE),
        ("google", "profile-down", UNAVAILABLE),
        *((provider, "profile-malformed", UNAVAILABLE) for provider in PROVIDERS),
    ],
)
def test_what_goes_wrong_at_a_provider_reaches_the_page_as_a_code_of_ours(provider, person, told, caplog):
    caplog.set_level(logging.DEBUG)

    assert Traveller(provider).travel(person) == {"error": told, "state": "af0ifjsldkj"}
    assert not User.objects.exists()
    assert "words of the provider" not in caplog.text


@pytest.mark.parametrize(
    "person",
    ["wrong-issuer", "wrong-audience", "wrong-key", "unknown-key", "unsigned", "symmetric", "expired"],
)
def test_a_wrong_id_token_is_refused_also_when_google_seems_to_send_it(person, providers):
    assert Traveller().travel(person)["error"] == "id_token_invalid"
    assert refusal(hand_over(id_token(providers, person))) == (401, "id_token_invalid")
    assert not User.objects.exists()


def test_a_slow_provider_is_not_waited_for(settings):
    settings.SOCIALACCOUNT_REQUESTS_TIMEOUT = 0.2
    started = time.monotonic()

    assert Traveller("github").travel("slow")["error"] == UNAVAILABLE
    assert time.monotonic() - started < 2


def test_a_provider_that_is_away_is_a_503_for_the_phone_and_a_code_for_the_page(settings, providers):
    token = id_token(providers)
    away = refused_url()
    traveller = Traveller()
    callback = traveller.agree(traveller.start().json()["data"]["authorize_url"])
    settings.OAUTH_PROVIDERS = oauth_providers(away)

    assert refusal(hand_over(token)) == (503, UNAVAILABLE)
    assert query_of(traveller.come_back(callback))["error"] == UNAVAILABLE


# --- Tokens from phones ----------------------------------------------------------------------------------------------


def test_a_phone_hands_over_googles_id_token(providers):
    by_phone = hand_over(id_token(providers, audience="demo-google-phone"))
    in_browser = Traveller().sign_in()

    assert by_phone.status_code == 200
    assert by_phone.json()["data"]["refresh"]
    assert by_phone.json()["data"]["user"]["is_email_verified"] is True
    assert in_browser.json()["data"]["user"]["id"] == by_phone.json()["data"]["user"]["id"]


@pytest.mark.parametrize("provider", ["github", "churchsuite"])
def test_no_other_provider_takes_a_token(provider, providers):
    assert refusal(hand_over(id_token(providers), provider)) == (422, "token_not_supported")


def test_a_token_for_another_app_is_refused(providers):
    assert refusal(hand_over(id_token(providers, audience="another-app"))) == (401, "id_token_invalid")


def test_the_nonce_is_compared_when_the_app_tells_one(providers):
    token = id_token(providers, nonce="n-0S6_WzA2Mj")

    assert refusal(hand_over(token, nonce="another")) == (401, "id_token_invalid")
    assert refusal(hand_over(id_token(providers), nonce="n-0S6_WzA2Mj")) == (401, "id_token_invalid")
    assert hand_over(token, nonce="n-0S6_WzA2Mj").status_code == 200
    assert hand_over(token).status_code == 200


@pytest.mark.parametrize(
    "token",
    [
        "x",
        "a.b.c",
        "..",
        "e30.e30.",
        "\u00e9.\u00e9.\u00e9",
        "eyJhbGciOiJSUzI1NiJ9.e30.x",
        "eyJhbGciOiJSUzI1NiIsImtpZCI6W119.e30.x",
    ],
)
def test_what_is_no_token_is_refused(token):
    assert refusal(hand_over(token)) == (401, "id_token_invalid")


def test_an_expired_token_is_refused_when_its_time_has_passed(providers):
    token = id_token(providers)

    with time_machine.travel(timezone.now() + timedelta(minutes=62)):
        assert refusal(hand_over(token)) == (401, "id_token_invalid")


def test_unknown_keys_do_not_make_us_ask_the_provider_again_and_again(providers):
    keys = KeySet(f"{providers.url}/google/oauth2/v3/certs")
    keys.find("simulator-key-1")
    fetched = providers.http.get("/simulator/calls").text.count("/google/oauth2/v3/certs")

    for number in range(5):
        with pytest.raises(Exception, match="could not be verified"):
            keys.find(f"made-up-{number}")

    assert providers.http.get("/simulator/calls").text.count("/google/oauth2/v3/certs") == fetched


def test_keys_that_cannot_be_read_are_the_providers_fault(providers):
    with pytest.raises(SocialProviderUnavailable):
        KeySet(f"{providers.url}/simulator/health").find("x")


# --- Whose account it is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["google", "github"])
def test_a_proven_address_opens_the_account_that_has_proven_it_too(provider):
    owner = prove(make_member(email=DEMO).user)

    signed_in = Traveller(provider).sign_in("demo")

    assert signed_in.json()["data"]["user"]["id"] == str(owner.pk)
    assert User.objects.count() == 1
    owner.refresh_from_db()
    assert owner.check_password(PASSWORD)
    assert OutboxEvent.objects.filter(name="account.social_linked").exists()


@pytest.mark.parametrize(
    ("provider", "person"), [("google", "impostor"), ("github", "impostor"), ("churchsuite", "demo")]
)
def test_an_unproven_address_never_opens_somebody_elses_account(provider, person):
    owner = prove(make_member(email=DEMO).user)

    signed_in = Traveller(provider).sign_in(person).json()["data"]

    assert signed_in["user"]["id"] != str(owner.pk)
    assert (signed_in["user"]["email"], signed_in["user"]["is_email_verified"]) == (DEMO, False)
    assert EmailLink.objects.filter(user_id=signed_in["user"]["id"], purpose="verify_email").exists()
    assert User.objects.holder_of(DEMO) == owner


def test_a_proven_address_is_not_joined_with_a_claim_and_the_claimant_loses_it():
    squatter = make_member(email=DEMO).user

    signed_in = Traveller().sign_in("demo").json()["data"]["user"]

    assert signed_in["id"] != str(squatter.pk)
    assert signed_in["is_email_verified"] is True
    assert User.objects.holder_of(DEMO) == User.objects.get(pk=signed_in["id"])
    assert not EmailLink.objects.filter(user_id=signed_in["id"]).exists()


def test_a_deactivated_account_stays_shut_whichever_way_it_is_found():
    owner = prove(make_member(email=DEMO).user)
    owner.is_active = False
    owner.save()

    assert refusal(Traveller().sign_in("demo")) == (401, "account_inactive")
    assert User.objects.count() == 1
    assert not SocialAccount.objects.exists()
    SocialAccount.objects.create(user=owner, provider="github", uid="104")
    assert refusal(Traveller("github").sign_in("demo")) == (401, "account_inactive")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_without_an_address_the_person_is_asked_and_their_word_is_a_claim(provider):
    owner = prove(make_member(email=DEMO).user)
    traveller = Traveller(provider)
    first = traveller.sign_in("no-email", email="")

    assert refusal(first) == (422, "email_needed")
    continuation = first.json()["data"]["continuation"]
    second = traveller.exchange(continuation, email=DEMO)
    assert second.status_code == 200
    told = second.json()["data"]["user"]
    assert (told["email"], told["is_email_verified"]) == (DEMO, False)
    assert told["id"] != str(owner.pk)
    assert refusal(traveller.exchange(continuation, email=DEMO)) == (422, "social_code_invalid")
    assert traveller.sign_in("no-email").json()["data"]["user"]["id"] == told["id"]


def test_a_continuation_is_for_the_same_verifier_and_the_old_code_is_dead():
    traveller = Traveller()
    code = traveller.travel("no-email")["code"]
    continuation = traveller.exchange(code).json()["data"]["continuation"]

    assert refusal(traveller.exchange(code, email="a@example.com")) == (422, "social_code_invalid")
    stolen = traveller.exchange(continuation, email="a@example.com", code_verifier="x" * 43)
    assert refusal(stolen) == (422, "social_code_invalid")
    assert refusal(traveller.exchange(continuation, email="a@example.com")) == (422, "social_code_invalid")


def test_a_phone_without_an_address_sends_its_token_again_with_one(providers):
    token = id_token(providers, "no-email")

    assert refusal(hand_over(token)) == (422, "email_needed")
    assert hand_over(token, email="neema@example.com").json()["data"]["user"]["is_email_verified"] is False


def test_an_address_that_is_sent_along_does_not_replace_the_providers():
    signed_in = Traveller().sign_in("asha", email=DEMO).json()["data"]["user"]

    assert signed_in["email"] == "asha.mrema@example.com"


def test_google_without_an_id_token_is_asked_who_it_is():
    signed_in = Traveller().sign_in("no-id-token").json()["data"]["user"]

    assert (signed_in["email"], signed_in["is_email_verified"]) == ("rehema.said@example.com", True)


def test_the_same_number_in_another_church_is_another_person(settings):
    ours, theirs = (Traveller("churchsuite").sign_in(person).json()["data"] for person in ("asha", "other-church"))

    assert ours["user"]["id"] != theirs["user"]["id"]


def test_churchsuite_admits_the_church_that_is_named_and_nobody_archived(settings):
    assert Traveller("churchsuite").travel("archived")["error"] == "social_account_refused"
    settings.OAUTH_PROVIDERS["churchsuite"]["OPTIONS"]["admitted"] = "st-mary"
    settings.OAUTH_PROVIDERS = dict(settings.OAUTH_PROVIDERS)

    assert Traveller("churchsuite").travel("other-church")["error"] == "social_account_refused"
    assert Traveller("churchsuite").sign_in("asha").status_code == 200


def test_only_chosen_fields_are_kept_and_no_token_and_nobody_becomes_staff():
    for provider in PROVIDERS:
        Traveller(provider).sign_in()

    kept = {each.provider: set(each.extra_data) for each in SocialAccount.objects.all()}
    assert kept == {
        "google": {"email", "name"},
        "github": {"login", "name"},
        "churchsuite": {"id", "username", "user_type", "status", "mfa_enabled"},
    }
    assert "ical" not in json.dumps(list(SocialAccount.objects.values_list("extra_data", flat=True)))
    assert not SocialToken.objects.exists()
    assert not User.objects.filter(is_staff=True).exists()
    assert set(SocialFlow.objects.values_list("identity", flat=True)) == {None}


def test_no_secret_of_the_way_is_stored_or_logged(caplog):
    caplog.set_level(logging.DEBUG)
    traveller = Traveller()
    started = traveller.start()
    (cookie,) = started.cookies.values()
    callback = traveller.agree(started.json()["data"]["authorize_url"])
    came = query_of(traveller.come_back(callback))
    before = list(everything_stored())
    assert traveller.exchange(came["code"]).status_code == 200

    secrets_met = {
        cookie.value,
        traveller.verifier,
        came["code"],
        *(query_of(callback)[each] for each in ("code", "state")),
    }
    assert len(secrets_met) == 5
    for table, column, value in [*before, *everything_stored()]:
        assert not [each for each in secrets_met if each in value], (table, column)
    assert not [each for each in secrets_met if each in caplog.text]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("person", ["asha", "unverified"])
def test_two_first_sign_ins_at_once_make_one_person(person):
    travellers = [Traveller() for _ in range(4)]
    codes = [traveller.travel(person)["code"] for traveller in travellers]

    answers = at_once(4, lambda place: travellers[place].exchange(codes[place]))

    assert [each.status_code for each in answers] == [200] * 4
    assert len({each.json()["data"]["user"]["id"] for each in answers}) == 1
    assert User.objects.count() == Membership.objects.count() == SocialAccount.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_two_providers_that_prove_one_address_at_once_make_one_person():
    travellers = [Traveller(provider) for provider in ("google", "github")]
    codes = [traveller.travel()["code"] for traveller in travellers]

    answers = at_once(2, lambda place: travellers[place].exchange(codes[place]))

    assert len({each.json()["data"]["user"]["id"] for each in answers}) == 1
    assert SocialAccount.objects.count() == 2


def test_mails_to_unproven_addresses_are_limited_as_registrations_are(settings):
    settings.RATE_LIMITS = settings.RATE_LIMITS | {"register_account": (1, timedelta(hours=1))}
    email = f"{secrets.token_hex(8)}@example.com"
    answers = [
        Traveller(verifier="dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").exchange(make_code(), email=email)
        for _ in range(2)
    ]

    assert [each.status_code for each in answers] == [200, 429]


# --- Linking ---------------------------------------------------------------------------------------------------------


def link(client: APIClient, traveller: Traveller, person: str = "asha"):
    body = {"code": traveller.travel(person)["code"], "code_verifier": traveller.verifier}
    return client.post(f"{SOCIAL}/accounts/", body, format="json")


def test_a_person_connects_an_account_and_signs_in_with_it(member, member_client):
    linked = link(member_client, Traveller("github"))

    assert linked.status_code == 201
    assert (linked.json()["data"]["provider"], linked.json()["data"]["display"]) == ("github", "asha")
    assert member_client.get(f"{SOCIAL}/accounts/").json()["data"] == [linked.json()["data"]]
    assert Traveller("github").sign_in().json()["data"]["user"]["id"] == str(member.user.pk)
    assert link(member_client, Traveller("github")).status_code == 201
    assert SocialAccount.objects.count() == 1


def test_an_account_that_opens_somebody_elses_is_not_taken_away(member_client, stranger):
    link(stranger.client(), Traveller())

    assert refusal(link(member_client, Traveller())) == (409, "social_account_taken")
    assert SocialAccount.objects.get().user == stranger.user


def test_a_code_that_somebody_else_started_links_nothing_and_is_spent(member_client):
    attacker = Traveller()
    code = attacker.travel()["code"]
    body = {"code": code, "code_verifier": secrets.token_urlsafe(48)}

    assert refusal(member_client.post(f"{SOCIAL}/accounts/", body, format="json")) == (422, "social_code_invalid")
    assert refusal(attacker.exchange(code)) == (422, "social_code_invalid")
    assert not SocialAccount.objects.exists()


def test_connecting_and_disconnecting_need_a_recent_proof(member, member_client):
    account = link(member_client, Traveller()).json()["data"]["id"]
    AuthSession.objects.update(authenticated_at=timezone.now() - timedelta(minutes=11))
    traveller = Traveller("github")
    code = traveller.travel()["code"]

    linked = member_client.post(
        f"{SOCIAL}/accounts/", {"code": code, "code_verifier": traveller.verifier}, format="json"
    )
    unlinked = member_client.delete(f"{SOCIAL}/accounts/{account}/")

    assert refusal(linked) == refusal(unlinked) == (403, "reauthentication_required")
    assert SocialAccount.objects.count() == 1
    assert traveller.exchange(code).status_code == 200, "the code is still good"


def test_disconnecting_takes_the_way_in_away(member_client):
    account = link(member_client, Traveller()).json()["data"]["id"]

    assert member_client.delete(f"{SOCIAL}/accounts/{account}/").status_code == 200
    assert member_client.get(f"{SOCIAL}/accounts/").json()["data"] == []
    assert member_client.delete(f"{SOCIAL}/accounts/{account}/").status_code == 404


def test_the_last_way_in_is_kept():
    signed_in = Traveller().sign_in().json()["data"]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {signed_in['access']}")
    (only,) = client.get(f"{SOCIAL}/accounts/").json()["data"]

    assert refusal(client.delete(f"{SOCIAL}/accounts/{only['id']}/")) == (422, "last_way_in")
    link(client, Traveller("github"))
    assert client.delete(f"{SOCIAL}/accounts/{only['id']}/").status_code == 200
    (other,) = client.get(f"{SOCIAL}/accounts/").json()["data"]
    assert refusal(client.delete(f"{SOCIAL}/accounts/{other['id']}/")) == (422, "last_way_in")


@pytest.mark.django_db(transaction=True)
def test_of_two_disconnections_at_once_one_leaves_a_way_in():
    signed_in = Traveller().sign_in().json()["data"]
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Bearer {signed_in['access']}")
    link(client, Traveller("github"))
    ids = [each["id"] for each in client.get(f"{SOCIAL}/accounts/").json()["data"]]

    answers = at_once(2, lambda place: client.delete(f"{SOCIAL}/accounts/{ids[place]}/"))

    assert sorted(each.status_code for each in answers) == [200, 422]
    assert SocialAccount.objects.count() == 1


def test_the_person_is_told_by_mail_in_their_language(member):
    member.user.language = "sw"
    member.user.save()

    tell_social_change(user_id=member.user.pk, provider="google", is_linked=True)
    tell_social_change(user_id=member.user.pk, provider="google", is_linked=False)

    linked, unlinked = mail.outbox
    assert "Google" in linked.body
    assert "Google" in unlinked.body
    assert linked.subject != unlinked.subject
    assert "sign in" not in f"{linked.body} {unlinked.body}"


# --- The rest --------------------------------------------------------------------------------------------------------


def test_none_of_allauths_own_pages_is_reachable(client):
    for path in ("/accounts/login/", "/accounts/signup/", "/accounts/google/login/", "/accounts/social/connections/"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), path


def test_flows_are_forgotten_a_day_later():
    make_code()
    purge_social_flows()
    assert SocialFlow.objects.count() == 1

    with time_machine.travel(timezone.now() + timedelta(days=2)):
        purge_social_flows()

    assert not SocialFlow.objects.exists()


def test_the_sign_in_page_of_a_simulated_provider_lists_everybody(providers):
    url = Traveller("github").start().json()["data"]["authorize_url"]

    page = httpx.get(url, trust_env=False)

    for each in PEOPLE:
        assert (f">{each.key}<" in page.text) is ("github" in each.providers)


@pytest.mark.parametrize("change", [{"redirect_uri": "http://evil.example.org/"}, {"client_id": "somebody"}])
def test_a_simulated_provider_sends_nobody_to_an_unregistered_address(providers, change):
    url = Traveller().start().json()["data"]["authorize_url"]
    asked = {**query_of(url), "person": "asha", **change}

    answer = httpx.get(url.partition("?")[0], params=asked, trust_env=False)

    assert answer.status_code == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize(
    "change",
    [{"code_verifier": "x" * 43}, {"redirect_uri": "http://testserver/"}, {"client_secret": "no"}, {"code": "x"}],
)
def test_a_simulated_provider_gives_a_token_for_a_right_and_unused_code_only(providers, change):
    verifier, challenge = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    callback = "http://testserver/api/v1/auth/social/google/callback/"
    asked = {
        "client_id": "demo-google-web",
        "redirect_uri": callback,
        "response_type": "code",
        "scope": "openid email",
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "person": "asha",
    }

    def body(**changes: str) -> dict[str, str]:
        back = providers.http.get("/google/o/oauth2/v2/auth", params=asked)
        code = query_of(back.headers["location"])["code"]
        told = {"code": code, "code_verifier": verifier, "redirect_uri": callback, "grant_type": "authorization_code"}
        return told | {"client_id": "demo-google-web", "client_secret": "demo-google-secret"} | changes

    right = body()
    assert providers.http.post("/google/token", data=right).status_code == 200
    assert providers.http.post("/google/token", data=right).status_code == 400
    assert providers.http.post("/google/token", data=body(**change)).status_code in (400, 401)
    assert urlsplit(callback).path
