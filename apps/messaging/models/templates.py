"""Wordings that staff have published in place of the defaults. Rows are never changed: the newest one counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from django.conf import settings
from django.db import models

from apps.common.models import BaseModel
from apps.messaging.channels import Channel
from apps.messaging.wordings import Form

# The columns of each channel's subject (or title) and text.
COLUMNS: Final[Mapping[Channel, tuple[str, str]]] = {
    Channel.SMS: ("", "sms_text"),
    Channel.EMAIL: ("email_subject", "email_text"),
    Channel.INBOX: ("inbox_title", "inbox_text"),
}


class TemplateVersion(BaseModel):
    """One version of one template in one language, in all its forms. The platform's, for every tenant.

    Going back appends a row that repeats an older one, so the table tells what was in force at any time.
    """

    template = models.CharField(max_length=50, help_text="Its key in the catalogue.")
    language = models.CharField(max_length=2, choices=settings.LANGUAGES)
    number = models.PositiveIntegerField()
    sms_text = models.TextField(blank=True)
    email_subject = models.CharField(max_length=200, blank=True)
    email_text = models.TextField(blank=True)
    inbox_title = models.CharField(max_length=200, blank=True)
    inbox_text = models.TextField(blank=True)
    is_default = models.BooleanField(default=False, help_text="From here on the default of the code counts again.")
    repeats = models.PositiveIntegerField(null=True, help_text="The number of the version that was brought back.")
    note = models.CharField(max_length=200, blank=True, help_text="Why.")
    published_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")

    class Meta:
        ordering = ("-created_at", "-id")
        constraints = [models.UniqueConstraint(fields=["template", "language", "number"], name="template_version_once")]

    def __str__(self) -> str:
        return f"{self.template} {self.language} {self.number}"

    def form(self, channel: Channel) -> Form:
        """The wording for one channel; empty where the template had none when this was published."""
        subject, text = COLUMNS[channel]
        return Form(subject=getattr(self, subject) if subject else "", text=getattr(self, text))
