from __future__ import annotations

import pytest

from services.sms.numbers import look_up, operator_name


@pytest.mark.parametrize(
    ("phone", "country", "operator_prefix", "prefix"),
    [
        ("+255712345678", "TZ", "255712", "+25571234"),
        ("+254712345678", "KE", "254712", "+25471234"),
        ("+256712345678", "UG", "256712", "+25671234"),
        ("+250788123456", "RW", "250788", "+25078812"),
        ("+25779123456", "BI", "25779", "+2577912"),
    ],
)
def test_a_mobile_number_tells_its_country_operator_and_prefix(phone, country, operator_prefix, prefix):
    number = look_up(phone)

    assert number.is_mobile
    assert (number.country, number.operator_prefix, number.prefix) == (country, operator_prefix, prefix)


@pytest.mark.parametrize(
    "phone",
    [
        "+255222123456",  # fixed line, Dar es Salaam
        "+255410123456",  # VoIP
        "+255900123456",  # premium rate
        "+447056123456",  # personal number
        "+448431234567",  # shared cost
        "+447640123456",  # pager
        "+442079460018",  # fixed line
    ],
)
def test_what_no_person_carries_is_not_mobile(phone):
    assert not look_up(phone).is_mobile


@pytest.mark.parametrize("phone", ["", "+", "0712345678", "+25571234567", "+99999999999999", "+255112345678", "habari"])
def test_what_no_numbering_plan_has_is_no_number(phone):
    with pytest.raises(ValueError):  # noqa: PT011  its text is the number itself
        look_up(phone)


def test_the_longest_beginning_decides_then_the_country_then_the_rest():
    table = {"*": 1, "TZ": 2, "25571": 3, "255": 4, "2557123": 5}

    assert look_up("+255712345678").find_in(table) == 5
    assert look_up("+255713345678").find_in(table) == 3
    assert look_up("+255754000111").find_in(table) == 4
    assert look_up("+254712345678").find_in(table) == 1
    assert look_up("+255754000111").find_in({"TZ": 2, "*": 1}) == 2
    assert look_up("+255754000111").find_in({"KE": 2}) is None


def test_an_operator_has_a_name_where_one_is_known():
    assert operator_name("+255754000111") == "Vodacom"
    assert operator_name("+255222123456") == ""
    assert operator_name("habari") == ""
