"""What the tenant wants (Payment), one try (Attempt), one piece of news (Observation), and the story (PaymentEvent)."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.common.models import BaseModel
from apps.payments.derivation import AttemptStatus, PaymentStatus
from core.money import Money
from core.tenancy import TenantModel


class Payment(BaseModel, TenantModel):
    """A wish to be paid. `status` is derived from the attempts and never set by hand."""

    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    amount = models.BigIntegerField(help_text="In the smallest unit.")
    currency = models.CharField(max_length=3)
    phone = models.CharField(max_length=16)
    gateway = models.CharField(max_length=50)
    description = models.CharField(max_length=200, blank=True)
    client_reference = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=20, choices=PaymentStatus.choices, default=PaymentStatus.CREATED)
    applied_attempt = models.OneToOneField("Attempt", on_delete=models.PROTECT, null=True, related_name="+")
    captured = models.BigIntegerField(default=0, help_text="In the smallest unit.")
    anomalies = models.JSONField(default=list)
    is_late_settlement = models.BooleanField(default=False, help_text="The money came after we had given up.")
    version = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="payment_amount_positive"),
            models.CheckConstraint(condition=models.Q(captured__gte=0), name="payment_captured_not_negative"),
            models.UniqueConstraint(
                fields=["tenant", "client_reference"],
                condition=~models.Q(client_reference=""),
                name="payment_client_reference_once",
            ),
            models.UniqueConstraint(fields=["tenant", "id"], name="payment_in_tenant"),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="payment_newest"),
            models.Index(fields=["tenant", "status", "-created_at", "-id"], name="payment_newest_by_status"),
        ]

    def __str__(self) -> str:
        return f"{self.money.display} ({self.status})"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def captured_money(self) -> Money:
        return Money(self.captured, self.currency)


class Attempt(BaseModel, TenantModel):
    """One try at one gateway under one reference of ours."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    gateway = models.CharField(max_length=50)
    reference = models.CharField(max_length=20)
    provider_reference = models.CharField(max_length=100, blank=True)
    own_mark = models.CharField(max_length=20, choices=AttemptStatus.choices, default=AttemptStatus.QUEUED)
    status = models.CharField(max_length=20, choices=AttemptStatus.choices, default=AttemptStatus.QUEUED)
    submitted_at = models.DateTimeField(null=True)
    polls = models.PositiveIntegerField(default=0)
    next_poll_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "payment", "number"], name="attempt_number_once"),
            models.UniqueConstraint(fields=["tenant", "gateway", "reference"], name="attempt_reference_once"),
            models.UniqueConstraint(fields=["tenant", "id"], name="attempt_in_tenant"),
        ]

    def __str__(self) -> str:
        return f"{self.gateway} {self.reference}"


class AttemptReference(models.Model):
    """Whose room a gateway's news belongs to. Not behind row-level security: callbacks arrive without a tenant."""

    gateway = models.CharField(max_length=50)
    reference = models.CharField(max_length=20)
    tenant_id = models.UUIDField()
    attempt_id = models.UUIDField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["gateway", "reference"], name="reference_once_per_gateway")]

    def __str__(self) -> str:
        return self.reference


class Observation(TenantModel):
    """One piece of news about an attempt. Never changed; the same news twice is one row."""

    class Source(models.TextChoices):
        REPLY = "reply"
        WEBHOOK = "webhook"
        POLL = "poll"
        SYSTEM = "system"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, related_name="observations")
    source = models.CharField(max_length=10, choices=Source.choices)
    status = models.CharField(max_length=20, choices=AttemptStatus.choices)
    amount = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    provider_reference = models.CharField(max_length=100, blank=True)
    reason = models.CharField(max_length=300, blank=True, help_text="The gateway's words; for operators only.")
    fingerprint = models.CharField(max_length=64)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "attempt", "fingerprint"], name="observation_once")]

    def __str__(self) -> str:
        return f"{self.source}: {self.status}"

    @property
    def money(self) -> Money | None:
        return None if self.amount is None else Money(self.amount, self.currency)


class PaymentEvent(TenantModel):
    """One line of a payment's history. Gapless (`seq` is the payment's version), chained by hashes, append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="events")
    seq = models.PositiveIntegerField()
    kind = models.CharField(max_length=50)
    from_status = models.CharField(max_length=20, blank=True)
    to_status = models.CharField(max_length=20)
    cause = models.CharField(max_length=100, blank=True, help_text="The observation or use case behind it.")
    actor = models.CharField(max_length=100, help_text="A person's id, or `system`.")
    at = models.DateTimeField(default=timezone.now)
    data = models.JSONField(default=dict)
    previous_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta(TenantModel.Meta):
        constraints = [models.UniqueConstraint(fields=["tenant", "payment", "seq"], name="payment_event_seq_once")]

    def __str__(self) -> str:
        return f"{self.seq}. {self.kind}"


class InboxDelivery(models.Model):
    """One callback, stored before it was acknowledged. The same news again only raises `seen`.

    Not behind row-level security: whose it is becomes known when it is processed.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    gateway = models.CharField(max_length=50)
    event_key = models.CharField(max_length=64)
    body = models.BinaryField()
    headers = models.JSONField(default=dict)
    received_at = models.DateTimeField(default=timezone.now)
    seen = models.PositiveIntegerField(default=1)
    processed_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=50, blank=True)

    class Meta:
        verbose_name_plural = "inbox deliveries"
        constraints = [models.UniqueConstraint(fields=["gateway", "event_key"], name="inbox_once")]

    def __str__(self) -> str:
        return f"{self.gateway} {self.received_at:%Y-%m-%d %H:%M:%S}"
