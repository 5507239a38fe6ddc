"""The log of messages: stored before they are sent."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from apps.common.models import BaseModel
from apps.messaging.kinds import MessageKind
from apps.messaging.placeholders import mask_secret
from apps.messaging.progress import MessageStatus
from core.money import Money
from core.tenancy import TenantModel

# Before the name that a client gives to a message, so that it is no name of ours.
CLIENT_KEY = "client:"


class Message(BaseModel, TenantModel):
    """One text or e-mail to one person. The columns about numbers, parts and prices are of texts."""

    class Channel(models.TextChoices):
        SMS = "sms", "SMS"
        EMAIL = "email", "E-mail"

    class Encoding(models.TextChoices):
        """How a text is written on the air; the names are those of `services.sms.encoding`."""

        GSM7 = "gsm7", "GSM 7-bit"
        UCS2 = "ucs2", "UCS-2"

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
    repeats = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        related_name="repetitions",
        help_text="What an operator sent again.",
    )
    country = models.CharField(max_length=2, blank=True, help_text="Of the number: ISO 3166, two letters.")
    operator_prefix = models.CharField(
        max_length=10, blank=True, help_text="Country code and the digits that name the operator: 255712."
    )
    encoding = models.CharField(max_length=10, choices=Encoding.choices, blank=True)
    parts = models.PositiveSmallIntegerField(default=0, help_text="Texts that it is billed as.")
    price = models.BigIntegerField(default=0, help_text="Of one sending, in the smallest unit of its currency.")
    currency = models.CharField(max_length=3, blank=True)
    counted_on = models.DateField(
        null=True, help_text="The day on which the next sending, or the last one, was counted against the budgets."
    )
    status = models.CharField(max_length=20, choices=MessageStatus.choices, default=MessageStatus.QUEUED)
    provider = models.CharField(max_length=50, blank=True)
    sender = models.CharField(max_length=50, blank=True, help_text="Sender name or number; empty: the account's own.")
    provider_reference = models.CharField(max_length=100, blank=True)
    raw_status = models.CharField(max_length=50, blank=True, help_text="The provider's own word.")
    error = models.CharField(max_length=300, blank=True, help_text="For operators only.")
    tries = models.PositiveSmallIntegerField(default=0, help_text="How often it was, or may have been, handed over.")
    polls = models.PositiveSmallIntegerField(default=0, help_text="How often its provider was asked about it.")
    expires_at = models.DateTimeField(null=True, help_text="After this it is not handed over any more.")
    first_sent_at = models.DateTimeField(null=True, help_text="When it first was, or may have been, handed over.")
    sent_at = models.DateTimeField(null=True)
    delivered_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "key", "channel"], name="message_once_per_purpose"),
            models.UniqueConstraint(fields=["tenant", "id"], name="message_in_tenant"),
        ]
        indexes = [models.Index(fields=["tenant", "-created_at", "-id"], name="message_newest")]
        permissions = [("export_message", "Can export messages")]

    def __str__(self) -> str:
        return f"{self.channel} {self.key}"

    @property
    def is_urgent(self) -> bool:
        """Whether somebody waits for it."""
        return self.kind != MessageKind.MARKETING

    @property
    def money(self) -> Money | None:
        """What one sending costs; None where nothing was counted: an e-mail, or a text that nobody wants."""
        return Money(self.price, self.currency) if self.currency else None

    @property
    def shown_encoding(self) -> str | None:
        return self.encoding or None

    @property
    def client_key(self) -> str:
        """The name that whoever asked for it over the API gave it; empty without one."""
        return self.key.removeprefix(CLIENT_KEY) if self.key.startswith(CLIENT_KEY) else ""

    @property
    def shown_text(self) -> str:
        """The text for whoever reads the log: a secret in it is masked."""
        return mask_secret(self.text) if self.secret else self.text


class MessageTry(TenantModel):
    """One handing over of a text to one provider: written before the wire is touched, completed by its answer."""

    class Outcome(models.TextChoices):
        """`open` is what a worker that died leaves behind; `unavailable` means that nothing was sent."""

        OPEN = "open"
        ACCEPTED = "accepted"
        REFUSED = "refused"
        UNAVAILABLE = "unavailable"
        UNKNOWN = "unknown"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.ForeignKey(Message, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField(help_text="The first of its message is 1.")
    provider = models.CharField(max_length=50)
    sender = models.CharField(max_length=50, blank=True, help_text="Empty: the account's own.")
    started_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=20, choices=Outcome.choices, default=Outcome.OPEN)
    reason = models.CharField(max_length=20, blank=True, help_text="Of a refusal, in our words.")
    told = models.CharField(max_length=300, blank=True, help_text="The provider's word for it. For operators only.")
    provider_reference = models.CharField(max_length=100, blank=True)

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "message", "number"], name="message_try_once")]
        indexes = [models.Index(fields=["provider", "-started_at"], name="message_try_health")]

    def __str__(self) -> str:
        return f"{self.provider} {self.outcome}"


class MessageReference(models.Model):
    """Whose room a provider's report belongs to. Not behind row-level security: reports arrive without a tenant."""

    provider = models.CharField(max_length=50)
    key = models.CharField(max_length=40)
    provider_reference = models.CharField(
        max_length=100, blank=True, help_text="The provider's name for the last text under this key."
    )
    tenant_id = models.UUIDField()
    message_id = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["provider", "key"], name="message_key_once_per_provider")]
        indexes = [
            models.Index(
                fields=["provider", "provider_reference"],
                condition=~models.Q(provider_reference=""),
                name="message_by_reference",
            )
        ]

    def __str__(self) -> str:
        return self.key


class EarlyReport(models.Model):
    """A report that names a text only as its provider does, and came before that name: kept for a day.

    Not behind row-level security: nobody knows yet whose it is.
    """

    provider = models.CharField(max_length=50)
    provider_reference = models.CharField(max_length=100)
    status = models.CharField(max_length=20, choices=MessageStatus.choices, blank=True)
    raw_status = models.CharField(max_length=50)
    detail = models.CharField(max_length=300, blank=True)
    received_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["provider", "provider_reference", "raw_status"], name="early_report_once")
        ]

    def __str__(self) -> str:
        return self.raw_status


class DeliveryReport(TenantModel):
    """One report about one message, as the provider worded it. The same report twice is one row."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    message = models.ForeignKey(Message, on_delete=models.PROTECT, related_name="reports")
    provider = models.CharField(max_length=50)
    provider_reference = models.CharField(max_length=100, blank=True)
    status = models.CharField(
        max_length=20, choices=MessageStatus.choices, blank=True, help_text="Empty: a word we do not know."
    )
    raw_status = models.CharField(max_length=50)
    detail = models.CharField(max_length=300, blank=True, help_text="The provider's reason. For operators only.")
    received_at = models.DateTimeField(default=timezone.now)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "message", "provider", "provider_reference", "raw_status"],
                name="delivery_report_once",
            )
        ]

    def __str__(self) -> str:
        return self.raw_status
