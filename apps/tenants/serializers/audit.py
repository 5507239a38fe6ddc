"""What comes in and what goes out about audit lines."""

from __future__ import annotations

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from core.audit.actions import TENANT_ACTIONS, ActorKind
from core.audit.models import AuditEntry
from core.output import OutputModelSerializer
from core.serializers import FilterInput


class AuditFilterInput(FilterInput):
    action = serializers.ChoiceField(choices=TENANT_ACTIONS, required=False)
    actor = serializers.UUIDField(required=False, help_text="The `user_id` of whoever acted.")
    at_from = serializers.DateTimeField(required=False, help_text="Not before this time.")
    at_until = serializers.DateTimeField(required=False, help_text="Before this time.")


class AuditEntryOutput(OutputModelSerializer[AuditEntry]):
    """One line. Of what platform staff did, only that they did it: not who, and not what they noted."""

    action = serializers.ChoiceField(choices=TENANT_ACTIONS, read_only=True)
    actor_kind = serializers.ChoiceField(choices=ActorKind.choices, read_only=True)
    actor_id = serializers.SerializerMethodField()
    actor_email = serializers.SerializerMethodField(help_text="As it was then.")
    target_type = serializers.CharField(read_only=True, help_text="`user`, `tenant`, `apikey` or `invitation`.")
    target_id = serializers.CharField(read_only=True)
    target_label = serializers.CharField(read_only=True, help_text="What it was called then.")
    details = serializers.SerializerMethodField(help_text="Such as `from` and `to`.")

    class Meta:
        model = AuditEntry
        fields = read_only_fields = (
            "id",
            "at",
            "action",
            "actor_kind",
            "actor_id",
            "actor_email",
            "target_type",
            "target_id",
            "target_label",
            "details",
        )

    @extend_schema_field({"type": ["string", "null"], "format": "uuid"})
    def get_actor_id(self, entry: AuditEntry) -> str | None:
        return None if entry.actor_id is None or _is_staffs(entry) else str(entry.actor_id)

    def get_actor_email(self, entry: AuditEntry) -> str:
        return "" if _is_staffs(entry) else entry.actor_email

    def get_details(self, entry: AuditEntry) -> dict[str, Any]:
        return {} if _is_staffs(entry) else dict(entry.data)


def _is_staffs(entry: AuditEntry) -> bool:
    return entry.actor_kind == ActorKind.STAFF
