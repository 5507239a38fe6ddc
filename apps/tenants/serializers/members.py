"""What comes in and what goes out about members."""

from __future__ import annotations

from rest_framework import serializers

from apps.tenants.models import Membership
from core.output import OutputModelSerializer
from core.serializers import InputSerializer


class ChangeRoleInput(InputSerializer):
    role = serializers.ChoiceField(choices=Membership.Role.choices)


class TransferOwnershipInput(InputSerializer):
    member = serializers.UUIDField(help_text="The `id` of the member who becomes an owner.")


class MemberOutput(OutputModelSerializer[Membership]):
    """A person's place in the tenant. `id` names the membership, `user_id` the person."""

    email = serializers.EmailField(source="user.email", read_only=True)
    first_name = serializers.CharField(source="user.first_name", read_only=True)
    last_name = serializers.CharField(source="user.last_name", read_only=True)
    joined_at = serializers.DateTimeField(source="created_at", read_only=True)

    class Meta:
        model = Membership
        fields = read_only_fields = ("id", "user_id", "email", "first_name", "last_name", "role", "joined_at")
