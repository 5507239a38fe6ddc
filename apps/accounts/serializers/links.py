"""Proving e-mail addresses."""

from __future__ import annotations

from rest_framework import serializers

from core.serializers import InputSerializer, StrictCharField


class VerifyEmailInput(InputSerializer):
    token = StrictCharField(max_length=200, help_text="From the link in the mail.")


class ChangeEmailInput(InputSerializer):
    email = serializers.EmailField(max_length=254, help_text="The new address.")
    password = StrictCharField(
        max_length=1000,
        trim_whitespace=False,
        required=False,
        style={"input_type": "password"},
        help_text="May be left out when the session is freshly confirmed.",
    )
