"""Changing and resetting passwords."""

from __future__ import annotations

from rest_framework import serializers

from core.serializers import InputSerializer, StrictCharField


def _password() -> StrictCharField:
    return StrictCharField(max_length=1000, trim_whitespace=False, style={"input_type": "password"})


class ChangePasswordInput(InputSerializer):
    current_password = _password()
    new_password = _password()


class ReauthenticateInput(InputSerializer):
    password = _password()


class ResetPasswordInput(InputSerializer):
    email = serializers.EmailField(max_length=254)


class ConfirmResetInput(InputSerializer):
    token = StrictCharField(max_length=200, help_text="From the link in the mail.")
    password = _password()
