from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from core.money import EXPONENTS, LARGEST, AmountNotRepresentable, Money

CURRENCIES = st.sampled_from(sorted(EXPONENTS))
AMOUNTS = st.integers(min_value=-LARGEST, max_value=LARGEST)


@given(amount=AMOUNTS, currency=CURRENCIES)
@example(amount=LARGEST, currency="TZS")
def test_units_and_money_agree_both_ways(amount, currency):
    money = Money(amount, currency)

    assert Money.from_units(money.decimal, currency) == money
    assert Money.from_units(str(money.decimal), currency) == money
    assert Money.from_units(money.to_units(places=EXPONENTS[currency]), currency) == money


@given(amount=AMOUNTS, currency=CURRENCIES, places=st.integers(min_value=0, max_value=4))
def test_units_are_exact_or_refused(amount, currency, places):
    money = Money(amount, currency)
    is_exact = (Fraction(amount, 10 ** EXPONENTS[currency]) * 10**places).denominator == 1

    if is_exact:
        units = money.to_units(places=places)
        assert Fraction(units) == Fraction(amount, 10 ** EXPONENTS[currency])
        assert units.as_tuple().exponent == -places
    else:
        with pytest.raises(AmountNotRepresentable):
            money.to_units(places=places)


@given(units=st.decimals(), currency=CURRENCIES)
@example(units=Decimal("12345678901234567890123456789.01"), currency="TZS")
@example(units=Decimal("1e999999"), currency="TZS")
@example(units=Decimal("1e-999999"), currency="TZS")
@example(units=Decimal("sNaN"), currency="TZS")
def test_any_decimal_is_read_exactly_or_refused(units, currency):
    try:
        money = Money.from_units(units, currency)
    except ValueError:
        return

    assert Fraction(units) == Fraction(money.amount, 10 ** EXPONENTS[currency])


@given(units=st.text(max_size=40), currency=CURRENCIES)
def test_any_text_is_read_or_refused_with_value_error(units, currency):
    try:
        money = Money.from_units(units, currency)
    except ValueError:
        return

    assert Fraction(units) == Fraction(money.amount, 10 ** EXPONENTS[currency])


@given(st.floats())
def test_a_float_is_never_money(number):
    with pytest.raises(ValueError, match="Decimal"):
        Money.from_units(number, "TZS")
    with pytest.raises(TypeError):
        Money(number, "TZS")


@pytest.mark.parametrize(
    "units",
    [
        "",
        " 1",
        "1 ",
        "1_000",
        "1,000",
        "١٢",
        "Infinity",
        "NaN",
        "1e3",
        "+1",
        ".5",
        "5.",
        "--1",
        True,
        None,
        [0, [1], 0],
    ],
)
def test_only_plain_amounts_are_amounts(units):
    with pytest.raises(ValueError, match=r"amount|Decimal"):
        Money.from_units(units, "TZS")


@pytest.mark.parametrize("currency", ["", "tzs", "EUR", None, [], {}])
def test_an_unknown_currency_is_refused(currency):
    with pytest.raises(ValueError, match="Unknown currency"):
        Money.from_units("1", currency)


@pytest.mark.parametrize(
    ("units", "currency", "amount"),
    [
        ("15000", "TZS", 1_500_000),
        (15000, "TZS", 1_500_000),
        (Decimal("15000.0"), "TZS", 1_500_000),
        ("15000.50", "TZS", 1_500_050),
        ("0", "USD", 0),
        ("-0.01", "USD", -1),
        ("500", "UGX", 500),
        ("500.00", "UGX", 500),
        ("92233720368547758.07", "TZS", LARGEST),
    ],
)
def test_golden_amounts(units, currency, amount):
    assert Money.from_units(units, currency) == Money(amount, currency)


@pytest.mark.parametrize(("units", "currency"), [("0.005", "USD"), ("0.5", "UGX"), ("92233720368547758.08", "TZS")])
def test_an_amount_that_would_lose_something_is_refused(units, currency):
    with pytest.raises(ValueError, match=r"exact|64 bits"):
        Money.from_units(units, currency)


@pytest.mark.parametrize("amount", [True, 1.0, "1", None, Decimal(1), math.inf])
def test_money_counts_with_ints_only(amount):
    with pytest.raises(TypeError):
        Money(amount, "TZS")


def test_an_amount_beyond_a_database_column_is_refused():
    with pytest.raises(ValueError, match="64 bits"):
        Money(LARGEST + 1, "TZS")


@pytest.mark.parametrize(
    ("money", "display"),
    [
        (Money(500_000, "TZS"), "TZS 5,000"),
        (Money(1_250, "USD"), "USD 12.50"),
        (Money(500, "UGX"), "UGX 500"),
        (Money(-5, "USD"), "USD -0.05"),
    ],
)
def test_people_read_amounts_in_major_units(money, display):
    assert money.display == display
