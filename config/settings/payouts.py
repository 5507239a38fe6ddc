"""Limits on money that goes out, from the environment."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env
from core.money import EXPONENTS

SHARED_PAYOUTS = ("earned", "never", "free")


def limits_by_currency(name: str, told: Sequence[str]) -> dict[str, int]:
    """`TZS=500000000,USD=100000`: smallest units, by currency. A misspelt one would be no limit, and is refused."""
    found: dict[str, int] = {}
    for each in told:
        currency, _equals, amount = each.strip().partition("=")
        if currency not in EXPONENTS or not (amount.isascii() and amount.isdigit()):
            raise ImproperlyConfigured(f"{name} is a list like TZS=500000000,USD=100000; {each!r} is no part of one.")
        found[currency] = int(amount)
    return found


def shared_payouts(*, default: str) -> str:
    """Who may pay out through the installation's accounts."""
    found = str(env.str("PAYOUTS_FROM_SHARED_ACCOUNT", default=default))
    if found not in SHARED_PAYOUTS:
        raise ImproperlyConfigured(f"PAYOUTS_FROM_SHARED_ACCOUNT is one of {', '.join(SHARED_PAYOUTS)}.")
    return found
