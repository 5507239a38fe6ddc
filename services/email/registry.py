"""Which e-mail providers this installation has, from `settings.EMAIL_PROVIDERS`, and the one it sends through."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from core.exceptions import NotFound
from services.email.base import EmailGateway


@lru_cache(maxsize=32)
def get_email_gateway(code: str) -> EmailGateway:
    """The provider called `code`, one instance per process; `NotFound` when there is none."""
    config = settings.EMAIL_PROVIDERS.get(code)
    if config is None:
        raise NotFound
    gateway: EmailGateway = import_string(config["BACKEND"])(**config["OPTIONS"])
    return gateway


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "EMAIL_PROVIDERS":
        get_email_gateway.cache_clear()


setting_changed.connect(_forget)
