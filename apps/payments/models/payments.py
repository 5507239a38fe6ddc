"""What the tenant wants (Payment), one try (Attempt), one piece of news (Observation), and the story (PaymentEvent)."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.utils import timezone

from apps.common.models import BaseModel
from apps.payments.derivation import AttemptStatus, FailureCode, PaymentStatus, ReviewDecision
from core.money import Money
from core.tenancy import TenantModel

# While a payment is like this, a customer who pays does what is wanted.
PAYABLE = frozenset({PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION})


class Payment(BaseModel, TenantModel):
    """A wish to be paid. `status` is derived from the attempts and never set by hand."""

    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    amount = models.BigIntegerField(help_text="In the smallest unit.")
    currency = models.CharField(max_length=3)
    phone = models.CharField(max_length=16, blank=True)
    customer = models.JSONField(default=dict, help_text="Name, email and address, as the merchant gave them.")
    return_url = models.CharField(max_length=500, blank=True)
    cancel_url = models.CharField(max_length=500, blank=True)
    metadata = models.JSONField(default=dict)
    gateway = models.CharField(max_length=50, help_text="Of the newest attempt.")
    method = models.CharField(max_length=10, help_text="Of the newest attempt: push, checkout or card.")
    description = models.CharField(max_length=200, blank=True)
    client_reference = models.CharField(max_length=100, blank=True)
    status = models.CharField(max_length=20, choices=PaymentStatus.choices, default=PaymentStatus.CREATED)
    failure_code = models.CharField(max_length=20, choices=FailureCode.choices, blank=True)
    applied_attempt = models.OneToOneField("Attempt", on_delete=models.PROTECT, null=True, related_name="+")
    captured = models.BigIntegerField(default=0, help_text="All that came in, in the smallest unit.")
    refunded = models.BigIntegerField(default=0, help_text="All that went back, in the smallest unit.")
    refund_reserved = models.BigIntegerField(default=0, help_text="Refunds of ours that have not failed.")
    cancel_asked_at = models.DateTimeField(null=True, help_text="A wish: it counts once no attempt is in flight.")
    review_decision = models.CharField(max_length=10, choices=ReviewDecision.choices, blank=True)
    anomalies = models.JSONField(default=list)
    is_late_settlement = models.BooleanField(default=False, help_text="The money came after we had given up.")
    version = models.PositiveIntegerField(default=0)
    expires_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        permissions = [("export_payment", "Can export payments")]
        constraints = [
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="payment_amount_positive"),
            models.CheckConstraint(condition=models.Q(captured__gte=0), name="payment_captured_not_negative"),
            models.CheckConstraint(
                condition=models.Q(refund_reserved__gte=0, refund_reserved__lte=models.F("captured")),
                name="payment_refunds_within_captured",
            ),
            models.UniqueConstraint(
                fields=["tenant", "client_reference"],
                condition=~models.Q(client_reference=""),
                name="payment_client_reference_once",
            ),
            models.UniqueConstraint(fields=["tenant", "id"], name="payment_in_tenant"),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="payment_newest"),
            # For operators, who look at every tenant's.
            models.Index(fields=["-created_at", "-id"], name="payment_newest_of_all"),
            models.Index(fields=["-created_at"], condition=models.Q(status="review"), name="payment_in_review"),
            models.Index(fields=["tenant", "status", "-created_at", "-id"], name="payment_newest_by_status"),
            models.Index(
                fields=["tenant", "phone", "-created_at", "-id"],
                condition=~models.Q(phone=""),
                name="payment_newest_by_phone",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.money.display} ({self.status})"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def captured_money(self) -> Money:
        return Money(self.captured, self.currency)

    @property
    def refunded_money(self) -> Money:
        return Money(self.refunded, self.currency)

    @property
    def shown_failure_code(self) -> str | None:
        return self.failure_code or None

    @property
    def open_page(self) -> str | None:
        """The page of the newest attempt to which the customer should be sent, while it can be used."""
        pages = [attempt.open_page for attempt in self.attempts.all() if attempt.open_page]
        return pages[-1] if pages else None


class Attempt(BaseModel, TenantModel):
    """One try at one gateway under one reference of ours."""

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="attempts")
    number = models.PositiveSmallIntegerField()
    gateway = models.CharField(max_length=50)
    account = models.ForeignKey("payments.GatewayAccount", on_delete=models.PROTECT, null=True, related_name="+")
    method = models.CharField(max_length=10, help_text="push, checkout or card.")
    phone = models.CharField(max_length=16, blank=True)
    reference = models.CharField(max_length=20)
    provider_reference = models.CharField(max_length=100, blank=True)
    checkout_url = models.CharField(max_length=2000, blank=True)
    refusal = models.CharField(max_length=50, blank=True, help_text="A short word of ours for why it was not taken.")
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

    @property
    def open_page(self) -> str | None:
        """The page to which the customer should be sent, while it can be used."""
        is_open = self.status == AttemptStatus.REQUIRES_ACTION and self.payment.status in PAYABLE
        return self.checkout_url if is_open and self.checkout_url else None


class Observation(TenantModel):
    """One piece of news about an attempt, a refund or a payout. Never changed; the same news twice is one row."""

    class Source(models.TextChoices):
        REPLY = "reply"
        WEBHOOK = "webhook"
        POLL = "poll"
        MANUAL = "manual"
        SYSTEM = "system"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    attempt = models.ForeignKey(Attempt, on_delete=models.PROTECT, null=True, related_name="observations")
    refund = models.ForeignKey("payments.Refund", on_delete=models.PROTECT, null=True, related_name="observations")
    payout = models.ForeignKey("payments.Payout", on_delete=models.PROTECT, null=True, related_name="observations")
    source = models.CharField(max_length=10, choices=Source.choices)
    status = models.CharField(max_length=20)
    amount = models.BigIntegerField(null=True)
    currency = models.CharField(max_length=3, blank=True)
    refunded = models.BigIntegerField(null=True, help_text="All that the gateway says went back.")
    provider_reference = models.CharField(max_length=100, blank=True)
    actor = models.CharField(max_length=100, blank=True, help_text="The person behind manual news.")
    reason = models.CharField(max_length=300, blank=True, help_text="The gateway's words; for operators only.")
    fingerprint = models.CharField(max_length=64)
    received_at = models.DateTimeField(default=timezone.now)

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant", "attempt", "fingerprint"], name="observation_once"),
            models.UniqueConstraint(fields=["tenant", "refund", "fingerprint"], name="refund_observation_once"),
            models.UniqueConstraint(fields=["tenant", "payout", "fingerprint"], name="payout_observation_once"),
            models.CheckConstraint(
                condition=models.Q(attempt__isnull=False, refund__isnull=True, payout__isnull=True)
                | models.Q(attempt__isnull=True, refund__isnull=False, payout__isnull=True)
                | models.Q(attempt__isnull=True, refund__isnull=True, payout__isnull=False),
                name="observation_of_one_subject",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.source}: {self.status}"

    @property
    def money(self) -> Money | None:
        return None if self.amount is None else Money(self.amount, self.currency)


class PaymentEvent(TenantModel):
    """One line of the history of a payment or payout: gapless (`seq` is its version), chained, append-only."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, null=True, related_name="events")
    payout = models.ForeignKey("payments.Payout", on_delete=models.PROTECT, null=True, related_name="events")
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
        constraints = [
            models.UniqueConstraint(fields=["tenant", "payment", "seq"], name="payment_event_seq_once"),
            models.UniqueConstraint(fields=["tenant", "payout", "seq"], name="payout_event_seq_once"),
            models.CheckConstraint(
                condition=models.Q(payment__isnull=False) ^ models.Q(payout__isnull=False),
                name="event_of_payment_or_payout",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.seq}. {self.kind}"
