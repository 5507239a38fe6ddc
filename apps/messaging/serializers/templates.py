"""What goes in and out about wordings."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.messaging.channels import Channel
from apps.messaging.kinds import MessageKind
from core.parsers import is_storable
from core.serializers import InputSerializer, StrictCharField

MAX_VALUE = 10_000


class PreviewTemplateInput(InputSerializer):
    language = serializers.ChoiceField(choices=settings.LANGUAGES, default="en")
    values = serializers.DictField(
        child=StrictCharField(max_length=MAX_VALUE, allow_blank=True),
        required=False,
        help_text="By the names of the template's variables. Examples stand in for the others.",
    )

    def validate_values(self, values: dict[str, str]) -> dict[str, str]:
        if len(values) > 50:
            raise serializers.ValidationError(_("At most 50 values."))
        return {name: value for name, value in values.items() if is_storable(name)}


class VariableOutput(serializers.Serializer[Any]):
    name = serializers.CharField()
    description = serializers.CharField()
    example = serializers.CharField()
    is_required = serializers.BooleanField()
    max_length = serializers.IntegerField(help_text="Longer values are cut.")


class FormOutput(serializers.Serializer[Any]):
    channel = serializers.ChoiceField(choices=Channel.choices)
    subject = serializers.CharField(help_text="An e-mail's subject, or the title in the app. Empty for a text message.")
    text = serializers.CharField()


class WordingOutput(serializers.Serializer[Any]):
    language = serializers.ChoiceField(choices=settings.LANGUAGES)
    version = serializers.IntegerField(help_text="0: the kit's default.")
    published_at = serializers.DateTimeField(allow_null=True)
    forms = FormOutput(many=True, source="shown_forms")


class TemplateOutput(serializers.Serializer[Any]):
    """A wording of the kit with its placeholders, and what it says now."""

    key = serializers.CharField(source="template.key")
    kind = serializers.ChoiceField(choices=MessageKind.choices, source="template.kind")
    description = serializers.CharField(source="template.description")
    variables = VariableOutput(many=True, source="template.variables")
    wordings = WordingOutput(many=True)


class TemplateListOutput(serializers.Serializer[Any]):
    templates = TemplateOutput(many=True)


class PreviewOutput(serializers.Serializer[Any]):
    channel = serializers.ChoiceField(choices=Channel.choices)
    subject = serializers.CharField()
    text = serializers.CharField()
    parts = serializers.IntegerField(allow_null=True, help_text="Of how many text messages it consists.")


class PreviewListOutput(serializers.Serializer[Any]):
    language = serializers.ChoiceField(choices=settings.LANGUAGES)
    previews = PreviewOutput(many=True)
