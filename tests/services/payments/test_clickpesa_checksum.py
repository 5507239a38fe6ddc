from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.payments.providers.clickpesa_checksum import (
    canonical_checksum,
    canonical_json,
    js_number,
    legacy_checksum,
)
from services.reading import read_json
from tests.services import wire

VECTORS: list[dict[str, Any]] = wire.load("clickpesa", "checksum_vectors")["vectors"]
BEYOND = "a number beyond a double"

# Where Python's own printing is known to agree with JavaScript: no number beyond a double's whole range, and no key
# that JavaScript would take for an array index.
PLAIN_KEYS = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8).filter(
    lambda key: not key.isdigit() and key not in ("checksum", "checksumMethod")
)
PLAIN_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(min_value=-(2**53), max_value=2**53)
    | st.text(st.characters(max_codepoint=127)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_KEYS, inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_canonical_text_and_its_checksum_are_what_javascript_makes_of_them(vector):
    payload = read_json(vector["body"])

    signed = {name: value for name, value in payload.items() if name not in ("checksum", "checksumMethod")}
    assert canonical_json(signed) == vector["canonical"]
    assert canonical_checksum(payload, vector["key"]) == vector["checksum"]


@pytest.mark.parametrize(
    "vector",
    [vector for vector in VECTORS if vector["legacy"] and vector["name"] != BEYOND],
    ids=lambda vector: vector["name"],
)
def test_the_legacy_checksum_is_what_javascript_makes_of_it(vector):
    assert legacy_checksum(read_json(vector["body"]), vector["key"]) == vector["legacy"]


def test_the_legacy_method_refuses_numbers_beyond_a_double():
    [vector] = [vector for vector in VECTORS if vector["name"] == BEYOND]

    with pytest.raises(ValueError, match="double"):
        legacy_checksum(read_json(vector["body"]), vector["key"])


def test_the_published_vectors_are_among_them():
    published = {
        "C1": "17c51f37dad20682e08cd556446c7f8e99840f4040b6719712f41f7549287f33",
        "C2": "a89f489c5be877c561afe5edeb3c231abc6d307fea78becd74c60b48e9dd9dfc",
        "C3": "9a60f3add17db1fa5104cf352cce6ec48b0816281a4459c5c86c93ffa63e157f",
        "C4": "2efe1a599d2a38f5da9e151a009d834242b3e622236d40c4e2e04d1649894bbd",
        "C5": "9bc81ee2fff71069814b37a127c60a234e93282f78582f8d73cca50ad7f8253e",
    }
    legacy = {
        "C1": "85b65bf2670dcdcb8ebb8d19939e4fd59b02d5218741be2eaf9f575273b101d1",
        "C2": "eb573d988a9248c3f033645e3c07aaea980268e746a2475c9ab77159ea4c2fce",
    }

    assert {v["name"]: v["checksum"] for v in VECTORS if v["name"] in published} == published
    assert {v["name"]: v["legacy"] for v in VECTORS if v["name"] in legacy} == legacy


@given(payload=st.dictionaries(PLAIN_KEYS, PLAIN_VALUES, max_size=6), key=st.text(min_size=1, max_size=20))
def test_an_independent_canonicaliser_agrees_on_any_ascii_payload(payload, key):
    key = key.encode("utf-8", "replace").decode()
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    expected = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()

    assert canonical_checksum(payload, key) == expected
    assert canonical_checksum({**payload, "checksum": expected, "checksumMethod": "canonical"}, key) == expected


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_printed_number_reads_back_as_the_same_double(double):
    assert float(js_number(Decimal(double))) == double


@given(st.integers(min_value=-(2**53), max_value=2**53), st.integers(min_value=0, max_value=5))
def test_needless_digits_are_not_printed(number, zeros):
    assert (
        js_number(Decimal(number)) == js_number(Decimal(f"{number}.{'0' * zeros}" if zeros else number)) == str(number)
    )


@pytest.mark.parametrize(
    ("number", "printed"),
    [
        ("1000.0", "1000"),
        ("15000.50", "15000.5"),
        ("0.1", "0.1"),
        ("-0", "0"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("-1.5e21", "-1.5e+21"),
        ("1e-6", "0.000001"),
        ("1e-7", "1e-7"),
        ("1.25e-9", "1.25e-9"),
        ("1e400", "null"),
    ],
)
def test_golden_numbers(number, printed):
    assert js_number(Decimal(number)) == printed


def test_a_whole_number_beyond_a_double_is_null_as_in_javascript():
    assert (js_number(10**400), js_number(-(10**400)), js_number(10**21)) == ("null", "null", "1e+21")


def test_a_float_has_no_canonical_form():
    with pytest.raises(TypeError, match="Decimal"):
        canonical_json({"amount": 1000.0})


@pytest.mark.parametrize("nested", [{}, [], {"amount": "1"}])
def test_the_legacy_method_does_not_vouch_for_what_it_leaves_unprotected(nested):
    with pytest.raises(ValueError, match="nested"):
        legacy_checksum({"event": "PAYMENT RECEIVED", "data": nested}, "k")
