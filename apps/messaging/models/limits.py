"""What texts may cost, and how many there may be: counters, budgets of tenants, and the guard against pumping."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.common.models import BaseModel
from core.tenancy import TenantModel


class Usage(models.Model):
    """How much of one limit is used within one day or month: texts, or money in its currency's smallest unit.

    `scope` says whose limit and which (`apps.messaging.services.usage` builds it). A phone stands in it as a keyed
    hash. Not behind row-level security: the platform's own limits are among them, and they are counted in every room.
    """

    scope = models.CharField(max_length=100)
    period = models.CharField(max_length=10, help_text="A day (2026-01-31) or a month (2026-01), UTC.")
    used = models.BigIntegerField()
    keep_until = models.DateField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "period"], name="usage_once_per_period")]

    def __str__(self) -> str:
        return f"{self.scope} {self.period}"


class Budget(BaseModel, TenantModel):
    """What one tenant's texts may cost instead of what the settings say, in the smallest unit of SMS_CURRENCY."""

    daily = models.BigIntegerField(null=True, blank=True, help_text="Empty: as the settings say.")
    monthly = models.BigIntegerField(null=True, blank=True, help_text="Empty: as the settings say.")
    note = models.CharField(max_length=300, blank=True, help_text="Why. For operators only.")

    class Meta(TenantModel.Meta):
        constraints = [
            models.UniqueConstraint(fields=["tenant"], name="budget_once_per_tenant"),
            models.CheckConstraint(
                condition=(models.Q(daily=None) | models.Q(daily__gte=0))
                & (models.Q(monthly=None) | models.Q(monthly__gte=0)),
                name="budget_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return str(self.tenant_id)


class PrefixHour(models.Model):
    """Codes that went to the numbers of one prefix within an hour, and codes that came back right.

    A prefix is a number without its last four digits. Kept for two days.
    """

    prefix = models.CharField(max_length=16)
    hour = models.DateTimeField(db_index=True)
    sent = models.PositiveIntegerField(default=0)
    verified = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["prefix", "hour"], name="prefix_hour_once")]

    def __str__(self) -> str:
        return self.prefix


class PrefixPause(BaseModel):
    """A prefix to which no codes go until a time, because too few of them came back."""

    prefix = models.CharField(max_length=16, db_index=True)
    sent = models.PositiveIntegerField(help_text="Codes of the 24 hours before.")
    verified = models.PositiveIntegerField(help_text="How many of them came back right.")
    until = models.DateTimeField(db_index=True)
    lifted_at = models.DateTimeField(null=True)
    lifted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.SET_NULL,
        null=True,
        related_name="+",
        help_text="Who ended it early.",
    )

    def __str__(self) -> str:
        return self.prefix
