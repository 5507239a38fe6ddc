"""Signing in, refreshing, and where a person is signed in."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.methods import Method
from apps.accounts.models import AuthSession
from apps.accounts.serializers.accounts import TenantOutput, UserOutput
from apps.accounts.transports import Transport
from core.output import OutputModelSerializer, OutputSerializer
from core.serializers import InputSerializer, StrictCharField


class RefreshInput(InputSerializer):
    # No length: what is too long for a token is refused as one that is not valid.
    refresh = StrictCharField(required=False, help_text="The refresh token, unless it travels in a cookie.")


class SwitchTenantInput(InputSerializer):
    tenant = serializers.UUIDField(help_text="The `id` of one of your organisations.")


class SignedInOutput(OutputSerializer[Any]):
    """What a client holds after signing in. Tokens that travel in cookies are null here."""

    user = UserOutput()
    tenant = TenantOutput(allow_null=True)
    transport = serializers.ChoiceField(choices=Transport.choices)
    access = serializers.CharField(allow_null=True)
    refresh = serializers.CharField(allow_null=True)
    csrf_token = serializers.CharField(
        allow_null=True, help_text="With `cookies`: send it as `X-CSRF-Token` on unsafe requests."
    )
    access_expires_at = serializers.DateTimeField()
    refresh_expires_at = serializers.DateTimeField()


class CsrfOutput(OutputSerializer[Any]):
    """The proof that goes with this browser's cookies."""

    transport = serializers.ChoiceField(choices=Transport.choices)
    csrf_token = serializers.CharField(allow_null=True)


class SessionOutput(OutputModelSerializer[AuthSession]):
    """One place where a person is signed in."""

    methods = serializers.ListField(
        child=serializers.ChoiceField(choices=Method.choices), read_only=True, help_text="By what you proved yourself."
    )
    is_current = serializers.SerializerMethodField(help_text="Whether this request came from it.")

    class Meta:
        model = AuthSession
        fields = read_only_fields = (
            "id",
            "transport",
            "methods",
            "user_agent",
            "created_at",
            "last_used_at",
            "is_current",
        )

    def get_is_current(self, session: AuthSession) -> bool:
        return bool(session.pk == self.context["current"])
