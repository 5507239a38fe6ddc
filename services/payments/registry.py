"""Which payment gateways this installation has, from `settings.PAYMENT_GATEWAYS`.

Each entry names the adapter (`BACKEND`), where the provider is (`OPTIONS`) and the installation's own account there
(`CREDENTIALS`; None where only tenants bring accounts of their own).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

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


def gateway_codes() -> list[str]:
    """The gateways that this installation knows, in the order of the settings."""
    return list(settings.PAYMENT_GATEWAYS)


def gateway_class(code: str) -> type[PaymentGateway]:
    """The adapter called `code`, for what it declares; `GatewayNotEnabled` when there is none."""
    found: type[PaymentGateway] = import_string(_config(code)["BACKEND"])
    return found


def has_own_account(code: str) -> bool:
    """Whether the installation itself has an account at this gateway."""
    return _config(code)["CREDENTIALS"] is not None


def get_gateway(code: str) -> PaymentGateway:
    """The gateway called `code` with the installation's own account, one instance per process.

    `GatewayNotEnabled` when there is no such gateway, or no such account.
    """
    credentials = _config(code)["CREDENTIALS"]
    if credentials is None:
        raise GatewayNotEnabled
    return build_gateway(code, credentials)


def build_gateway(code: str, credentials: Mapping[str, str]) -> PaymentGateway:
    """The gateway called `code` with these credentials. Equal credentials share one instance: tokens and connections.

    Raises `GatewayNotEnabled`, or `ImproperlyConfigured` for credentials that cannot be used.
    """
    _config(code)
    return _build(code, json.dumps(dict(credentials), sort_keys=True))


# As many as an installation has tenants with accounts of their own, within reason: each holds connections.
@lru_cache(maxsize=256)
def _build(code: str, credentials: str) -> PaymentGateway:
    gateway: PaymentGateway = gateway_class(code)(**_config(code)["OPTIONS"], **json.loads(credentials))
    return gateway


def _config(code: str) -> Mapping[str, Any]:
    config: Mapping[str, Any] | None = settings.PAYMENT_GATEWAYS.get(code)
    if config is None:
        raise GatewayNotEnabled
    return config


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "PAYMENT_GATEWAYS":
        _build.cache_clear()


setting_changed.connect(_forget)
