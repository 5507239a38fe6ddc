from __future__ import annotations

import pytest
from django.conf import settings as configured

from services.payments.registry import GatewayNotEnabled, get_gateway


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
