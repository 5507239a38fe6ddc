"""What goes in and out about the in-app inbox."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.messaging.models.notifications import Notification
from core.serializers import FilterInput, InputSerializer


class NotificationFilterInput(FilterInput):
    unread = serializers.ChoiceField(
        choices=["true", "false"], required=False, help_text="`true`: not read yet. `false`: read."
    )

    def validate_unread(self, value: str) -> bool:
        return value == "true"


class ReadAllInput(InputSerializer):
    until = serializers.DateTimeField(
        required=False,
        help_text="The `created_at` of the newest one that was shown: what has come since then stays unread.",
    )


class NotificationOutput(serializers.ModelSerializer[Notification]):
    class Meta:
        model = Notification
        fields = ("id", "kind", "title", "text", "data", "created_at", "read_at")
        read_only_fields = fields


class UnreadOutput(serializers.Serializer[Any]):
    unread = serializers.IntegerField(help_text="At most 1000 are counted.")


class ReadAllOutput(serializers.Serializer[Any]):
    read = serializers.IntegerField(help_text="How many are read now that were not.")
    unread = serializers.IntegerField(help_text="How many are left.")
