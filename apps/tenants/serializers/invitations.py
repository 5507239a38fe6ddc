"""What comes in and what goes out about invitations. Tokens come in only."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.tenants.models import Invitation, InvitationStatus
from core.output import OutputModelSerializer
from core.phones import PhoneField
from core.serializers import InputSerializer, StrictCharField


class InviteInput(InputSerializer):
    """Exactly one of `email` and `phone`."""

    email = serializers.EmailField(max_length=254, required=False)
    phone = PhoneField(required=False)
    role = serializers.ChoiceField(choices=Invitation.Role.choices, required=False, default=Invitation.Role.MEMBER)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("email" in attrs) == ("phone" in attrs):
            raise serializers.ValidationError({"email": [_("Give either an e-mail address or a phone number.")]})
        return attrs


class AcceptInvitationInput(InputSerializer):
    token = StrictCharField(max_length=100, help_text="From the link in the invitation.")


class InvitationOutput(OutputModelSerializer[Invitation]):
    email = serializers.CharField(read_only=True, help_text="Empty when a phone was invited.")
    status = serializers.ChoiceField(choices=InvitationStatus.choices, read_only=True)

    class Meta:
        model = Invitation
        fields = read_only_fields = (
            "id",
            "email",
            "phone",
            "role",
            "status",
            "invited_by",
            "sends",
            "created_at",
            "expires_at",
            "accepted_at",
            "revoked_at",
        )
