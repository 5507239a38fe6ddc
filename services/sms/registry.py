"""Which SMS gateways this installation has, from `settings.SMS_GATEWAYS`, and the one it sends through."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from core.exceptions import NotFound
from services.sms.base import SmsGateway


@lru_cache(maxsize=32)
def get_sms_gateway(code: str) -> SmsGateway:
    """The gateway called `code`, one instance per process; `NotFound` when there is none."""
    config = settings.SMS_GATEWAYS.get(code)
    if config is None:
        raise NotFound
    gateway: SmsGateway = import_string(config["BACKEND"])(**config["OPTIONS"])
    return gateway


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "SMS_GATEWAYS":
        get_sms_gateway.cache_clear()


setting_changed.connect(_forget)
