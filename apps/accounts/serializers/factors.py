"""Second factors."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.accounts.serializers.sessions import SignedInOutput
from apps.accounts.transports import Transport
from core.output import OutputSerializer
from core.serializers import InputSerializer, StrictCharField

_SPACING = re.compile(r"[\s-]")


class DigitsField(StrictCharField):
    """Digits that people copy by hand: spaces and hyphens between them do not count."""

    default_error_messages = {"digits": _("Enter the digits of the code.")}

    def __init__(self, *, digits: int, **kwargs: Any) -> None:
        self.digits = digits
        super().__init__(max_length=20, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        told = _SPACING.sub("", super().to_internal_value(data))
        if not (told.isascii() and told.isdigit() and len(told) == self.digits):
            self.fail("digits")
        return told


class CodeField(DigitsField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(digits=6, help_text="From the authenticator app: six digits. Each code works once.", **kwargs)


class RecoveryCodeField(DigitsField):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(digits=8, help_text="One of those shown at set-up: eight digits. Works once.", **kwargs)


def exactly_one(attrs: dict[str, Any], *names: str) -> dict[str, Any]:
    """`attrs` when one of `names` is given, and one only."""
    if sum(name in attrs for name in names) != 1:
        raise serializers.ValidationError(_("Send one of: %(names)s.") % {"names": ", ".join(names)})
    return attrs


class ConfirmTotpInput(InputSerializer):
    code = CodeField()


class VerifyInput(InputSerializer):
    """The challenge, and one of the two codes."""

    challenge = StrictCharField(max_length=200, help_text="From `data.challenge` of the 401 `mfa_required`.")
    code = CodeField(required=False)
    recovery_code = RecoveryCodeField(required=False)
    transport = serializers.ChoiceField(
        choices=Transport.choices, required=False, help_text="Chosen in the first step; may be repeated, not changed."
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return exactly_one(attrs, "code", "recovery_code")


class FactorOutput(OutputSerializer[Any]):
    type = serializers.ChoiceField(choices=[("totp", "Authenticator app")])
    created_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class FactorsOutput(OutputSerializer[Any]):
    """What stands between a password and this account. Printed from a `FactorSummary`."""

    is_enabled = serializers.BooleanField()
    factors = FactorOutput(many=True)
    recovery_codes_left = serializers.IntegerField()
    reauthenticate_with = serializers.ListField(
        source="proofs",
        child=serializers.ChoiceField(choices=["password", "code", "recovery_code"]),
        help_text="The fields of which `auth/reauthenticate/` takes one. Empty: sign in again.",
    )


class TotpOfferOutput(OutputSerializer[Any]):
    """For the authenticator app. Shown once; not in force before `confirm`."""

    secret = serializers.CharField(help_text="Base32, to be typed in where no picture can be taken.")
    otpauth_url = serializers.CharField(help_text="Opens the app on the same device.")
    qr = serializers.CharField(help_text="The same as a picture: a `data:` URL for an `img`.")
    expires_at = serializers.DateTimeField()


class RecoveryCodesOutput(SignedInOutput):
    """The session that goes on, and the codes, shown this once."""

    recovery_codes = serializers.ListField(child=serializers.CharField())
