"""Django's way to the provider that this installation sends through: what `EmailMessage.send()` uses."""

from __future__ import annotations

from django.conf import settings
from django.core.mail.backends.base import BaseEmailBackend

from services.email.registry import get_email_gateway


def EmailBackend(**_options: object) -> BaseEmailBackend:
    """A connection to the provider called `settings.EMAIL_PROVIDER`. Not for `smtp`, which has a backend of its own."""
    return get_email_gateway(settings.EMAIL_PROVIDER).connect()
