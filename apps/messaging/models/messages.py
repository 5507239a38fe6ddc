"""The log of messages: stored before they are sent."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from apps.common.models import BaseModel
from apps.messaging.kinds import MessageKind
from apps.messaging.placeholders import mask_secret
from apps.messaging.progress import MessageStatus
from core.tenancy import TenantModel


class Message(BaseModel, TenantModel):
    """One text or e-mail to one person."""

    class Channel(models.TextChoices):
        SMS = "sms", "SMS"
        EMAIL = "email", "E-mail"

    channel = models.CharField(max_length=10, choices=Channel.choices)
    kind = models.CharField(max_length=20, choices=MessageKind.choices, default=MessageKind.SERVICE)
    to = models.CharField(max_length=254)
    subject = models.CharField(max_length=200, blank=True)
    text = models.TextField(help_text="With a placeholder where a secret is put in while it is being sent.")
    secret = models.CharField(
        max_length=100,
        blank=True,
        help_text="Who knows what the placeholder stands for: kind:reference. Never it itself.",
    )
    is_repeatable = models.BooleanField(
        default=True, help_text="Whether it may be sent once more when nobody knows whether it was taken."
    )
    key = models.CharField(max_length=100, help_text="What the message is for; one message per purpose and channel.")
    status = models.CharField(max_length=20, choices=MessageStatus.choices, default=MessageStatus.QUEUED)
    provider = models.CharField(max_length=50, blank=True)
    provider_reference = models.CharField(max_length=100, blank=True)
    raw_status = models.CharField(max_length=50, blank=True, help_text="The provider's own word.")
    error = models.CharField(max_length=300, blank=True, help_text="For operators only.")
    tries = models.PositiveSmallIntegerField(default=0)
    sent_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "key", "channel"], name="message_once_per_purpose"),
            models.UniqueConstraint(fields=["tenant", "id"], name="message_in_tenant"),
        ]
        indexes = [models.Index(fields=["tenant", "-created_at", "-id"], name="message_newest")]

    def __str__(self) -> str:
        return f"{self.channel} {self.key}"

    @property
    def shown_text(self) -> str:
        """The text for whoever reads the log: a secret in it is masked."""
        return mask_secret(self.text) if self.secret else self.text


class MessageReference(models.Model):
    """Whose room a provider's report belongs to. Not behind row-level security: reports arrive without a tenant."""

    provider = models.CharField(max_length=50)
    key = models.CharField(max_length=40)
    tenant_id = models.UUIDField()
    message_id = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "key"], name="message_key_once_per_provider")]

    def __str__(self) -> str:
        return self.key


class DeliveryReport(TenantModel):
    """One report about one message, as the provider worded it. The same report twice is one row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.ForeignKey(Message, on_delete=models.PROTECT, related_name="reports")
    provider_reference = models.CharField(max_length=100)
    raw_status = models.CharField(max_length=50)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "message", "provider_reference", "raw_status"], name="delivery_report_once"
            )
        ]

    def __str__(self) -> str:
        return self.raw_status
