"""What a sign-in provider is: another house's word for who somebody is, in our words.

A provider stores nothing and decides nothing. It says who came back (`Identity`) or raises one of the refusals below;
which account that is, and whether an address is believed, is the business's question.
"""

from __future__ import annotations

import base64
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from django.utils.translation import gettext_lazy as _

from core.exceptions import NotAuthenticated, NotFound, NotPermitted, RuleViolated, Unavailable


class SocialProviderUnknown(NotFound):
    """No such sign-in provider here, or it has no credentials."""

    code = "social_provider_unknown"
    message = _("This way to sign in is not available.")


class SocialProviderUnavailable(Unavailable):
    """The sign-in provider did not answer, or nothing that could be read. Starting again may work."""

    code = "social_provider_unavailable"
    message = _("The sign-in provider cannot be reached right now. Please try again.")


class SocialSignInFailed(RuleViolated):
    """The sign-in provider refused what it was asked. Starting again may work."""

    code = "social_sign_in_failed"
    message = _("Signing in did not work. Please try again.")


class SocialAccountRefused(NotPermitted):
    """The person is known to the provider and may not come in: archived there, or of an organisation not admitted."""

    code = "social_account_refused"
    message = _("This account may not be used to sign in here.")


class IdTokenInvalid(NotAuthenticated):
    """The `id_token` is not the provider's, not for this installation, expired, or has another `nonce`."""

    code = "id_token_invalid"
    message = _("This sign-in could not be verified. Please try again.")


class TokenNotSupported(RuleViolated):
    """This provider's tokens do not say for which app they were given: one given to another app would open the door.

    Use the flow through the browser (`start`).
    """

    code = "token_not_supported"
    message = _("This way to sign in works through the browser only.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who came back, as the provider says. `uid` is the provider's own, unique with `provider`."""

    provider: str
    uid: str
    email: str = ""
    is_email_proven: bool = False  # the provider itself says that the address is theirs
    first_name: str = ""
    last_name: str = ""
    details: Mapping[str, Any] = field(default_factory=dict, repr=False)  # chosen fields, to recognise the account by


class SignInProvider(ABC):
    """One provider. Instances are thread-safe and live as long as the process."""

    code: ClassVar[str]
    name: ClassVar[str]
    takes_id_tokens: ClassVar[bool] = False

    @abstractmethod
    def authorize_url(self, *, callback_url: str, state: str, code_verifier: str) -> str:
        """Where to send the person. `code_verifier` (RFC 7636) stays with us; its S256 challenge travels."""

    @abstractmethod
    def identify(self, *, code: str, callback_url: str, code_verifier: str) -> Identity:
        """Who came back with `code`, or a refusal of this module. Makes calls; hold no transaction."""

    def identify_by_token(self, *, id_token: str, nonce: str = "") -> Identity:
        """Who the holder of an `id_token` is, or `IdTokenInvalid`, `TokenNotSupported`, `SocialProviderUnavailable`."""
        raise TokenNotSupported


def s256(code_verifier: str) -> str:
    """The S256 code challenge of RFC 7636, section 4.2."""
    return base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode("ascii")
