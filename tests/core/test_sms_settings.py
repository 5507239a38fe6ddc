"""Which SMS gateways an installation has, by the variables it sets."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from config.settings.sms_gateways import sms_gateways

VARIABLES = (
    "BEEM_API_KEY",
    "NEXTSMS_TOKEN",
    "NEXTSMS_USERNAME",
    "NEXTSMS_PASSWORD",
    "NEXTSMS_SENDER",
    "TWILIO_ACCOUNT_SID",
    "TWILIO_AUTH_TOKEN",
    "TWILIO_SENDER",
    "TWILIO_CALLBACK_TOKEN",
)
TWILIO = {"ACCOUNT_SID": "AC1", "AUTH_TOKEN": "t", "SENDER": "KITAPI", "CALLBACK_TOKEN": "c"}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("account", "kept"),
    [
        ({"TOKEN": "t"}, {"token": "t"}),
        ({"USERNAME": "u", "PASSWORD": "p"}, {"username": "u", "password": "p"}),
        ({"TOKEN": "t", "USERNAME": "u", "PASSWORD": "p"}, {"token": "t"}),
    ],
)
def test_nextsms_is_there_with_a_token_or_with_user_and_password(monkeypatch, account, kept):
    assert "nextsms" not in sms_gateways()

    for name, value in {**account, "SENDER": "KITAPI"}.items():
        monkeypatch.setenv(f"NEXTSMS_{name}", value)

    config = sms_gateways()["nextsms"]
    expected = {"base_url": "https://messaging-service.co.tz", "sender": "KITAPI", **kept}
    assert config["OPTIONS"] == expected
    assert import_string(config["BACKEND"])(**config["OPTIONS"]).code == "nextsms"


def test_a_user_of_nextsms_without_a_password_is_named(monkeypatch):
    monkeypatch.setenv("NEXTSMS_USERNAME", "u")

    with pytest.raises(ImproperlyConfigured, match="NEXTSMS_PASSWORD"):
        sms_gateways()


def test_twilio_is_there_with_its_whole_account_at_its_own_address(monkeypatch):
    assert "twilio" not in sms_gateways()

    for name, value in TWILIO.items():
        monkeypatch.setenv(f"TWILIO_{name}", value)

    config = sms_gateways()["twilio"]
    assert config["OPTIONS"]["base_url"] == "https://api.twilio.com"
    assert import_string(config["BACKEND"])(**config["OPTIONS"]).code == "twilio"


@pytest.mark.parametrize("missing", ["AUTH_TOKEN", "SENDER", "CALLBACK_TOKEN"])
def test_an_account_of_twilio_that_lacks_something_is_named(monkeypatch, missing):
    for name, value in TWILIO.items():
        if name != missing:
            monkeypatch.setenv(f"TWILIO_{name}", value)

    with pytest.raises(ImproperlyConfigured, match=f"TWILIO_{missing}"):
        sms_gateways()
