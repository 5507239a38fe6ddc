"""What a message is for. It decides how urgent it is, what it may cost, and whether somebody may do without it."""

from __future__ import annotations

from typing import Final

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class MessageKind(TextChoices):
    """`code` and `security` protect an account; `receipt` proves a payment; the rest is up to whoever reads it."""

    CODE = "code", _("Code")
    SECURITY = "security", _("Security notice")
    RECEIPT = "receipt", _("Receipt")
    SERVICE = "service", _("Service message")
    MARKETING = "marketing", _("Advertising")


# Nobody can turn these off: without them an account is lost or a payment unproven.
ESSENTIAL: Final = frozenset({MessageKind.CODE, MessageKind.SECURITY, MessageKind.RECEIPT})
