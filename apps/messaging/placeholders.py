"""Secrets in messages: put in while a message is being sent, and kept nowhere.

A message with a secret is stored with a placeholder and a reference. Whoever made the secret finds it again by the
reference (`config/message_secrets.py` says who that is), so messaging knows neither codes nor invitations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django.conf import settings
from django.utils.module_loading import import_string

Finders = Mapping[str, Callable[[str], str | None]]

PLACEHOLDER = "{secret}"
MASK = "******"


def finders() -> Finders:
    """The wiring: kind of secret to the function that finds one by its reference."""
    found: Finders = import_string(settings.MESSAGE_SECRETS)
    return found


def check_secret(secret: str) -> None:
    """Refuse with `KeyError` a reference that nobody could follow: the message would never go out."""
    finders()[secret.partition(":")[0]]


def find_secret(secret: str) -> str | None:
    """What `kind:reference` stands for, or None when it is no longer good."""
    kind, _colon, reference = secret.partition(":")
    return finders()[kind](reference)


def put_in_secret(text: str, found: str) -> str:
    """The text as it goes over the wire."""
    return text.replace(PLACEHOLDER, found)


def mask_secret(text: str) -> str:
    """The text as it may be shown."""
    return text.replace(PLACEHOLDER, MASK)
