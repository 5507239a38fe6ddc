"""Google: OpenID Connect, through the browser or by an `id_token` that a phone got from Google itself.

https://developers.google.com/identity/openid-connect/openid-connect
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.providers.google.provider import GoogleProvider
from allauth.socialaccount.providers.google.views import GoogleOAuth2Adapter
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from services.oauth.base import Identity
from services.oauth.dance import AllauthProvider, in_our_words
from services.oauth.id_tokens import KeySet, verify_id_token
from services.options import required


class _Provider(GoogleProvider):  # type: ignore[misc]
    def extract_email_addresses(self, data: Any) -> list[EmailAddress]:
        # allauth takes any text for true, "false" too. The userinfo endpoint has its own name for the claim.
        verified = data.get("email_verified", data.get("verified_email")) is True
        return [EmailAddress(email=data["email"], verified=verified, primary=True)] if data.get("email") else []

    def extract_extra_data(self, data: Any) -> dict[str, Any]:
        return {name: data[name] for name in ("email", "name") if isinstance(data.get(name), str)}


class _Adapter(GoogleOAuth2Adapter):  # type: ignore[misc]
    sign_in: GoogleSignIn

    def _decode_id_token(self, app: Any, id_token: str) -> dict[str, Any]:
        return self.sign_in.verify(id_token)


class GoogleSignIn(AllauthProvider):
    """`client_ids`: the web client first (its secret is `client_secret`), then those of the phone apps."""

    code, name = "google", "Google"
    takes_id_tokens = True
    provider_class, adapter_class = _Provider, _Adapter

    def __init__(
        self,
        *,
        client_ids: Sequence[str],
        client_secret: str,
        authorize_url: str,
        token_url: str,
        userinfo_url: str,
        keys_url: str,
        issuers: Sequence[str],
    ) -> None:
        if not client_ids:
            raise ImproperlyConfigured("The sign-in provider google needs the option client_ids; it is empty.")
        self._audiences, self._issuers = list(client_ids), list(issuers)
        self.keys = KeySet(keys_url)
        super().__init__(
            client_id=required(self.code, "client_ids", client_ids[0]),
            client_secret=required(self.code, "client_secret", client_secret),
            urls={"authorize_url": authorize_url, "access_token_url": token_url, "identity_url": userinfo_url},
            scopes=["openid", "email", "profile"],
        )

    def verify(self, id_token: str, *, nonce: str = "") -> dict[str, Any]:
        """The claims of an `id_token` for one of our clients, or `IdTokenInvalid`."""
        return verify_id_token(id_token, keys=self.keys, issuers=self._issuers, audiences=self._audiences, nonce=nonce)

    def identify_by_token(self, *, id_token: str, nonce: str = "") -> Identity:
        claims = self.verify(id_token, nonce=nonce)
        with in_our_words(self.code):
            request = HttpRequest()
            provider = self.provider_class(request, app=self._app)
            return self.read_login(provider.sociallogin_from_response(request, claims))

    def _adapter(self, callback_url: str) -> Any:
        adapter = super()._adapter(callback_url)
        adapter.sign_in = self
        return adapter
