"""Accounts at gateways, whose references are whose, and how each account is doing."""

from __future__ import annotations

from uuid import UUID

from django.db import models
from django.utils import timezone

from apps.common.models import BaseModel
from core.tenancy import TenantModel

# The installation's own account, in the tables that stand outside the walls: NULL would not be unique.
OWN_ACCOUNT = UUID(int=0)


class GatewayAccount(BaseModel, TenantModel):
    """A tenant's own account at a gateway, used instead of the installation's. Its credentials are sealed.

    A row is never given to another merchant: what was begun with it has to be asked about, refunded and reported there.
    Another merchant is another row, and the one before is retired.
    """

    gateway = models.CharField(max_length=50)
    is_enabled = models.BooleanField(default=True, help_text="Off: nothing new is begun with this gateway.")
    credentials = models.TextField(editable=False, help_text="Sealed: a JSON object of the adapter's credentials.")
    allows_manual_refunds = models.BooleanField(
        default=True, help_text="People may send money back by hand where the gateway cannot."
    )
    refuses_when_down = models.BooleanField(
        default=False, help_text="New payments are refused while the gateway does not answer, instead of waiting."
    )
    callback_version = models.PositiveIntegerField(default=0, help_text="Part of the callback address.")
    retired_at = models.DateTimeField(null=True, help_text="From then on it only ends what was begun with it.")

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "gateway"], condition=models.Q(retired_at=None), name="gateway_account_once"
            ),
            models.UniqueConstraint(fields=["tenant", "id"], name="gateway_account_in_tenant"),
        ]

    def __str__(self) -> str:
        return self.gateway


class GatewayReference(models.Model):
    """Whose room a gateway's news belongs to. Not behind row-level security: callbacks arrive without a tenant."""

    class Kind(models.TextChoices):
        CHARGE = "charge"
        REFUND = "refund"
        PAYOUT = "payout"

    gateway = models.CharField(max_length=50)
    reference = models.CharField(max_length=20)
    account_id = models.UUIDField(default=OWN_ACCOUNT, help_text="The tenant's; zero for the installation's own.")
    tenant_id = models.UUIDField()
    kind = models.CharField(max_length=10, choices=Kind.choices)
    subject_id = models.UUIDField(help_text="The attempt, refund or payout.")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["gateway", "reference"], name="reference_once_per_gateway")]
        indexes = [
            models.Index(fields=["created_at"], name="reference_newest"),
            models.Index(fields=["account_id", "gateway", "created_at"], name="reference_newest_of_account"),
        ]

    def __str__(self) -> str:
        return self.reference


class GatewayHealth(models.Model):
    """How an account's calls went lately: the breaker that all workers share.

    Not behind row-level security: it says nothing about anybody's payments.
    """

    gateway = models.CharField(max_length=50)
    account_id = models.UUIDField(default=OWN_ACCOUNT, help_text="The tenant's; zero for the installation's own.")
    window_started_at = models.DateTimeField()
    calls = models.PositiveIntegerField(default=0)
    silences = models.PositiveIntegerField(default=0)
    open_until = models.DateTimeField(null=True, help_text="Until then nothing is sent to this account.")
    is_probing = models.BooleanField(default=False, help_text="One call is finding out whether it is back.")

    class Meta:
        verbose_name_plural = "gateway health"
        constraints = [models.UniqueConstraint(fields=["gateway", "account_id"], name="health_once_per_account")]

    def __str__(self) -> str:
        return self.gateway
