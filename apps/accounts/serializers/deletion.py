"""Ending an account, and everything about it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.serializers.accounts import UserOutput
from core.output import OutputSerializer
from core.serializers import InputSerializer, StrictCharField


class RestoreAccountInput(InputSerializer):
    email = serializers.EmailField(max_length=254)
    password = StrictCharField(max_length=1000, trim_whitespace=False, style={"input_type": "password"})


class DeletionOutput(OutputSerializer[Any]):
    deletion_due_at = serializers.DateTimeField(help_text="Until then the account can be restored.")


class ExportOutput(OutputSerializer[Any]):
    """What is stored about a person."""

    profile = UserOutput()
    records = serializers.DictField(
        child=serializers.ListField(child=serializers.DictField()), help_text="Kind of record to its rows."
    )
    cut = serializers.ListField(
        child=serializers.CharField(), help_text="Kinds of which there are more than the 1,000 rows that are here."
    )

    def to_representation(self, instance: Any) -> dict[str, Any]:
        # Rows are plain values already; DictField would turn each into text.
        return {
            "profile": UserOutput(instance.profile).data,
            "records": instance.records,
            "cut": instance.cut,
        }
