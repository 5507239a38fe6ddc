"""No forged, confused or malformed token opens a door, and none is an error of ours.

The forgeries are made by hand (tests/factories/tokens.py), some with a real key of the ring: a check that is missing
must show even where the signature is right.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from django.conf import settings
from rest_framework.test import APIClient

from apps.accounts.models import AuthSession
from tests.envelope import refusal_of
from tests.factories.accounts import PASSWORD, Member, make_member
from tests.factories.tokens import (
    SECRET,
    Signer,
    ed_entry,
    ed_key,
    eddsa,
    hs256,
    hs_entry,
    part_of,
    private_pem,
    public_bytes,
    ring,
    rs256,
    rs_entry,
    rsa_key,
    seal,
    segment,
)

AUTH = "/api/v1/auth"
# One for all requests, because each new client loads the middleware anew. It shows a 500 instead of raising its cause.
ANYBODY = APIClient(raise_request_exception=False)
LEAKED = "a-secret-that-has-been-retired-and-may-be-known-to-anybody"
NOBODY = "0f8d1a52-3f6b-4d0e-8a53-6a5e4f0f2b77"
HS, ED, RS = {"alg": "HS256", "kid": "hs"}, {"alg": "EdDSA", "kid": "ed"}, {"alg": "RS256", "kid": "rs"}
WELL_FORMED = {"typ": "JWT"}
# Signed by us and true once, or about something that is gone: these have their own answers.
OTHER_CODES = {"expired": "token_expired", "expired long ago": "token_expired", "sid of nobody": "session_revoked"}


@pytest.fixture
def all_algorithms(settings: Any) -> None:
    """A ring with a key of each kind, and one that is retired."""
    settings.JWT_KEYS = ring(
        hs_entry("hs"),
        ed_entry("ed"),
        rs_entry("rs"),
        hs_entry("gone", LEAKED, retire_at="2026-01-01T00:00:00Z"),
    )


@pytest.fixture
def victim(all_algorithms: None, db: None) -> Member:
    return make_member()


def signers() -> dict[str, tuple[dict[str, str], Signer]]:
    """Each key of the ring: the header that it takes, and its signature."""
    return {
        "HS256": (HS | WELL_FORMED, hs256(SECRET)),
        "EdDSA": (ED | WELL_FORMED, eddsa(ed_key())),
        "RS256": (RS | WELL_FORMED, rs256(rsa_key())),
    }


def forgeries(token: str, other_kind: str) -> dict[str, str]:
    """What an attacker might send in place of `token`. `other_kind` is a good token for the other purpose."""
    claims = part_of(token, 1)
    found: dict[str, str] = {"a good token of the other kind": other_kind}
    found |= {f"alg: {name}": forged for name, forged in _without_our_key(claims)}
    found |= {f"key: {name}": forged for name, forged in _confused(claims)}
    found |= {f"header: {name}": forged for name, forged in _odd_headers(claims)}
    found |= _odd_claims(claims)
    found |= _mangled(token, claims)
    return found


def _without_our_key(claims: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for alg in ("none", "None", "NONE", "nOnE", None):
        yield f"{alg!r} unsigned", f"{segment(HS | WELL_FORMED | {'alg': alg})}.{segment(claims)}."
    odd: list[Any] = ["none", "", None, 0, ["HS256"], {"alg": "HS256"}, "hs256"]
    for each in odd:
        yield f"{each!r} signed", seal(HS | WELL_FORMED | {"alg": each}, claims, hs256(SECRET))
    yield "left out", seal({"kid": "hs", "typ": "JWT"}, claims, hs256(SECRET))
    for stronger in ("HS384", "HS512"):
        yield stronger, seal(HS | WELL_FORMED | {"alg": stronger}, claims, hs256(SECRET, stronger))
    yield "PS256", jwt.encode(claims, rsa_key(), algorithm="PS256", headers={"kid": "rs"})
    yield "an empty secret", seal(HS | WELL_FORMED, claims, hs256(b""))


def _confused(claims: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for kid, key in (("rs", rsa_key()), ("ed", ed_key())):
        spellings = {
            "PEM": public_bytes(key),
            "PEM without its last line break": public_bytes(key).strip(),
            "DER": public_bytes(key, Encoding.DER),
        }
        for name, public in spellings.items():
            told = {"alg": "HS256", "kid": kid, "typ": "JWT"}
            yield f"public {kid} key as a secret, {name}", seal(told, claims, hs256(public))
    raw = ed_key().public_key().public_bytes_raw()
    yield "raw public ed key as a secret", seal({"alg": "HS256", "kid": "ed", "typ": "JWT"}, claims, hs256(raw))
    yield "RS256 under the name of EdDSA", seal(ED | WELL_FORMED, claims, rs256(rsa_key()))
    yield "EdDSA under the name of RS256", seal(RS | WELL_FORMED, claims, eddsa(ed_key()))
    yield "alg RS256 on the key of EdDSA", seal(ED | WELL_FORMED | {"alg": "RS256"}, claims, rs256(rsa_key()))
    yield "alg RS256 on the secret", seal(HS | WELL_FORMED | {"alg": "RS256"}, claims, rs256(rsa_key()))
    yield "alg HS256 on another's name", seal(RS | WELL_FORMED | {"alg": "HS256"}, claims, hs256(SECRET))
    yield "of another environment", seal(HS | WELL_FORMED, claims, hs256("another-environments-secret-" * 2))
    yield "of another environment, RS256", seal(RS | WELL_FORMED, claims, rs256(rsa_key(1)))
    yield "of another environment, EdDSA", seal(ED | WELL_FORMED, claims, eddsa(ed_key(1)))
    yield "the secret of SECRET_KEY", seal(HS | WELL_FORMED, claims, hs256(settings.SECRET_KEY))
    yield "the single key that the ring replaced", seal(HS | WELL_FORMED, claims, hs256(settings.JWT_SIGNING_KEY))
    yield "retired", seal({"alg": "HS256", "kid": "gone", "typ": "JWT"}, claims, hs256(LEAKED))
    yield "retired, under a live name", seal(HS | WELL_FORMED, claims, hs256(LEAKED))


def _odd_headers(claims: dict[str, Any]) -> Iterator[tuple[str, str]]:
    def sealed(header: Any) -> str:
        return seal(header, claims, hs256(SECRET))

    yield "no kid", jwt.encode(claims, SECRET, algorithm="HS256")
    kids: list[Any] = [
        None,
        0,
        ["hs"],
        {"kid": "hs"},
        "",
        "HS",
        "hs\n",
        "hs\x00",
        "\ud800",
        "ħs",
        "unknown",
        "k" * 2000,
    ]
    kids += ["../../../../dev/null", "hs' OR '1'='1", "https://evil.example/key", "__class__", "ed", "k" * 2000]
    for kid in kids:
        yield f"kid {ascii(kid)[:30]}", sealed(HS | WELL_FORMED | {"kid": kid})
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(rsa_key(1).public_key(), as_dict=True)
    extra: dict[str, Any] = {
        "jku": "https://evil.example/.well-known/jwks.json",
        "jwk": jwk,
        "x5u": "https://evil.example/cert.pem",
        "crit": ["exp"],
        "b64": True,
        "zip": "DEF",
        "cty": "JWT",
    }
    for name, value in extra.items():
        yield name, sealed(HS | WELL_FORMED | {name: value})
    attackers = {"alg": "RS256", "kid": "rs", "typ": "JWT"}
    yield "jwk with its own signature", seal(attackers | {"jwk": jwk}, claims, rs256(rsa_key(1)))
    yield "jku with its own signature", seal(attackers | {"jku": extra["jku"]}, claims, rs256(rsa_key(1)))
    yield "crit that names alg", sealed(HS | WELL_FORMED | {"crit": ["alg"]})
    yield "typ at+jwt", sealed(HS | {"typ": "at+jwt"})
    yield "no typ", sealed(HS)
    yield "alg twice", sealed(b'{"alg":"none","alg":"HS256","kid":"hs","typ":"JWT"}')
    yield "kid twice", sealed(b'{"alg":"HS256","kid":"gone","kid":"hs","typ":"JWT"}')
    for name, raw in {
        "a list": b"[]",
        "null": b"null",
        "a text": b'"HS256"',
        "no JSON": b"{",
        "no UTF-8": b"\xff",
    }.items():
        yield name, sealed(raw)
    yield "nested deeply", sealed(b"[" * 1500)
    yield "an endless number", sealed(b'{"alg":"HS256","kid":"hs","typ":"JWT","x":' + b"9" * 1500 + b"}")


def _odd_claims(claims: dict[str, Any]) -> dict[str, str]:
    """Signed with the right key: what only a defect of ours, or a thief, could send."""

    def changed(**changes: Any) -> str:
        left = {name: value for name, value in (claims | changes).items() if value is not ...}
        return seal(HS | WELL_FORMED, left, hs256(SECRET))

    now = int(time.time())
    uuids: list[Any] = [..., None, 7, ["x"], "1 OR 1=1", "\x00", "\ud800", "urn:uuid:" + claims["sid"]]
    odd: dict[str, list[Any]] = {
        "exp": [..., None, "soon", str(now + 600), now + 600.5, 10**11, 10**30, float("nan"), float("inf"), []],
        "iat": [..., "now", now + 3600, float(now), True, 10**30, float("nan")],
        "nbf": [now + 3600, "later"],
        "iss": [..., None, "somebody", 7, ["faraja"]],
        "aud": [..., None, "", "somebody", ["faraja-api"], ["faraja-api", "x"], {"faraja-api": 1}],
        "typ": [..., None, "sliding", "ACCESS", 7, ["access", "refresh"]],
        "jti": [..., None, 7],
        "sub": [*uuids, NOBODY],
        "sid": uuids,
    }
    if "gen" in claims:
        odd["gen"] = [..., None, "1", 1.0, True, 0, -1, 99, 2**31, 10**30]
    else:
        odd["tenant_id"] = [..., 7, "x", "", {"id": 1}]
    found = {
        f"{name} {'left out' if value is ... else ascii(value)[:30]}": changed(**{name: value})
        for name, values in odd.items()
        for value in values
    }
    found["expired"] = changed(exp=now - 60, iat=now - 3600)
    found["expired long ago"] = changed(exp=1)
    found["sid of nobody"] = changed(sid=NOBODY)
    found["good and too long"] = changed(padding="x" * 4096)
    twice = json.dumps(claims)[:-1].encode()
    found["claims: sub twice"] = seal(
        HS | WELL_FORMED, twice + b',"sub":"' + claims["sub"].encode() + b'"}', hs256(SECRET)
    )
    for name, raw in {
        "a list": b"[]",
        "null": b"null",
        "no JSON": b"{",
        "nothing": b"",
        "no UTF-8": b"\xff\xfe",
    }.items():
        found[f"claims: {name}"] = seal(HS | WELL_FORMED, raw, hs256(SECRET))
    found["claims: nested deeply"] = seal(HS | WELL_FORMED, b'{"a":' * 500 + b"1" + b"}" * 500, hs256(SECRET))
    return found


def _mangled(token: str, claims: dict[str, Any]) -> dict[str, str]:
    head, body, signature = token.split(".")
    other = segment(claims | {"sub": NOBODY})
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    return {
        "signature stripped": f"{head}.{body}.",
        "signature and dot stripped": f"{head}.{body}",
        "one letter of the signature": f"{head}.{body}.{flipped}",
        "signature cut": token[:-2],
        "signature longer": token + "A",
        "unused bits of the signature": token[:-1] + chr(ord(token[-1]) + 1),
        "claims altered": f"{head}.{other}.{signature}",
        "detached": f"{head}..{signature}",
        "header stripped": f".{body}.{signature}",
        "two dots": "..",
        "one dot": ".",
        "four parts": f"{token}.{signature}",
        "five parts, as an encrypted token": f"{token}.{signature}.{signature}",
        "padded": f"{token}=",
        "plain base64": f"{head}.{body}+/.{signature}",
        "a blank inside": f"{head}. {body}.{signature}",
        "a line break inside": f"{head}.\n{body}.{signature}",
        "twice": f"{token} {token}",
        "not base64": "!!!.???.***",
        "beyond ASCII": "héllo.wörld.ñ",
        "JSON serialization": json.dumps({"payload": body, "protected": head, "signature": signature}),
        "text": "hello",
        "just too long": f"{head}.{body}.{'A' * 4096}",
        "half a megabyte": "a" * 500_000,
        "half a megabyte of dots": ".".join("a" * 250_000),
    }


def as_bearer(token: str) -> Any:
    return ANYBODY.get(f"{AUTH}/me/", headers={"Authorization": f"Bearer {token}"})


def as_refresh(token: str) -> Any:
    return ANYBODY.post(f"{AUTH}/refresh/", {"refresh": token}, format="json")


def as_logout(token: str) -> Any:
    return ANYBODY.post(f"{AUTH}/logout/", {"refresh": token}, format="json")


def faults(answers: dict[str, Any], *, expired: str = "token_expired") -> list[tuple[str, int, Any]]:
    """The answers that are not the refusal of a forged token. A refresh token expires with its session."""
    found = []
    for name, response in answers.items():
        code = OTHER_CODES.get(name, "token_invalid")
        expected = (401, expired if code == "token_expired" else code)
        if response.status_code < 400 or refusal_of(response) != expected or not response.headers["WWW-Authenticate"]:
            found.append((name, response.status_code, response.content[:120]))
    return found


@pytest.mark.parametrize("alg", ["HS256", "EdDSA", "RS256"])
def test_what_the_forger_makes_with_a_right_key_and_nothing_changed_is_accepted(victim, alg):
    """Otherwise the refusals below might have another reason."""
    header, sign = signers()[alg]

    assert as_bearer(seal(header, part_of(victim.tokens.access, 1), sign)).status_code == 200
    assert as_refresh(seal(header, part_of(victim.tokens.refresh, 1), sign)).status_code == 200


@pytest.mark.invariant("I48")
def test_no_forged_access_token_passes(victim, record_figure):
    forged = forgeries(victim.tokens.access, victim.tokens.refresh)

    assert faults({name: as_bearer(token) for name, token in forged.items()}) == []

    record_figure(f"{len(forged)} forged access tokens, 0 accepted, 0 x 500")
    assert len(forged) == len(set(forged.values()))
    assert len(forged) >= 40
    assert as_bearer(victim.tokens.access).status_code == 200


@pytest.mark.invariant("I48")
def test_no_forged_refresh_token_passes(victim):
    forged = forgeries(victim.tokens.refresh, victim.tokens.access)

    answers = {name: as_refresh(token) for name, token in forged.items()}

    assert faults(answers, expired="session_expired") == []

    session = AuthSession.objects.get()
    assert (session.generation, session.revoked_at) == (1, None)
    assert len(forged) >= 40
    assert as_refresh(victim.tokens.refresh).status_code == 200


@pytest.mark.invariant("I48")
def test_no_forged_token_signs_anybody_out(victim):
    forged = {
        name: token
        for name, token in forgeries(victim.tokens.refresh, "no token").items()
        if name.startswith(("alg", "key", "header"))
    }

    for token in forged.values():
        assert as_logout(token).status_code == 200

    assert len(forged) >= 40
    assert AuthSession.objects.get().revoked_at is None


@pytest.mark.invariant("I48")
def test_no_forged_cookie_passes(victim):
    client = APIClient(raise_request_exception=False)
    origin = {"Origin": "https://app.faraja.test"}
    credentials = {"email": victim.user.email, "password": PASSWORD, "transport": "cookies"}
    client.post(f"{AUTH}/login/", credentials, format="json", headers=origin)
    good = client.cookies["access"].value
    forged = {
        name: token
        for name, token in forgeries(good, client.cookies["refresh"].value).items()
        if token.isascii() and token.isprintable() and not set(token) & set(' ",;\\') and len(token) < 4096
    }
    answers = {}

    for name, token in forged.items():
        client.cookies["access"] = token
        answers[name] = client.get(f"{AUTH}/me/")

    assert faults(answers) == []
    client.cookies["access"] = good
    assert client.get(f"{AUTH}/me/").status_code == 200


@pytest.mark.invariant("I48")
def test_no_forged_token_passes_where_one_key_signs_everything(member):
    """The installation without `JWT_KEYS`."""
    secret, kid = settings.JWT_SIGNING_KEY, part_of(member.tokens.access, 0)["kid"]
    claims = part_of(member.tokens.access, 1)
    header = {"alg": "HS256", "kid": kid, "typ": "JWT"}
    attackers = private_pem(rsa_key(1))

    answers = {
        "a refresh token": as_bearer(member.tokens.refresh),
        "an access token": as_refresh(member.tokens.access),
        "no kid": as_bearer(jwt.encode(claims, secret, algorithm="HS256")),
        "alg none": as_bearer(f"{segment(header | {'alg': 'none'})}.{segment(claims)}."),
        "another secret": as_bearer(seal(header, claims, hs256("x" * 40))),
        "SECRET_KEY": as_bearer(seal(header, claims, hs256(settings.SECRET_KEY))),
        "an attacker's RS256": as_bearer(jwt.encode(claims, attackers, algorithm="RS256", headers={"kid": kid})),
    }

    assert faults(answers) == []
    assert as_bearer(seal(header, claims, hs256(secret))).status_code == 200


@pytest.mark.invariant("I48")
@pytest.mark.parametrize("odd", ["\x00", "a\x00b.c.d"])
def test_a_header_or_body_that_no_server_passes_on_is_refused_before_it_is_read(db, odd):
    assert refusal_of(as_bearer(odd)) == (400, "invalid_characters")
    assert refusal_of(as_refresh(odd)) == (400, "invalid_characters")


@pytest.mark.invariant("I48")
def test_a_megabyte_is_refused_at_every_door(db):
    megabyte = "a" * 1024 * 1024

    assert refusal_of(as_bearer(megabyte)) == (401, "token_invalid")
    assert refusal_of(as_refresh(megabyte)) == (413, "payload_too_large")
