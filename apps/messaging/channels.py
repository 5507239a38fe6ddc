"""By which way something reaches a person."""

from __future__ import annotations

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Channel(TextChoices):
    """`inbox` is what an application shows to somebody who is signed in; nothing is sent for it."""

    SMS = "sms", _("SMS")
    EMAIL = "email", _("E-mail")
    INBOX = "inbox", _("In the app")
