"""Proving phone numbers, and signing in by them."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.validators import RegexValidator
from django.utils.translation import gettext_lazy as _
from rest_framework import serializers

from apps.accounts.models import VerificationCode
from apps.accounts.serializers.accounts import TRANSPORT_HELP
from apps.accounts.transports import Transport
from core.output import OutputSerializer
from core.phones import PhoneField
from core.serializers import InputSerializer, StrictCharField


class RequestOtpInput(InputSerializer):
    phone = PhoneField()


class AnswerInput(InputSerializer):
    """The answer to a challenge."""

    challenge = serializers.UUIDField(help_text="From the request for the code.")
    code = StrictCharField(
        max_length=20,
        validators=[RegexValidator(r"^[0-9]{6}\Z", message=_("Enter the six digits of the code."))],
        help_text="The six digits from the text message.",
    )


class VerifyOtpInput(AnswerInput):
    transport = serializers.ChoiceField(choices=Transport.choices, required=False, help_text=TRANSPORT_HELP)


class ChangePhoneInput(InputSerializer):
    phone = PhoneField(help_text="The new number.")
    password = StrictCharField(
        max_length=1000,
        required=False,
        trim_whitespace=False,
        style={"input_type": "password"},
        help_text="May be left out for ten minutes after signing in or reauthenticating.",
    )


class ChallengeOutput(OutputSerializer[VerificationCode]):
    """A code was asked for. Its digits are in the text message and nowhere else."""

    challenge = serializers.UUIDField(source="pk", read_only=True, help_text="Send it back with the code.")
    expires_at = serializers.DateTimeField(read_only=True)
    resend_after = serializers.SerializerMethodField(help_text="Seconds until another code may be asked for.")

    def get_resend_after(self, _code: Any) -> int:
        return int(settings.OTP_RESEND_AFTER.total_seconds())
