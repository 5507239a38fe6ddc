"""The OAuth 2 authorization code flow, danced by django-allauth's classes.

allauth builds the address, exchanges the code and reads the provider's answers; state and PKCE values are given to it,
because it would keep them in a cookie session, which phones do not have.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import requests
from allauth.socialaccount.models import SocialApp, SocialLogin
from allauth.socialaccount.providers.oauth2.client import OAuth2Error
from allauth.socialaccount.providers.oauth2.provider import OAuth2Provider
from allauth.socialaccount.providers.oauth2.views import OAuth2Adapter
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest

from core.exceptions import Unavailable
from services.oauth.base import Identity, SignInProvider, SocialProviderUnavailable, SocialSignInFailed, s256
from services.reading import recordable, storable

logger = logging.getLogger("faraja.oauth")

MAX_NAME = 100
MAX_EMAIL = 254
MAX_UID = 191  # allauth's column


class AllauthProvider(SignInProvider):
    """A provider made of an allauth provider (reads answers) and an allauth adapter (knows addresses, asks who it is).

    A subclass names the two classes and gives the addresses to `__init__`; see docs/adding-a-login-provider.md.
    """

    provider_class: ClassVar[type[OAuth2Provider]]
    adapter_class: ClassVar[type[OAuth2Adapter]]

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        urls: Mapping[str, str],
        scopes: list[str],
        sends_pkce: bool = True,
        authorize_params: Mapping[str, str] | None = None,
    ) -> None:
        """`urls` are attributes of the adapter: `authorize_url`, `access_token_url`, and where it asks who it is."""
        self._app = SocialApp(
            provider=self.code, name=self.name, client_id=client_id, secret=client_secret, settings={"scope": scopes}
        )
        self._urls = dict(urls)
        self._sends_pkce = sends_pkce
        self._authorize_params = dict(authorize_params or {})

    def authorize_url(self, *, callback_url: str, state: str, code_verifier: str) -> str:
        adapter = self._adapter(callback_url)
        client = adapter.get_client(adapter.request, self._app)
        client.state = state
        params = dict(self._authorize_params)
        if self._sends_pkce:
            params |= {"code_challenge": s256(code_verifier), "code_challenge_method": "S256"}
        scope = adapter.get_provider().get_scope()
        return str(client.get_redirect_url(adapter.authorize_url, scope, params))

    def identify(self, *, code: str, callback_url: str, code_verifier: str) -> Identity:
        adapter = self._adapter(callback_url)
        client = adapter.get_client(adapter.request, self._app)
        with in_our_words(self.code):
            answer = client.get_access_token(code, pkce_code_verifier=code_verifier if self._sends_pkce else None)
            adapter.did_fetch_access_token = True
            token = adapter.parse_token(answer)
            return self.read_login(adapter.complete_login(adapter.request, self._app, token, response=answer))

    def read_login(self, login: SocialLogin) -> Identity:
        """What allauth has understood, as an `Identity`."""
        addresses = login.email_addresses
        # The one that the provider calls the main one, and of that the entry that it vouches for.
        addresses = sorted(addresses, key=lambda each: (each.primary, each.verified), reverse=True)
        best = next(iter(addresses), None)
        email = best.email.strip().lower() if best is not None else ""
        uid = storable(login.account.uid)
        if not uid or len(uid) > MAX_UID or len(email) > MAX_EMAIL:
            raise ValueError("uid or e-mail")
        return Identity(
            provider=self.code,
            uid=uid,
            email=storable(email),
            is_email_proven=best is not None and best.primary is True and best.verified is True,
            first_name=storable(login.user.first_name or "", limit=MAX_NAME),
            last_name=storable(login.user.last_name or "", limit=MAX_NAME),
            details=recordable(login.account.extra_data),
        )

    def _adapter(self, callback_url: str) -> Any:
        """An allauth adapter for one call; it would look its provider and its addresses up in places of its own."""
        request = HttpRequest()
        adapter: Any = self.adapter_class(request)
        provider = self.provider_class(request, app=self._app)
        adapter.get_provider = lambda: provider
        adapter.get_callback_url = lambda _request, _app: callback_url
        for name, url in self._urls.items():
            setattr(adapter, name, url)
        return adapter


@contextmanager
def in_our_words(code: str) -> Iterator[None]:
    """Whatever a provider can do wrong becomes one of two refusals; its own words go nowhere."""
    try:
        yield
    except Unavailable:
        raise SocialProviderUnavailable from None
    except (OAuth2Error, requests.RequestException) as error:
        logger.warning("sign-in refused by the provider", extra={"provider": code, "reason": type(error).__name__})
        raise SocialSignInFailed from None
    except (LookupError, TypeError, ValueError, AttributeError, ImproperlyConfigured) as error:
        logger.warning(
            "unreadable answer of a sign-in provider", extra={"provider": code, "reason": type(error).__name__}
        )
        raise SocialProviderUnavailable from None
