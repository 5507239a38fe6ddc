"""People: registering, who one is, and what one may change about oneself."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework import serializers

from apps.accounts.models import User
from apps.accounts.transports import Transport
from core.output import OutputModelSerializer, OutputSerializer
from core.phones import PhoneField
from core.serializers import InputSerializer, StrictCharField

TRANSPORT_HELP = (
    "Where the tokens travel. `body`: both in the body (phones; the default without an `Origin`). "
    "`refresh_cookie`: the refresh token in an HttpOnly cookie (the default for browsers). "
    "`cookies`: both in cookies, none in the body."
)


class LoginInput(InputSerializer):
    email = serializers.EmailField(max_length=254)
    password = StrictCharField(max_length=1000, trim_whitespace=False, style={"input_type": "password"})
    transport = serializers.ChoiceField(choices=Transport.choices, required=False, help_text=TRANSPORT_HELP)


class RegisterInput(LoginInput):
    first_name = StrictCharField(max_length=100, required=False, default="", allow_blank=True)
    last_name = StrictCharField(max_length=100, required=False, default="", allow_blank=True)
    phone = PhoneField(required=False, default="", allow_blank=True)


class UpdateProfileInput(InputSerializer):
    first_name = StrictCharField(max_length=100, required=False, allow_blank=True)
    last_name = StrictCharField(max_length=100, required=False, allow_blank=True)
    language = serializers.ChoiceField(choices=settings.LANGUAGES, required=False, help_text="For mail and texts.")


class UserOutput(OutputModelSerializer[User]):
    is_email_verified = serializers.BooleanField(read_only=True)
    is_phone_verified = serializers.BooleanField(read_only=True)

    class Meta:
        model = User
        fields = read_only_fields = (
            "id",
            "email",
            "first_name",
            "last_name",
            "phone",
            "language",
            "is_email_verified",
            "is_phone_verified",
            "created_at",
        )


class TenantOutput(OutputSerializer[Any]):
    """The session's tenant, and what the person is in it. Printed from a `Principal`."""

    id = serializers.UUIDField(source="session.tenant.pk")
    name = serializers.CharField(source="session.tenant.name")
    role = serializers.ChoiceField(choices=[("owner", "Owner"), ("admin", "Admin"), ("member", "Member")])


class MeOutput(OutputSerializer[Any]):
    """A person, and the tenant they are working in (null when they belong to none). Printed from a `Principal`."""

    def to_representation(self, instance: Any) -> dict[str, Any]:
        return {**UserOutput(instance.user).data, "tenant": print_tenant(instance)}

    def get_fields(self) -> dict[str, Any]:
        return {**UserOutput().get_fields(), "tenant": TenantOutput(allow_null=True)}


def print_tenant(principal: Any) -> dict[str, Any] | None:
    return dict(TenantOutput(principal).data) if principal.role else None
