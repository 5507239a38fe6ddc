"""Signing in through others, and which of their accounts one has linked."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from apps.accounts.serializers.accounts import TRANSPORT_HELP
from apps.accounts.transports import Transport
from core.output import OutputSerializer
from core.serializers import FilterInput, InputSerializer, StrictCharField

# RFC 7636, sections 4.1 and 4.2.
CHALLENGE = r"\A[A-Za-z0-9_-]{43}\Z"
VERIFIER = r"\A[A-Za-z0-9._~-]{43,128}\Z"
PRINTABLE = r"\A[\x21-\x7e]*\Z"


class SocialProviderOutput(OutputSerializer[Any]):
    """One way to sign in, for a button."""

    code = serializers.CharField()
    name = serializers.CharField()
    takes_id_tokens = serializers.BooleanField(help_text="Whether a phone may hand over an `id_token`.")


class StartSocialInput(InputSerializer):
    code_challenge = serializers.RegexField(
        CHALLENGE, max_length=43, help_text="BASE64URL(SHA256(code_verifier)), RFC 7636; the verifier stays with you."
    )
    code_challenge_method = serializers.ChoiceField(choices=["S256"], required=False, default="S256")
    redirect = StrictCharField(
        max_length=500,
        required=False,
        default="",
        allow_blank=True,
        help_text="Where to come back to: a registered name (`web`, `app`) or address. The first one when absent.",
    )
    state = serializers.RegexField(
        PRINTABLE,
        max_length=300,
        required=False,
        default="",
        allow_blank=True,
        help_text="Your own value, given back beside the code. Compare it.",
    )


class StartSocialQuery(StartSocialInput, FilterInput):
    """The same in a query string."""


class StartedSocialOutput(OutputSerializer[Any]):
    authorize_url = serializers.URLField(help_text="Send the person there: the same window, or the system's browser.")
    expires_at = serializers.DateTimeField(help_text="Until when they may come back.")


class SocialSignInInput(InputSerializer):
    transport = serializers.ChoiceField(choices=Transport.choices, required=False, help_text=TRANSPORT_HELP)
    email = serializers.EmailField(
        max_length=254,
        required=False,
        default="",
        allow_blank=True,
        help_text="Only after `email_needed`: what the person has told you.",
    )


class ExchangeSocialInput(SocialSignInInput):
    code = StrictCharField(max_length=200, help_text="From the return address; or the `continuation`.")
    code_verifier = serializers.RegexField(VERIFIER, max_length=128, help_text="Of which the start had the challenge.")


class SocialTokenInput(SocialSignInInput):
    id_token = StrictCharField(max_length=8192, help_text="As the provider's own library gave it to the app.")
    nonce = StrictCharField(
        max_length=200,
        required=False,
        default="",
        allow_blank=True,
        help_text="What the app told that library, if it did.",
    )


class LinkSocialInput(InputSerializer):
    code = StrictCharField(max_length=200, help_text="From the return address.")
    code_verifier = serializers.RegexField(VERIFIER, max_length=128, help_text="Of which the start had the challenge.")


class LinkedAccountOutput(OutputSerializer[Any]):
    """An account at a provider that opens this person's account here."""

    id = serializers.UUIDField()
    provider = serializers.CharField()
    display = serializers.CharField(help_text="How the person knows it: an address or a user name. May be empty.")
    linked_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField()
