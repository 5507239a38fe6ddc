"""Public keys for other services, and tokens signed with them from end to end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jwt
import pytest
import time_machine

from tests.envelope import refusal_of
from tests.factories.accounts import PASSWORD, make_member
from tests.factories.tokens import ed_entry, ed_key, hs_entry, part_of, public_bytes, ring, rs_entry, rsa_key

AUTH, JWKS = "/api/v1/auth", "/.well-known/jwks.json"
ROOT = Path(__file__).resolve().parents[3]
RULES: dict[str, Any] = {"issuer": "faraja", "audience": "faraja-api"}


def test_symmetric_keys_publish_nothing(client):
    """Whoever can check with such a key can sign with it too."""
    response = client.get(JWKS)

    assert response.status_code == 200
    assert response.json() == {"keys": []}


def test_a_key_set_holds_the_public_halves_and_nothing_more(client, settings):
    settings.JWT_KEYS = ring(
        hs_entry("secret"),
        ed_entry("ed"),
        rs_entry("rs"),
        ed_entry("still", 1, retire_at="2030-01-01T00:00:00Z"),
        ed_entry("gone", 2, retire_at="2026-01-01T00:00:00Z"),
    )

    response = client.get(JWKS)

    assert response.headers["Content-Type"] == "application/jwk-set+json"
    assert response.headers["Cache-Control"] == "public, max-age=300"
    ed, rs, still = response.json()["keys"]
    assert {**ed, "x": "..."} == {
        "kty": "OKP", "crv": "Ed25519", "x": "...", "kid": "ed", "alg": "EdDSA", "use": "sig",
    }  # fmt: skip
    assert {**rs, "n": "...", "e": "..."} == {
        "kty": "RSA", "n": "...", "e": "...", "kid": "rs", "alg": "RS256", "use": "sig",
    }  # fmt: skip
    assert still["kid"] == "still"
    assert jwt.PyJWK(ed).key.public_bytes_raw() == ed_key().public_key().public_bytes_raw()
    assert jwt.PyJWK(rs).key.public_numbers() == rsa_key().public_key().public_numbers()


def test_a_key_leaves_the_set_when_it_is_retired(client, settings):
    settings.JWT_KEYS = ring(hs_entry("a"), ed_entry("b", retire_at="2026-03-01T09:00:00Z"))

    with time_machine.travel("2026-03-01T08:59:59Z", tick=False):
        assert [key["kid"] for key in client.get(JWKS).json()["keys"]] == ["b"]
    with time_machine.travel("2026-03-01T09:00:00Z", tick=False):
        assert client.get(JWKS).json()["keys"] == []


def test_the_key_set_is_there_for_readers_of_any_kind(client):
    """A token that is no good, a browser's Accept, or HEAD change nothing; another method is refused as everywhere."""
    headers = {"Authorization": "Bearer nonsense", "Accept": "text/html"}

    assert client.get(JWKS, headers=headers).json() == {"keys": []}
    assert client.head(JWKS).status_code == 200
    assert refusal_of(client.post(JWKS, {}, format="json")) == (405, "method_not_allowed")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("entry", "alg", "public"),
    [(ed_entry, "EdDSA", public_bytes(ed_key())), (rs_entry, "RS256", public_bytes(rsa_key()))],
    ids=["EdDSA", "RS256"],
)
def test_a_session_lives_on_tokens_with_a_public_half(client, settings, entry, alg, public):
    settings.JWT_KEYS = ring(entry("main"))
    member = make_member()
    credentials = {"email": member.user.email, "password": PASSWORD}

    first = client.post(f"{AUTH}/login/", credentials, format="json").json()["data"]
    second = client.post(f"{AUTH}/refresh/", {"refresh": first["refresh"]}, format="json").json()["data"]

    for token in (first["access"], second["access"], first["refresh"], second["refresh"]):
        assert part_of(token, 0) == {"alg": alg, "kid": "main", "typ": "JWT"}
        assert jwt.decode(token, public, algorithms=[alg], **RULES)["sub"] == str(member.user.pk)
        assert len(token) < 4096
    bearer = {"Authorization": f"Bearer {second['access']}"}
    assert client.get(f"{AUTH}/me/", headers=bearer).json()["data"]["email"] == member.user.email
    client.post(f"{AUTH}/logout/", {"refresh": second["refresh"]}, format="json")
    assert refusal_of(client.get(f"{AUTH}/me/", headers=bearer)) == (401, "session_revoked")


@pytest.mark.django_db(transaction=True)
def test_another_service_checks_tokens_as_the_guide_says(live_server, settings):
    """The guide's own code, with PyJWT's client reading the key set over HTTP."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs" / "keys.md").read_text(), re.M | re.S)
    names: dict[str, Any] = {"api": live_server.url}
    settings.JWT_KEYS = ring(ed_entry("ed"), rs_entry("rs"))
    by_ed = make_member().tokens
    settings.JWT_KEYS = ring(rs_entry("rs"), ed_entry("ed"))
    by_rs = make_member().tokens
    exec(code, names)  # noqa: S102  our own document

    for tokens in (by_ed, by_rs):
        claims = names["check"](tokens.access)
        assert claims["sid"] == part_of(tokens.access, 1)["sid"]
        with pytest.raises(jwt.InvalidTokenError):
            names["check"](tokens.refresh)
        with pytest.raises(jwt.InvalidTokenError):
            names["check"](tokens.access[:-8] + "AAAAAAAA")
    with pytest.raises(jwt.PyJWKClientError):
        names["check"](jwt.encode({"sub": "x"}, ed_key(2), algorithm="EdDSA", headers={"kid": "stranger"}))
