"""What an operator tells about a person from another system."""

from __future__ import annotations

from django.conf import settings
from rest_framework import serializers

from core.phones import PhoneField
from core.serializers import InputSerializer, StrictCharField


class BringPersonInput(InputSerializer):
    """A row of an import, or the form for one person. The same fields as at registration, without a password."""

    email = serializers.EmailField(max_length=254)
    first_name = StrictCharField(max_length=100, required=False, default="", allow_blank=True)
    last_name = StrictCharField(max_length=100, required=False, default="", allow_blank=True)
    phone = PhoneField(required=False, default="", allow_blank=True)
    language = serializers.ChoiceField(choices=settings.LANGUAGES, required=False, default="en")
