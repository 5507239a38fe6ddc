"""GitHub: plain OAuth 2. Its access tokens name no audience, so none is taken from a phone.

https://docs.github.com/en/apps/oauth-apps/building-oauth-apps/authorizing-oauth-apps
"""

from __future__ import annotations

from typing import Any

from allauth.socialaccount.providers.github.provider import GitHubProvider
from allauth.socialaccount.providers.github.views import GitHubOAuth2Adapter

from services.oauth.dance import AllauthProvider
from services.options import required


class _Provider(GitHubProvider):  # type: ignore[misc]
    def extract_extra_data(self, data: Any) -> dict[str, Any]:
        return {name: data[name] for name in ("login", "name") if isinstance(data.get(name), str)}


class GitHubSignIn(AllauthProvider):
    """`web_url` and `api_url` differ from GitHub's own for an Enterprise server (`https://host`, `https://host/api/v3`)."""

    code, name = "github", "GitHub"
    provider_class, adapter_class = _Provider, GitHubOAuth2Adapter

    def __init__(self, *, client_id: str, client_secret: str, web_url: str, api_url: str) -> None:
        super().__init__(
            client_id=required(self.code, "client_id", client_id),
            client_secret=required(self.code, "client_secret", client_secret),
            urls={
                "authorize_url": f"{web_url}/login/oauth/authorize",
                "access_token_url": f"{web_url}/login/oauth/access_token",
                "profile_url": f"{api_url}/user",
                "emails_url": f"{api_url}/user/emails",
            },
            scopes=["user:email"],
        )
