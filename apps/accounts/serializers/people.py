"""The people of a tenant, as its other people see them."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.serializers.accounts import UpdateProfileInput
from core.output import OutputSerializer
from core.serializers import FilterInput, StrictCharField

ROLES = [("owner", "Owner"), ("admin", "Admin"), ("member", "Member")]


class PeopleFilterInput(FilterInput):
    search = StrictCharField(
        max_length=100, required=False, allow_blank=True, help_text="Words of a name or an e-mail address."
    )
    role = serializers.ChoiceField(choices=ROLES, required=False)


class ChangePersonInput(UpdateProfileInput):
    role = serializers.ChoiceField(choices=ROLES, required=False, help_text="In this organisation. For its admins.")


class PersonOutput(OutputSerializer[Any]):
    """A person and their role in the tenant. Printed from a membership."""

    id = serializers.UUIDField(source="user_id")
    email = serializers.EmailField(source="user.email")
    first_name = serializers.CharField(source="user.first_name")
    last_name = serializers.CharField(source="user.last_name")
    phone = serializers.CharField(source="user.phone", allow_blank=True)
    is_email_verified = serializers.BooleanField(source="user.is_email_verified")
    is_phone_verified = serializers.BooleanField(source="user.is_phone_verified")
    role = serializers.ChoiceField(choices=ROLES)
    joined_at = serializers.DateTimeField(source="created_at")
