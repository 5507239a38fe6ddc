"""Beem's account from the environment: what switches it on, and what payouts need beside it."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils.module_loading import import_string

from config.settings.payment_gateways import payment_gateways
from core.boot import weaknesses
from services.payments.base import Capability, Trust
from tests.core.test_boot import STRONG, TOKEN

LIVE = {
    "BEEM_PAY_API_KEY": "key",
    "BEEM_PAY_SECRET_KEY": "secret",
    "BEEM_PAY_SECURE_TOKEN": TOKEN,
    "BEEM_PAY_REFERENCE_PREFIX": "SHOP",
    "BEEM_PAY_CALLBACK_TOKEN": TOKEN,
}


@pytest.fixture
def configured(monkeypatch):
    """The entry of Beem with these variables in the environment, in production."""

    def configure(**variables: str) -> dict[str, Any]:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        entry: dict[str, Any] = payment_gateways()["beem_pay"]
        return entry

    return configure


def gateway_of(entry: dict[str, Any]) -> Any:
    return import_string(entry["BACKEND"])(**entry["OPTIONS"], **entry["CREDENTIALS"])


def weaknesses_of(entry: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("EMAIL_URL", "smtp://mail.example.org:25")
    return list(weaknesses({**STRONG, "PAYMENT_GATEWAYS": {"beem_pay": entry}}))


def test_without_an_api_key_the_installation_has_no_account(configured):
    assert configured()["CREDENTIALS"] is None


def test_an_account_without_codes_of_networks_pays_nothing_out(configured, monkeypatch):
    entry = configured(**LIVE)

    gateway = gateway_of(entry)

    assert Capability.PAYOUT_PHONE not in gateway.capabilities
    assert gateway.trust is Trust.TOKEN
    assert weaknesses_of(entry, monkeypatch) == []


def test_an_account_with_codes_pays_out(configured, monkeypatch):
    codes = {"BEEM_PAY_WALLET_CODES": "25574=ABC12345,25565=ABC12346", "BEEM_PAY_ACCOUNT_NO": "f09dc0d3"}
    entry = configured(**LIVE, **codes)

    gateway = gateway_of(entry)

    assert Capability.PAYOUT_PHONE in gateway.capabilities
    assert entry["OPTIONS"]["wallet_codes"] == {"25574": "ABC12345", "25565": "ABC12346"}
    assert weaknesses_of(entry, monkeypatch) == []


def test_production_does_not_start_without_the_secret_of_the_tokens(configured, monkeypatch):
    without = {name: value for name, value in LIVE.items() if name != "BEEM_PAY_SECURE_TOKEN"}

    assert weaknesses_of(configured(**without), monkeypatch) == ["BEEM_PAY_SECURE_TOKEN is empty."]
    assert weaknesses_of(configured(**without, BEEM_PAY_TOKEN_MODE="off"), monkeypatch) == []
    assert gateway_of(configured(**without)).trust is Trust.HINT


def test_the_simulators_account_needs_no_variable():
    entry = payment_gateways("http://127.0.0.1:8001")["beem_pay"]

    assert {"checkout", "balance", "payout_phone"} <= gateway_of(entry).capabilities
