"""The OAuth dance on the wire: what leaves, and what an odd answer becomes."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import pytest

from config.settings import base
from config.settings.providers import oauth_providers
from services.oauth.base import Identity, SocialProviderUnavailable, SocialSignInFailed
from services.oauth.providers.churchsuite import ChurchSuiteSignIn
from services.oauth.providers.github import GitHubSignIn
from tests.services.wire import Heard, answer, answering, listening

CALLBACK = "https://api.example.org/api/v1/auth/social/github/callback/"
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
TOKEN = answer(200, b'{"access_token": "t", "token_type": "bearer"}', "Content-Type: application/json")


def identify(*answers: bytes) -> tuple[Identity, list[Heard]]:
    """Who GitHub says it is, when it gives these answers; and what it was asked."""
    handler, heard = answering(*answers)
    with listening(handler) as url:
        github = GitHubSignIn(client_id="id", client_secret="secret", web_url=url, api_url=url)
        return github.identify(code="a code+", callback_url=CALLBACK, code_verifier=VERIFIER), heard


def test_the_code_is_exchanged_with_verifier_and_secret_in_the_body():
    _identity, heard = identify(TOKEN, answer(200, b'{"id": 7, "login": "asha"}'), answer(200, b"[]"))

    exchange, user, emails = heard
    assert (exchange.method, exchange.target) == ("POST", "/login/oauth/access_token")
    assert exchange.headers["content-type"] == "application/x-www-form-urlencoded"
    assert exchange.headers["accept"] == "application/json"
    assert dict(parse_qsl(exchange.body.decode(), strict_parsing=True)) == {
        "client_id": "id",
        "client_secret": "secret",
        "code": "a code+",
        "code_verifier": VERIFIER,
        "grant_type": "authorization_code",
        "redirect_uri": CALLBACK,
    }
    assert user.headers["authorization"] == emails.headers["authorization"] == "token t"


@pytest.mark.parametrize(
    ("emails", "expected"),
    [
        ('[{"email": "B@x.org", "primary": true, "verified": true}]', ("b@x.org", True)),
        ('[{"email": "b@x.org", "primary": true, "verified": false}]', ("b@x.org", False)),
        (
            '[{"email": "a@x.org", "primary": false, "verified": true},'
            ' {"email": "b@x.org", "primary": true, "verified": false}]',
            ("b@x.org", False),
        ),
        ('[{"email": "b@x.org", "primary": true, "verified": "yes"}]', ("b@x.org", False)),
        ("[]", ("", False)),
    ],
)
def test_only_githubs_verified_primary_address_is_proven(emails, expected):
    identity, _heard = identify(TOKEN, answer(200, b'{"id": 7, "login": "asha"}'), answer(200, emails.encode()))

    assert (identity.email, identity.is_email_proven) == expected
    assert identity.uid == "7"


def test_the_public_address_of_a_profile_proves_nothing():
    user = b'{"id": 7, "login": "asha", "email": "public@x.org"}'

    identity, _heard = identify(TOKEN, answer(200, user), answer(404, b"{}"))

    assert (identity.email, identity.is_email_proven) == ("public@x.org", False)


@pytest.mark.parametrize(
    ("answers", "refusal"),
    [
        ([answer(302, b"", "Location: http://127.0.0.1:1/elsewhere")], SocialProviderUnavailable),
        ([answer(429, b"{}", "Retry-After: 5")], SocialProviderUnavailable),
        ([answer(200, b"[]")], SocialSignInFailed),
        ([answer(200, b"access_token=t")], SocialProviderUnavailable),
        ([answer(200, b'{"error": "bad_verification_code"}')], SocialSignInFailed),
        ([TOKEN, answer(401, b'{"message": "Bad credentials"}')], SocialSignInFailed),
        ([TOKEN, answer(200, b'{"login": "no id"}')], SocialProviderUnavailable),
        ([TOKEN, answer(200, b'["a list"]')], SocialProviderUnavailable),
        ([TOKEN, answer(200, b'{"id": 7}'), answer(200, b'{"not": "a list"}')], SocialProviderUnavailable),
        ([TOKEN, answer(200, b'{"id": 7}'), answer(200, b'[{"email": 5}]')], SocialProviderUnavailable),
        ([TOKEN, answer(200, b'{"id": "' + b"7" * 200 + b'"}'), answer(200, b"[]")], SocialProviderUnavailable),
    ],
    ids=str,
)
def test_an_odd_answer_is_one_of_two_refusals(answers, refusal):
    with pytest.raises(refusal) as raised:
        identify(*answers)

    assert "Bad credentials" not in str(raised.value)


def churchsuite(**changes: Any) -> str:
    options: dict[str, Any] = {
        "client_id": "id",
        "client_secret": "s",
        "login_url": "https://l.example.org",
        "api_url": "https://a",
    }
    provider = ChurchSuiteSignIn(**options, **changes)
    return provider.authorize_url(callback_url=CALLBACK, state="st", code_verifier=VERIFIER)


def test_churchsuite_can_do_without_pkce_and_be_told_the_church():
    assert "code_challenge=" in churchsuite()
    assert "code_challenge" not in churchsuite(sends_pkce=False)
    assert "account=" not in churchsuite()
    assert "account=st-mary" in churchsuite(account="st-mary")


def test_each_provider_stands_alone_in_the_environment(monkeypatch):
    assert oauth_providers() == {}
    for name, value in (
        ("GITHUB_CLIENT_ID", "id"),
        ("GITHUB_CLIENT_SECRET", "s"),
        ("GITHUB_WEB_URL", "https://git.x/"),
    ):
        monkeypatch.setenv(name, value)

    assert oauth_providers()["github"]["OPTIONS"]["web_url"] == "https://git.x"
    assert set(oauth_providers()) == {"github"}
    local = oauth_providers("http://127.0.0.1:8001")
    assert local["github"]["OPTIONS"]["client_id"] == "id", "one's own credentials go to the real provider"
    assert local["google"]["OPTIONS"]["issuers"] == ["http://127.0.0.1:8001/google"]


def test_the_places_to_return_to_are_read_by_name(monkeypatch):
    assert base.social_redirects() == {"web": f"{base.FRONTEND_URL}/social"}
    monkeypatch.setenv("SOCIAL_REDIRECTS", "web=https://a.example.org/in?x=1, app=org.example://social")

    assert base.social_redirects() == {"web": "https://a.example.org/in?x=1", "app": "org.example://social"}
