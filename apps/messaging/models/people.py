"""What people want to hear, and by which way. Of people and addresses, not of tenants: nobody says stop twice."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.common.models import BaseModel
from apps.messaging.channels import Channel
from apps.messaging.kinds import MessageKind


class MessagePreference(BaseModel):
    """A person's own choice for one kind on one channel. Where there is none, they want it."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=20, choices=MessageKind.choices)
    channel = models.CharField(max_length=10, choices=Channel.choices)
    is_wanted = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "kind", "channel"], name="preference_once")]

    def __str__(self) -> str:
        return f"{self.kind} by {self.channel}"


class OptOut(BaseModel):
    """A phone or an address that has said stop, to whichever tenant: it gets nothing but what is essential.

    It outlives the account of whoever said it. When a person is erased, the address goes and a keyed digest of it
    stays, by which it is still recognised and cannot be read.
    """

    class Source(models.TextChoices):
        REPLY = "reply"  # a text that came in
        LINK = "link"  # the unsubscribe link of an e-mail
        PROVIDER = "provider"  # told by whoever delivers
        STAFF = "staff"

    channel = models.CharField(
        max_length=10, choices=[(each.value, each.label) for each in (Channel.SMS, Channel.EMAIL)]
    )
    address = models.CharField(max_length=254, blank=True, help_text="E.164, or an e-mail address in lower case.")
    digest = models.CharField(max_length=64, blank=True, help_text="In place of the address of an erased person.")
    source = models.CharField(max_length=10, choices=Source.choices)
    stopped_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True, help_text="They want messages again since then.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["channel", "address"], condition=~models.Q(address=""), name="opt_out_once_per_address"
            ),
            models.UniqueConstraint(
                fields=["channel", "digest"], condition=~models.Q(digest=""), name="opt_out_once_per_digest"
            ),
            models.CheckConstraint(
                condition=models.Q(address="") ^ models.Q(digest=""), name="opt_out_address_or_digest"
            ),
        ]

    def __str__(self) -> str:
        return self.address or self.digest[:12]
