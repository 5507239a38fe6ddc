"""Changing and resetting passwords."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.serializers.factors import CodeField, RecoveryCodeField, exactly_one
from core.serializers import InputSerializer, StrictCharField


def _password() -> StrictCharField:
    return StrictCharField(max_length=1000, trim_whitespace=False, style={"input_type": "password"})


class ChangePasswordInput(InputSerializer):
    current_password = _password()
    new_password = _password()


class ReauthenticateInput(InputSerializer):
    """One of the three."""

    password = StrictCharField(max_length=1000, trim_whitespace=False, required=False, style={"input_type": "password"})
    code = CodeField(required=False)
    recovery_code = RecoveryCodeField(required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return exactly_one(attrs, "password", "code", "recovery_code")


class ResetPasswordInput(InputSerializer):
    email = serializers.EmailField(max_length=254)


class ConfirmResetInput(InputSerializer):
    token = StrictCharField(max_length=200, help_text="From the link in the mail.")
    password = _password()
