"""ChurchSuite: OAuth 2 without OpenID Connect, so there is no `id_token` and nobody vouches for an e-mail address.

Source: the vendor's OpenAPI document (ChurchSuite/churchsuite-api on GitHub, 2.89.2). Unconfirmed: whether the token
endpoint looks at PKCE (unknown parameters are normally ignored), and whether the sign-in page takes `account`.
"""

from __future__ import annotations

from typing import Any

from allauth.account.models import EmailAddress
from allauth.socialaccount.adapter import get_adapter
from allauth.socialaccount.providers.oauth2.provider import OAuth2Provider
from allauth.socialaccount.providers.oauth2.views import OAuth2Adapter
from django.http import HttpRequest

from services.oauth.base import SocialAccountRefused
from services.oauth.dance import AllauthProvider
from services.options import required

KEPT = ("id", "username", "contact_id", "user_type", "status", "mfa_enabled")


class _Adapter(OAuth2Adapter):  # type: ignore[misc]
    provider_id = "churchsuite"
    user_url: str
    account_url: str
    admitted: str

    def complete_login(self, request: HttpRequest, app: Any, token: Any, **_kwargs: Any) -> Any:
        user, church = self._ask(self.user_url, token.token), self._ask(self.account_url, token.token)
        if self.admitted and self.admitted not in (church["uuid"], church["subdomain"]):
            raise SocialAccountRefused
        if user["status"] != "active":
            raise SocialAccountRefused
        return self.get_provider().sociallogin_from_response(request, {**user, "church": church["uuid"]})

    def _ask(self, url: str, token: str) -> dict[str, Any]:
        with get_adapter().get_requests_session() as session:
            response = session.get(url, headers={"Authorization": f"Bearer {token}"})
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        # Documented for the user; whether the church is wrapped too is unconfirmed.
        data: dict[str, Any] = answer.get("data", answer)
        return data


class _Provider(OAuth2Provider):  # type: ignore[misc]
    id = "churchsuite"
    name = "ChurchSuite"
    oauth2_adapter_class = _Adapter

    def extract_uid(self, data: Any) -> str:
        # A user's number is only known to be unique inside a church: alone it would open another church's account.
        if isinstance(data["id"], bool) or not isinstance(data["id"], int) or not isinstance(data["church"], str):
            raise TypeError("id")
        if not data["church"]:
            raise ValueError("church")
        return f"{data['church']}:{data['id']}"

    def extract_common_fields(self, data: Any) -> dict[str, Any]:
        first, _space, last = (data.get("name") or "").partition(" ")
        return {"email": data.get("email"), "username": data.get("username"), "first_name": first, "last_name": last}

    def extract_email_addresses(self, data: Any) -> list[EmailAddress]:
        # A church's administrator writes any address here, and no field says that it was verified.
        return [EmailAddress(email=data["email"], verified=False, primary=True)] if data.get("email") else []

    def extract_extra_data(self, data: Any) -> dict[str, Any]:
        # Not the whole answer: `ical_url` works as a secret.
        return {name: data[name] for name in KEPT if isinstance(data.get(name), str | int | bool)}


class ChurchSuiteSignIn(AllauthProvider):
    """`admitted`: the subdomain or uuid of the one church whose people may sign in; empty admits every church.

    `account` is added to the sign-in page's address when it is not empty.
    """

    code, name = "churchsuite", "ChurchSuite"
    provider_class, adapter_class = _Provider, _Adapter

    def __init__(
        self,
        *,
        client_id: str,
        client_secret: str,
        login_url: str,
        api_url: str,
        account: str = "",
        admitted: str = "",
        sends_pkce: bool = True,
    ) -> None:
        self._admitted = admitted
        super().__init__(
            client_id=required(self.code, "client_id", client_id),
            client_secret=required(self.code, "client_secret", client_secret),
            urls={
                "authorize_url": f"{login_url}/oauth2/authorize",
                "access_token_url": f"{login_url}/oauth2/token",
                "user_url": f"{api_url}/account/users/current",
                "account_url": f"{api_url}/account/info",
            },
            # `account` only to learn which church it is.
            scopes=["user", "account"],
            sends_pkce=sends_pkce,
            authorize_params={"account": account} if account else None,
        )

    def _adapter(self, callback_url: str) -> Any:
        adapter = super()._adapter(callback_url)
        adapter.admitted = self._admitted
        return adapter
