"""Which payment gateways this installation has, from `settings.PAYMENT_GATEWAYS` (shaped like Django's STORAGES)."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string
from django.utils.translation import gettext_lazy as _

from core.exceptions import RuleViolated
from services.payments.base import PaymentGateway


class GatewayNotEnabled(RuleViolated):
    """No such payment method here."""

    code = "gateway_not_enabled"
    message = _("This payment method is not switched on.")


@lru_cache(maxsize=32)
def get_gateway(code: str) -> PaymentGateway:
    """The gateway called `code`, one instance per process; `GatewayNotEnabled` when there is none."""
    config = settings.PAYMENT_GATEWAYS.get(code)
    if config is None:
        raise GatewayNotEnabled
    gateway: PaymentGateway = import_string(config["BACKEND"])(**config["OPTIONS"])
    return gateway


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "PAYMENT_GATEWAYS":
        get_gateway.cache_clear()


setting_changed.connect(_forget)
