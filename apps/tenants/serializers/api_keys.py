"""What comes in and what goes out about API keys. The secret goes out once, when the key is made."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.tenants.models import ApiKey
from apps.tenants.scopes import Scope
from core.output import OutputModelSerializer
from core.serializers import InputSerializer, StrictCharField


class CreateApiKeyInput(InputSerializer):
    name = StrictCharField(max_length=100, help_text="What it is for, for example `Zapier`.")
    scopes = serializers.ListField(
        child=serializers.ChoiceField(choices=Scope.choices), min_length=1, max_length=len(Scope)
    )
    expires_at = serializers.DateTimeField(required=False, help_text="Without it, the key lives until it is revoked.")


class ApiKeyOutput(OutputModelSerializer[ApiKey]):
    prefix = serializers.CharField(source="shown_prefix", read_only=True, help_text="How the key begins.")
    scopes = serializers.ListField(child=serializers.ChoiceField(choices=Scope.choices), read_only=True)

    class Meta:
        model = ApiKey
        fields = read_only_fields = (
            "id",
            "name",
            "prefix",
            "scopes",
            "created_by",
            "created_at",
            "expires_at",
            "last_used_at",
            "revoked_at",
        )


class NewApiKeyOutput(ApiKeyOutput):
    """With `key`, for this once. Printed from an `ApiKey`, with the full text in the context."""

    key = serializers.SerializerMethodField(help_text="The whole key. It is not shown again.")

    class Meta(ApiKeyOutput.Meta):
        fields = read_only_fields = (*ApiKeyOutput.Meta.fields, "key")  # type: ignore[assignment]

    def get_key(self, _key: Any) -> str:
        return str(self.context["key"])
