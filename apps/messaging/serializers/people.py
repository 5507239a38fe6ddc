"""What goes in and out about a person's choices."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.messaging.channels import Channel
from core.serializers import InputSerializer

STOPPABLE = [(str(each), each.label) for each in (Channel.SMS, Channel.EMAIL)]


class StrictBooleanField(serializers.BooleanField):
    """`true` or `false`; words and numbers that might mean them are refused."""

    def to_internal_value(self, data: Any) -> bool:
        if not isinstance(data, bool):
            raise serializers.ValidationError(_("Must be a valid boolean."))
        return data


class ChannelsInput(InputSerializer):
    sms = StrictBooleanField(required=False)
    email = StrictBooleanField(required=False)
    inbox = StrictBooleanField(required=False)


class KindsInput(InputSerializer):
    code = ChannelsInput(required=False)
    security = ChannelsInput(required=False)
    receipt = ChannelsInput(required=False)
    service = ChannelsInput(required=False)
    marketing = ChannelsInput(required=False)


class PreferencesInput(InputSerializer):
    kinds = KindsInput(required=False)
    opted_out = serializers.ListField(
        child=serializers.ChoiceField(choices=STOPPABLE),
        max_length=10,
        required=False,
        help_text="Channels by which your own, confirmed address gets only codes, security notices and receipts.",
    )


class ChannelsOutput(serializers.Serializer[Any]):
    sms = serializers.BooleanField()
    email = serializers.BooleanField()
    inbox = serializers.BooleanField()


class KindsOutput(serializers.Serializer[Any]):
    code = ChannelsOutput()
    security = ChannelsOutput()
    receipt = ChannelsOutput()
    service = ChannelsOutput()
    marketing = ChannelsOutput()


class PreferencesOutput(serializers.Serializer[Any]):
    """What a person wants to hear, by kind of message and channel."""

    kinds = KindsOutput()
    opted_out = serializers.ListField(child=serializers.ChoiceField(choices=STOPPABLE))


class UnsubscribeOutput(serializers.Serializer[Any]):
    address = serializers.CharField(help_text="Not in full.")
    is_subscribed = serializers.BooleanField()
