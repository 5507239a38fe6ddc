from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.money import EXPONENTS, Money
from services.payments.answers import balance_of, page_link, text_of


@pytest.mark.parametrize(
    "link",
    ["https://checkout.clickpesa.com/x?y=1#z", "http://127.0.0.1:8001/beem/page", "https://[::1]/x", "HTTPS://A.B/"],
)
def test_the_address_of_a_page_is_taken_as_it_stands(link):
    assert page_link(link) == link


@pytest.mark.parametrize(
    "link",
    [
        None,
        5,
        ["https://x.y/"],
        "",
        "/page",
        "//x.y/page",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://x.y/",
        "https://",
        "https:///page",
        "https://user@x.y/",
        "https://user:secret@x.y/",
        "https://x.y/a b",
        "https://x.y\\@z.example/",
        "https://x.y/\n",
        "https://x.y/é",
        "https://[::1/",
        "https://x.y/" + "a" * 2000,
    ],
)
def test_what_is_no_page_is_nothing(link):
    assert page_link(link) == ""


@given(st.text(max_size=40) | st.text(max_size=40).map(lambda text: "https://" + text) | st.none() | st.integers())
def test_no_address_raises(value):
    assert page_link(value) in ("", value)


@pytest.mark.parametrize(
    ("units", "currency", "money"),
    [
        ("708.0357", "TZS", Money(70_803, "TZS")),
        (Decimal("708.0399"), "TZS", Money(70_803, "TZS")),
        (Decimal("-0.999"), "USD", Money(-99, "USD")),
        (12345, "TZS", Money(1_234_500, "TZS")),
        ("5300.0000", "TZS", Money(530_000, "TZS")),
        (Decimal("10.9"), "UGX", Money(10, "UGX")),
        ("1_000", "TZS", None),
        ("1,000", "TZS", None),
        ("nan", "TZS", None),
        (Decimal("Infinity"), "TZS", None),
        (Decimal("1e30"), "TZS", None),
        ("", "TZS", None),
        (None, "TZS", None),
        (True, "TZS", None),
        ([1], "TZS", None),
        (1, "EUR", None),
        (1, None, None),
        (1, ["TZS"], None),
        ("1", ["TZS"], None),
    ],
)
def test_a_balance_is_cut_to_what_can_be_paid_or_is_nothing(units, currency, money):
    assert balance_of(units, currency) == money


@given(st.decimals(allow_nan=True, allow_infinity=True), st.sampled_from(sorted(EXPONENTS)))
def test_a_balance_is_never_more_than_the_provider_says(units, currency):
    money = balance_of(units, currency)

    if money is not None:
        assert abs(money.decimal) <= abs(units) < abs(money.decimal) + Decimal(1).scaleb(-EXPONENTS[currency])


@pytest.mark.parametrize(("value", "text"), [("a", "a"), (5, "5"), (True, ""), (None, ""), ([], ""), (Decimal(5), "")])
def test_only_text_and_whole_numbers_are_text(value, text):
    assert text_of(value) == text
