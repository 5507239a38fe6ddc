from __future__ import annotations

import pytest
from django.conf import settings as configured

from services.payments.registry import GatewayNotEnabled, gateway_class, get_gateway


@pytest.mark.parametrize("code", sorted(configured.PAYMENT_GATEWAYS))
def test_each_gateway_in_the_settings_is_made_once(code):
    assert get_gateway(code).code == code
    assert get_gateway(code) is get_gateway(code)


def test_a_gateway_that_is_not_in_the_settings_is_refused(settings):
    code = next(iter(configured.PAYMENT_GATEWAYS))
    assert get_gateway(code)

    settings.PAYMENT_GATEWAYS = {}

    with pytest.raises(GatewayNotEnabled):
        get_gateway(code)


@pytest.mark.parametrize("code", sorted(configured.PAYMENT_GATEWAYS))
def test_production_misses_exactly_what_an_adapter_cannot_do_without(code):
    """`OPTIONAL` in the settings is what `core.boot` lets be empty: an adapter's secrets must not be among that."""
    adapter, config = gateway_class(code), configured.PAYMENT_GATEWAYS[code]

    names = {each.name for each in adapter.credentials}
    needed = {each.name for each in adapter.credentials if each.is_required}
    assert set(config["CREDENTIALS"]) == names
    assert not needed & set(config.get("OPTIONAL", ()))
    assert not names & set(config["OPTIONS"])
