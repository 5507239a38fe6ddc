"""Secrets that follow from a row and the server's key."""

from __future__ import annotations

import math
from collections import Counter

import pytest

from core import derived
from core.derived import derive, derive_digits
from tests.figures import Figure, RecordFigure


def test_the_same_row_and_key_give_the_same_secret_and_anything_else_another(settings):
    mine = derive("code", b"row")

    assert derive("code", b"row") == mine
    assert derive("link", b"row") != mine
    assert derive("code", b"row 2") != mine
    settings.SECRET_KEY = settings.SECRET_KEY + "x"
    assert derive("code", b"row") != mine


@pytest.mark.invariant("I67")
def test_codes_are_spread_evenly(figure: Figure, record_figure: RecordFigure):
    """Chi-square over each digit, the first two and the last two. Chance passes a bound in one of a million keys."""
    amount = figure(quick=20_000, full=100_000)
    codes = [derive_digits("test", number.to_bytes(4, "big"), count=6) for number in range(amount)]

    assert {len(code) for code in codes} == {6}
    expected = 1_000_000 * (1 - math.exp(-amount / 1_000_000))
    assert abs(len(set(codes)) - expected) < 0.01 * expected
    digits = [chi_square(Counter(code[place] for code in codes), 10) for place in range(6)]
    pairs = [chi_square(Counter(code[part] for code in codes), 100) for part in (slice(0, 2), slice(4, 6))]
    assert max(digits) < 46  # 9 degrees of freedom
    assert max(pairs) < 180  # 99 degrees of freedom
    record_figure(f"{amount} codes, chi-square of digits at most {max(digits):.1f}, of pairs {max(pairs):.1f}")


def chi_square(seen: Counter[str], kinds: int) -> float:
    expected = seen.total() / kinds
    return sum((count - expected) ** 2 / expected for count in seen.values()) + (kinds - len(seen)) * expected


def test_a_draw_that_would_favour_some_numbers_is_drawn_anew(monkeypatch):
    """Of the 2**64 draws the last 551,616 would make the smallest numbers a little likelier."""
    draws = [b"\xff" * 32, (2**64 - 551_616).to_bytes(8, "big") + bytes(24), (1_000_007).to_bytes(8, "big") + bytes(24)]
    monkeypatch.setattr(derived, "derive", lambda _purpose, told: draws[int.from_bytes(told[-4:], "big")])

    assert derive_digits("test", b"row", count=6) == "000007"
