"""What comes in and what goes out about tenants."""

from __future__ import annotations

from rest_framework import serializers

from apps.tenants.models import Membership
from core.output import OutputModelSerializer
from core.serializers import InputSerializer, StrictCharField


class CreateTenantInput(InputSerializer):
    name = StrictCharField(max_length=200, help_text="As people will see it.")


class RenameTenantInput(CreateTenantInput):
    """The same field, of the tenant that the session is in."""


class MyTenantOutput(OutputModelSerializer[Membership]):
    """One of the asker's tenants, and what they are in it."""

    id = serializers.UUIDField(source="tenant_id", read_only=True)
    name = serializers.CharField(source="tenant.name", read_only=True)
    suspended_at = serializers.DateTimeField(source="tenant.suspended_at", read_only=True, allow_null=True)
    joined_at = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = Membership
        fields = read_only_fields = ("id", "name", "role", "suspended_at", "joined_at")
