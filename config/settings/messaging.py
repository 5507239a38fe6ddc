"""What texts may cost, where they may go and by whom, from the environment."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.exceptions import ImproperlyConfigured

from config.settings.environment import env
from core.money import EXPONENTS

# Per part, in the smallest unit of TZS: unconfirmed, and meant to be above what providers ask, so that a budget errs on
# the safe side. Whoever knows their contract sets SMS_PRICES.
DEFAULT_PRICES = {"TZ": 3_000, "KE": 20_000, "UG": 25_000, "RW": 25_000, "BI": 50_000, "*": 50_000}


def currency() -> str:
    """The one currency of all prices and budgets of texts."""
    found = str(env.str("SMS_CURRENCY", default="TZS"))
    if found not in EXPONENTS:
        raise ImproperlyConfigured(f"SMS_CURRENCY is one of {', '.join(EXPONENTS)}.")
    return found


def countries(name: str, told: Sequence[str]) -> list[str]:
    """`TZ,KE`: ISO 3166, two capital letters each."""
    for each in told:
        if not (len(each) == 2 and each.isascii() and each.isalpha() and each.isupper()):
            raise ImproperlyConfigured(f"{name} is a list like TZ,KE; {each!r} is no part of one.")
    return list(told)


def amounts(name: str, told: Sequence[str]) -> dict[str, int]:
    """`TZ=3000,25571=2500,*=50000`: whole numbers, by country or by the first digits of a number."""
    found = {}
    for each in told:
        place, _equals, amount = each.strip().partition("=")
        if not (_is_place(place) and amount.isascii() and amount.isdigit()):
            raise ImproperlyConfigured(f"{name} is a list like TZ=3000,25571=2500,*=50000; {each!r} is no part of one.")
        found[place] = int(amount)
    return found


def prices(currency: str) -> dict[str, int]:
    """SMS_PRICES; the defaults are shillings, so another currency needs prices of its own."""
    found = amounts("SMS_PRICES", env.list("SMS_PRICES", default=[]))
    if found and "*" not in found:
        found["*"] = max(found.values())  # what is not named costs as much as the dearest that is
    if not found and currency != "TZS":
        raise ImproperlyConfigured(f"SMS_PRICES is needed with SMS_CURRENCY={currency}.")
    return found or dict(DEFAULT_PRICES)


def routes(name: str, told: Sequence[str]) -> dict[str, list[str]]:
    """`TZ=beem|nextsms,25571=nextsms,*=twilio`: names in order, by country or by the first digits of a number."""
    found = {}
    for each in told:
        place, _equals, names = each.strip().partition("=")
        order = [word.strip() for word in names.split("|") if word.strip()]
        if not (_is_place(place) and order):
            raise ImproperlyConfigured(f"{name} is a list like TZ=beem|nextsms,*=twilio; {each!r} is no part of one.")
        found[place] = order
    return found


def senders(told: Sequence[str]) -> dict[str, dict[str, list[str]]]:
    """`beem/TZ=FARAJA|INFO,twilio/*=+12025550123`: by provider, then as `routes`."""
    found: dict[str, dict[str, list[str]]] = {}
    for each in told:
        provider, slash, rest = each.strip().partition("/")
        if not (provider and slash):
            raise ImproperlyConfigured(f"SMS_SENDERS is a list like beem/TZ=FARAJA|INFO; {each!r} is no part of one.")
        found.setdefault(provider, {}).update(routes("SMS_SENDERS", [rest]))
    return found


def _is_place(text: str) -> bool:
    is_country = len(text) == 2 and text.isascii() and text.isalpha() and text.isupper()
    return text == "*" or is_country or (text.isascii() and text.isdigit())
