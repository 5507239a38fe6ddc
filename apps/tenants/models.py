"""Rooms and who may be in them. Read before a tenant is known, so not behind row-level security."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from apps.common.models import BaseModel


class Tenant(BaseModel):
    """A business, or one person's own room."""

    name = models.CharField(max_length=200)
    suspended_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class Membership(BaseModel):
    """A person's place in a tenant."""

    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        MEMBER = "member"

    tenant = models.ForeignKey(Tenant, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.MEMBER)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.role} of {self.tenant_id}"
