"""`JWT_KEYS` is read strictly: what cannot be used is told in a sentence that names the key and not its secret."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed448, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from core.key_rotation import (
    RotationRefused,
    Step,
    add_key,
    describe,
    new_entry,
    promote_key,
    remove_key,
    retire_keys,
)
from core.keyring import ALGORITHMS, KeyRing, KeyRingInvalid, derived_kid, read_ring
from tests.factories.tokens import (
    SECRET,
    ed_entry,
    ed_key,
    hs_entry,
    private_pem,
    private_text,
    public_bytes,
    ring,
    rs_entry,
    rsa_key,
)

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)
REFRESH = timedelta(days=14)
PUBLIC = public_bytes(ed_key()).decode()


def keys(*entries: dict[str, str]) -> KeyRing:
    return read_ring(ring(*entries), "")


def test_the_first_key_signs_and_every_key_is_found_by_its_name():
    found = keys(hs_entry("a"), ed_entry("b"), rs_entry("c"))

    assert found.signing.kid == "a"
    assert [found.find(kid, now=NOW) for kid in ("a", "b", "c")] == list(found.keys)
    assert [key.alg for key in found.keys] == ["HS256", "EdDSA", "RS256"]
    assert [found.find(kid, now=NOW) for kid in ("d", "", None, 1, ["a"], {"a": 1})] == [None] * 6


def test_without_a_ring_the_one_secret_is_a_key_with_a_name_of_its_own():
    found = read_ring("  ", SECRET)

    assert [(key.kid, key.alg, key.private) for key in found.keys] == [(derived_kid(SECRET), "HS256", SECRET.encode())]
    assert derived_kid(SECRET) != derived_kid(SECRET + "x")
    assert derived_kid(SECRET) not in SECRET


@pytest.mark.parametrize("key", [ed_key(), rsa_key()], ids=["EdDSA", "RS256"])
def test_a_key_may_be_pem_or_the_base64_inside_it(key):
    alg = "EdDSA" if key is ed_key() else "RS256"
    der = base64.b64encode(public_bytes(key, Encoding.DER)).decode()
    spellings = [
        {"key": private_pem(key)},
        {"key": private_text(key)},
        {"key": private_text(key), "public": public_bytes(key).decode()},
        {"key": private_text(key), "public": der},
    ]

    read = [keys({"kid": "k", "alg": alg, **spelling}).signing for spelling in spellings]

    assert {found.public.public_bytes_raw() if alg == "EdDSA" else found.public.public_numbers() for found in read} == {
        key.public_key().public_bytes_raw() if alg == "EdDSA" else key.public_key().public_numbers()
    }
    only_checks = keys(hs_entry("first"), {"kid": "k", "alg": alg, "public": der}).keys[1]
    assert not only_checks.can_sign


def test_a_ring_shows_no_secret_when_it_is_printed():
    entries = [hs_entry("a"), ed_entry("b"), rs_entry("c")]

    shown = repr(keys(*entries)) + str(keys(*entries).signing)

    assert [entry["kid"] for entry in entries if entry["key"] in shown] == []
    assert SECRET not in shown


EC = private_text(ec.generate_private_key(ec.SECP256R1()))
SMALL = private_text(rsa.generate_private_key(65537, 1024))  # noqa: S505  too small, on purpose


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "it is not valid JSON (position 1)"),
        ("[" * 100_000, "it is not valid JSON"),
        ("{}", "it must be a list with at least one key"),
        ("[]", "it must be a list with at least one key"),
        ('"secret"', "it must be a list with at least one key"),
        ("[1]", "key at place 1: it must be an object of texts"),
        ('[{"kid": 1}]', "key at place 1: it must be an object of texts"),
        (ring(hs_entry("a", keys="x")), "key a: unknown field 'keys'"),
        (ring(hs_entry("")), "key at place 1: its kid must be 1 to 64 letters"),
        (ring(hs_entry("a/b")), "key at place 1: its kid must be 1 to 64 letters"),
        (ring(hs_entry("a" * 65)), "key at place 1: its kid must be 1 to 64 letters"),
        (ring({"alg": "HS256", "key": SECRET}), "key at place 1: its kid must be"),
        (ring({"kid": "a", "key": SECRET}), "key a: its alg must be one of HS256, EdDSA, RS256"),
        (ring({"kid": "a", "alg": "none", "key": SECRET}), "key a: its alg must be one of"),
        (ring({"kid": "a", "alg": "HS512", "key": SECRET}), "key a: its alg must be one of"),
        (ring({"kid": "a", "alg": "HS256"}), "key a: its key is missing"),
        (ring(hs_entry("a", "")), "key a: its key is missing"),
        (ring(hs_entry("a", PUBLIC)), "key a: its key is an asymmetric one"),
        (ring(hs_entry("a", "\ud800" * 40)), "key a: its key is"),
        (ring(hs_entry("a", public="x")), "key a: an HS256 key has no public half"),
        (ring({"kid": "a", "alg": "EdDSA"}), "key a: it has neither key nor public"),
        (ring({"kid": "a", "alg": "EdDSA", "key": SECRET}), "key a: its key is no private key for EdDSA"),
        (ring({"kid": "a", "alg": "EdDSA", "key": "\u00e9"}), "key a: its key is no private key for EdDSA"),
        (ring({"kid": "a", "alg": "EdDSA", "key": PUBLIC}), "key a: its key is no private key for EdDSA"),
        (ring({"kid": "a", "alg": "EdDSA", "key": EC}), "key a: its key is no private key for EdDSA"),
        (ring({"kid": "a", "alg": "EdDSA", "key": private_text(rsa_key())}), "key a: its key is no private key"),
        (
            ring({"kid": "a", "alg": "EdDSA", "key": private_text(ed448.Ed448PrivateKey.generate())}),
            "key a: its key is no private key for EdDSA",
        ),
        (ring({"kid": "a", "alg": "RS256", "key": private_text(ed_key())}), "key a: its key is no private key for RS"),
        (ring({"kid": "a", "alg": "RS256", "key": SMALL}), "key a: an RSA key needs 2048 bits or more"),
        (ring(ed_entry("a", public=private_text(ed_key()))), "key a: its public is no public key for EdDSA"),
        (ring(ed_entry("a", 1, public=PUBLIC)), "key a: its public does not belong to its key"),
        (ring({"kid": "a", "alg": "EdDSA", "public": PUBLIC}), "key a: it is the first and has no private half"),
        (ring(hs_entry("a", retire_at="2030-01-01T00:00:00Z")), "key a: it signs, so it cannot have a retire_at"),
        (ring(hs_entry("a"), ed_entry("b", retire_at="soon")), "key b: its retire_at must be a time with its zone"),
        (ring(hs_entry("a"), ed_entry("b", retire_at="2030-01-01")), "key b: its retire_at must be a time with its"),
        (ring(hs_entry("a"), ed_entry("a")), "key a: there is more than one of this name"),
        ("", "neither JWT_KEYS nor JWT_SIGNING_KEY is set"),
    ],
)
def test_a_ring_that_cannot_be_used_is_told_in_a_sentence(text, told):
    with pytest.raises(KeyRingInvalid) as refusal:
        read_ring(text, "")

    (fault,) = refusal.value.faults
    assert fault.startswith(told)
    for secret in (SECRET, EC, SMALL, private_text(ed_key()), private_text(rsa_key())):
        assert secret not in str(refusal.value)


def test_all_faults_of_a_ring_are_told_at_once():
    with pytest.raises(KeyRingInvalid) as refusal:
        keys({"kid": "a", "alg": "HS256"}, {"kid": "b", "alg": "none"}, hs_entry("c"), hs_entry("c"))

    assert [fault.partition(":")[0] for fault in refusal.value.faults] == ["key a", "key b", "key c"]


# --- The steps -------------------------------------------------------------------------------------------------------


def after(step: Step) -> KeyRing:
    return read_ring(step.value, "")


def kids(found: KeyRing) -> list[str]:
    return [key.kid for key in found.keys]


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_new_key_is_random_and_can_be_read(alg):
    one, other = new_entry(alg, now=NOW), new_entry(alg, now=NOW)

    assert one["kid"].startswith("20260301-")
    assert one["kid"] != other["kid"]
    assert one["key"] != other["key"]
    assert read_ring(json.dumps([one]), "").signing.can_sign


def test_a_value_is_one_line_that_survives_an_env_file_and_a_form():
    step = add_key(keys(ed_entry("a")), alg="RS256", now=NOW)

    assert "\n" not in step.value
    assert " " not in step.value
    assert not set(step.value) & set("'\\$#")


def test_adding_changes_nothing_about_who_signs():
    step = add_key(keys(hs_entry("a"), ed_entry("b")), alg="EdDSA", now=NOW)

    assert kids(after(step)) == ["a", "b", step.kid]
    assert after(step).keys[2].can_sign
    assert "2026-03-01T09:10:00Z" in step.told


def test_promoting_gives_the_key_before_the_time_that_its_tokens_need():
    step = promote_key(keys(hs_entry("a"), hs_entry("c"), ed_entry("b")), kid="b", refresh_lifetime=REFRESH, now=NOW)

    found = after(step)
    assert kids(found) == ["b", "a", "c"]
    assert found.keys[1].retire_at == NOW + timedelta(days=15)
    assert found.keys[2].retire_at is None
    assert not found.keys[1].is_retired(NOW + REFRESH)


def test_a_promotion_can_be_taken_back():
    promoted = after(promote_key(keys(hs_entry("a"), ed_entry("b")), kid=None, refresh_lifetime=REFRESH, now=NOW))

    back = after(promote_key(promoted, kid="a", refresh_lifetime=REFRESH, now=NOW))

    assert kids(back) == ["a", "b"]
    assert back.signing.retire_at is None
    assert back.keys[1].retire_at == NOW + timedelta(days=15)


def test_retiring_takes_out_what_is_refused_already():
    found = keys(hs_entry("a"), hs_entry("b", retire_at="2026-03-01T09:00:00Z"), ed_entry("c"))

    assert kids(after(retire_keys(found, kid=None, refresh_lifetime=REFRESH, now=NOW))) == ["a", "c"]
    assert kids(after(retire_keys(found, kid="b", refresh_lifetime=REFRESH, now=NOW))) == ["a", "c"]


def test_retiring_a_key_without_an_end_gives_it_one():
    step = retire_keys(keys(hs_entry("a"), ed_entry("b")), kid="b", refresh_lifetime=REFRESH, now=NOW)

    assert after(step).keys[1].retire_at == NOW + timedelta(days=15)


@pytest.mark.parametrize(
    ("step", "entries", "kid", "told"),
    [
        (promote_key, [hs_entry("a")], None, "No key waits to sign"),
        (promote_key, [hs_entry("a"), ed_entry("b"), rs_entry("c")], None, "Say which key: b, c"),
        (promote_key, [hs_entry("a")], "a", "Key a signs already"),
        (promote_key, [hs_entry("a")], "x", "There is no key x"),
        (
            promote_key,
            [hs_entry("a"), {"kid": "b", "alg": "EdDSA", "public": PUBLIC}],
            "b",
            "Key b has no private half",
        ),
        (promote_key, [hs_entry("a"), ed_entry("b", retire_at="2026-01-01T00:00:00Z")], "b", "Key b is retired"),
        (retire_keys, [hs_entry("a")], "a", "Key a signs: promote another one first"),
        (retire_keys, [hs_entry("a")], None, "No key is retired yet. None has an end"),
        (
            retire_keys,
            [hs_entry("a"), ed_entry("b", retire_at="2026-03-02T00:00:00Z")],
            "b",
            "Key b checks until 2026-03-02T00:00:00Z",
        ),
        (
            retire_keys,
            [hs_entry("a"), ed_entry("b", retire_at="2026-03-02T00:00:00Z")],
            None,
            "No key is retired yet. The next one is, from 2026-03-02T00:00:00Z on",
        ),
    ],
)
def test_a_step_that_would_lock_people_out_is_refused(step, entries, kid, told):
    with pytest.raises(RotationRefused, match=told):
        step(keys(*entries), kid=kid, refresh_lifetime=REFRESH, now=NOW)


def test_a_leaked_key_goes_at_once_and_the_next_that_can_signs():
    found = keys(
        hs_entry("a"),
        ed_entry("old", 1, retire_at="2026-03-10T00:00:00Z"),
        {"kid": "other", "alg": "EdDSA", "public": PUBLIC},
        rs_entry("next"),
    )

    assert kids(after(remove_key(found, kid="a", now=NOW))) == ["next", "old", "other"]
    assert kids(after(remove_key(found, kid="old", now=NOW))) == ["a", "other", "next"]


def test_a_leaked_key_without_a_successor_is_replaced_by_a_new_one_of_its_kind():
    found = after(remove_key(keys(ed_entry("a"), hs_entry("old", retire_at="2026-03-10T00:00:00Z")), kid="a", now=NOW))

    assert found.signing.alg == "EdDSA"
    assert found.signing.kid not in {"a", "old"}
    assert kids(found)[1:] == ["old"]


def test_each_state_has_its_words():
    found = keys(
        hs_entry("a"),
        ed_entry("b"),
        rs_entry("c", retire_at="2026-03-10T00:00:00Z"),
        hs_entry("d", retire_at="2026-02-10T00:00:00Z"),
        {"kid": "e", "alg": "EdDSA", "public": PUBLIC},
    )

    assert [describe(key, is_first=key is found.signing, now=NOW) for key in found.keys] == [
        "signs",
        "checks",
        "checks until 2026-03-10T00:00:00Z",
        "retired since 2026-02-10T00:00:00Z",
        "checks (public half only)",
    ]
