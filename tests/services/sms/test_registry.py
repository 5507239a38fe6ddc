from __future__ import annotations

import pytest
from django.conf import settings as configured

from core.exceptions import NotFound
from services.sms.registry import get_sms_gateway


@pytest.mark.parametrize("code", sorted(configured.SMS_GATEWAYS))
def test_each_gateway_in_the_settings_is_made_once(code):
    assert get_sms_gateway(code).code == code
    assert get_sms_gateway(code) is get_sms_gateway(code)


def test_a_gateway_that_is_not_in_the_settings_is_refused(settings):
    code = next(iter(configured.SMS_GATEWAYS))
    assert get_sms_gateway(code)

    settings.SMS_GATEWAYS = {}

    with pytest.raises(NotFound):
        get_sms_gateway(code)
