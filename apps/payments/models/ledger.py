"""Money that moved, one line each."""

from __future__ import annotations

import uuid

from django.db import models
from django.utils import timezone

from core.money import Money
from core.tenancy import TenantModel


class LedgerLine(TenantModel):
    """One movement of money at a gateway. Append-only: every total is a sum of lines, and can be derived again.

    `amount` is signed: what came in is positive, what went out negative.
    """

    class Kind(models.TextChoices):
        CAPTURE = "capture"
        ADJUSTMENT = "adjustment"  # a later report names another amount for the same capture
        REFUND = "refund"
        FOREIGN_REFUND = "foreign_refund"  # sent back at the gateway, not by us
        PAYOUT = "payout"
        RETURN = "return"  # a refund or payout came back

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    key = models.CharField(max_length=100, help_text="What makes it one line, however often it is reported.")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    amount = models.BigIntegerField(help_text="In the smallest unit, signed.")
    currency = models.CharField(max_length=3)
    gateway = models.CharField(max_length=50)
    account = models.ForeignKey("payments.GatewayAccount", on_delete=models.PROTECT, null=True, related_name="+")
    payment = models.ForeignKey("payments.Payment", on_delete=models.PROTECT, null=True, related_name="ledger_lines")
    attempt = models.ForeignKey("payments.Attempt", on_delete=models.PROTECT, null=True, related_name="ledger_lines")
    refund = models.ForeignKey("payments.Refund", on_delete=models.PROTECT, null=True, related_name="ledger_lines")
    payout = models.ForeignKey("payments.Payout", on_delete=models.PROTECT, null=True, related_name="ledger_lines")
    at = models.DateTimeField(default=timezone.now)

    class Meta(TenantModel.Meta):
        permissions = [("export_ledgerline", "Can export ledger lines")]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "key"], name="ledger_line_once"),
            models.CheckConstraint(condition=~models.Q(amount=0), name="ledger_amount_not_zero"),
            models.CheckConstraint(
                condition=models.Q(payment__isnull=False) ^ models.Q(payout__isnull=False),
                name="ledger_payment_or_payout",
            ),
        ]
        indexes = [
            models.Index(fields=["tenant", "-at", "-id"], name="ledger_newest"),
            models.Index(fields=["-at", "-id"], name="ledger_newest_of_all"),  # for operators
            models.Index(fields=["payment"], name="ledger_of_payment"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.money.display}"

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)
