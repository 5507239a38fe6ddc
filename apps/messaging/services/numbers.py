"""Which phones get texts."""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext_lazy as _

from core.exceptions import RuleViolated
from services.sms.numbers import Number, look_up


class PhoneNotSupported(RuleViolated):
    """No texts go there: no mobile number, or of a country that is not served."""

    code = "phone_not_supported"
    message = _("This phone number cannot get texts from us. Please use a mobile number of a country we serve.")


def check_phone(phone: str) -> Number:
    """What is known of a phone (E.164) that texts may go to, or `PhoneNotSupported`. Asks nobody."""
    try:
        number = look_up(phone)
    except ValueError as error:
        raise PhoneNotSupported from error
    if not number.is_mobile or number.country not in settings.SMS_COUNTRIES:
        raise PhoneNotSupported
    return number
