"""Prices, routes and countries as the environment spells them: what is misspelt is refused when Faraja starts."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.settings import messaging


def test_amounts_are_by_country_by_first_digits_or_for_all():
    assert messaging.amounts("X", ["TZ=3000", " 25571=2500", "*=50000"]) == {"TZ": 3000, "25571": 2500, "*": 50000}


@pytest.mark.parametrize("told", ["TZ", "TZ=", "TZ=-1", "TZ=1.5", "tz=1", "TZA=1", "=1", "2557x=1", "TZ=\u0663"])
def test_a_misspelt_amount_is_refused(told):
    with pytest.raises(ImproperlyConfigured):
        messaging.amounts("X", [told])


def test_what_is_not_priced_costs_as_much_as_the_dearest(monkeypatch):
    monkeypatch.setenv("SMS_PRICES", "TZ=3000,KE=9000")

    assert messaging.prices("TZS") == {"TZ": 3000, "KE": 9000, "*": 9000}


def test_another_currency_needs_prices_of_its_own(monkeypatch):
    monkeypatch.delenv("SMS_PRICES", raising=False)
    assert messaging.prices("TZS") == messaging.DEFAULT_PRICES

    with pytest.raises(ImproperlyConfigured):
        messaging.prices("USD")


def test_a_currency_is_one_that_the_kit_counts(monkeypatch):
    monkeypatch.setenv("SMS_CURRENCY", "EUR")

    with pytest.raises(ImproperlyConfigured):
        messaging.currency()


def test_routes_and_senders_keep_their_order():
    assert messaging.routes("X", ["TZ=beem|nextsms", "25578=nextsms"]) == {
        "TZ": ["beem", "nextsms"],
        "25578": ["nextsms"],
    }
    assert messaging.senders(["beem/TZ=FARAJA|INFO", "beem/*=INFO", "twilio/*=+12025550123"]) == {
        "beem": {"TZ": ["FARAJA", "INFO"], "*": ["INFO"]},
        "twilio": {"*": ["+12025550123"]},
    }


@pytest.mark.parametrize("told", ["TZ", "TZ=", "TZ=|", "Tanzania=beem"])
def test_a_misspelt_route_is_refused(told):
    with pytest.raises(ImproperlyConfigured):
        messaging.routes("X", [told])


@pytest.mark.parametrize("told", ["beem", "beem/", "/TZ=A", "beem=A"])
def test_a_misspelt_sender_is_refused(told):
    with pytest.raises(ImproperlyConfigured):
        messaging.senders([told])


@pytest.mark.parametrize("told", ["tz", "TZA", "*", ""])
def test_a_misspelt_country_is_refused(told):
    with pytest.raises(ImproperlyConfigured):
        messaging.countries("SMS_COUNTRIES", [told])
