"""Money that goes out: refunds of payments, and payouts to phones and banks."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.common.models import BaseModel
from apps.payments.transfers import SHOWN, ShownStatus, TransferStatus
from core.money import Money
from core.tenancy import TenantModel


class Transfer(BaseModel, TenantModel):
    """What refunds and payouts have in common: one reference, sent at most once, asked about until it has ended."""

    gateway = models.CharField(max_length=50)
    account = models.ForeignKey("payments.GatewayAccount", on_delete=models.PROTECT, null=True, related_name="+")
    reference = models.CharField(max_length=20)
    provider_reference = models.CharField(max_length=100, blank=True)
    amount = models.BigIntegerField(help_text="In the smallest unit.")
    currency = models.CharField(max_length=3)
    own_mark = models.CharField(max_length=20, choices=TransferStatus.choices, default=TransferStatus.QUEUED)
    status = models.CharField(max_length=20, choices=TransferStatus.choices, default=TransferStatus.QUEUED)
    anomalies = models.JSONField(default=list)
    refusal = models.CharField(max_length=50, blank=True, help_text="A short word of ours for why it failed.")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    submitted_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    polls = models.PositiveIntegerField(default=0)
    next_poll_at = models.DateTimeField(null=True)

    class Meta(TenantModel.Meta):
        abstract = True

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)

    @property
    def shown_status(self) -> ShownStatus:
        return SHOWN[TransferStatus(self.status)]


class Refund(Transfer):
    """Money of a payment that goes back to the customer."""

    payment = models.ForeignKey("payments.Payment", on_delete=models.PROTECT, related_name="refunds")
    attempt = models.ForeignKey("payments.Attempt", on_delete=models.PROTECT, related_name="refunds")
    reason = models.CharField(max_length=300, blank=True)
    evidence = models.CharField(max_length=300, blank=True, help_text="How a person sent it, where the gateway cannot.")

    class Meta(Transfer.Meta):
        permissions = [("export_refund", "Can export refunds")]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "gateway", "reference"], name="refund_reference_once"),
            models.UniqueConstraint(fields=["tenant", "id"], name="refund_in_tenant"),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="refund_amount_positive"),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="refund_newest"),
            # For operators, who look at every tenant's.
            models.Index(fields=["-created_at", "-id"], name="refund_newest_of_all"),
            models.Index(fields=["-created_at"], condition=models.Q(status="manual"), name="refund_by_hand"),
        ]

    def __str__(self) -> str:
        return f"{self.money.display} ({self.status})"


class Payout(Transfer):
    """Money to a phone's wallet or a bank account."""

    phone = models.CharField(max_length=16, blank=True)
    bank = models.CharField(max_length=50, blank=True, help_text="The code by which the gateway knows the bank.")
    bank_account = models.CharField(max_length=50, blank=True)
    name = models.CharField(max_length=100, blank=True, help_text="Of the recipient.")
    narration = models.CharField(max_length=200, blank=True)
    client_reference = models.CharField(max_length=100, blank=True)
    metadata = models.JSONField(default=dict)
    version = models.PositiveIntegerField(default=0)

    class Meta(Transfer.Meta):
        permissions = [("export_payout", "Can export payouts")]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "gateway", "reference"], name="payout_reference_once"),
            models.UniqueConstraint(fields=["tenant", "id"], name="payout_in_tenant"),
            models.CheckConstraint(condition=models.Q(amount__gt=0), name="payout_amount_positive"),
            models.CheckConstraint(
                condition=models.Q(phone="") ^ models.Q(bank_account=""), name="payout_one_recipient"
            ),
            models.UniqueConstraint(
                fields=["tenant", "client_reference"],
                condition=~models.Q(client_reference=""),
                name="payout_client_reference_once",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-created_at", "-id"], name="payout_newest"),
            models.Index(fields=["-created_at", "-id"], name="payout_newest_of_all"),  # for operators
        ]

    def __str__(self) -> str:
        return f"{self.money.display} ({self.status})"
