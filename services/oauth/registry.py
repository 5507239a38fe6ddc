"""Which sign-in providers this installation has, from `settings.OAUTH_PROVIDERS` (shaped like Django's STORAGES)."""

from __future__ import annotations

from functools import lru_cache

from django.conf import settings
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from services.oauth.base import SignInProvider, SocialProviderUnknown


@lru_cache(maxsize=32)
def get_sign_in_provider(code: str) -> SignInProvider:
    """The provider called `code`, one instance per process; `SocialProviderUnknown` when there is none."""
    config = settings.OAUTH_PROVIDERS.get(code)
    if config is None:
        raise SocialProviderUnknown
    provider: SignInProvider = import_string(config["BACKEND"])(**config["OPTIONS"])
    return provider


def list_sign_in_providers() -> list[SignInProvider]:
    """All of them, in the order of the settings."""
    return [get_sign_in_provider(code) for code in settings.OAUTH_PROVIDERS]


def _forget(*, setting: str, **_kwargs: object) -> None:
    if setting == "OAUTH_PROVIDERS":
        get_sign_in_provider.cache_clear()


setting_changed.connect(_forget)
