from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.reading import read_json, recordable, storable


def test_json_numbers_are_exact():
    body = read_json(b'{"a": 1000.10, "b": 1, "c": 1e2, "d": 0.1}')

    assert body == {"a": Decimal("1000.10"), "b": 1, "c": Decimal("1e2"), "d": Decimal("0.1")}
    assert not any(isinstance(value, float) for value in body.values())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'"\xed\xa0\x80"',
        b"NaN",
        b'{"a": Infinity}',
        b"1" * 5000,
        b"1e99999999999999999999",
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"[" * 34 + b"]" * 34,
        b'{"a":' * 40 + b"1" + b"}" * 40,
    ],
    ids=lambda body: body[:12].decode("latin-1") + f"-{len(body)}",
)
def test_what_is_not_usable_json_reads_as_nothing(body):
    assert read_json(body) is None


@given(st.binary(max_size=200))
def test_reading_any_bytes_never_raises(body):
    read_json(body)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_a_record_of_any_json_can_be_stored(value):
    printed = json.dumps(recordable(value), ensure_ascii=False)

    assert "\\u0000" not in printed
    printed.encode("utf-8")


def test_a_record_keeps_digits_and_drops_what_databases_refuse():
    body = read_json(b'{"a\\u0000": [1.10, "x\\u0000\\ud800"], "b": true, "c": null}')

    assert recordable(body) == {"a\ufffd": ["1.10", "x\ufffd\ufffd"], "b": True, "c": None}


@given(st.text(alphabet=st.characters(exclude_categories=())))
def test_stored_text_has_neither_nul_nor_lone_surrogates(text):
    stored = storable(text, limit=5)

    assert len(stored) <= 5
    assert "\0" not in stored
    stored.encode("utf-8")
