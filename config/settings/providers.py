"""Providers through whom people sign in, from the environment. With the simulators' address each has defaults."""

from __future__ import annotations

from typing import Any

from config.settings.environment import env


def oauth_providers(simulators_url: str | None = None) -> dict[str, Any]:
    """Sign-in providers from the environment: those that have credentials, or half of them (`core.boot` refuses those).

    With `simulators_url` a provider without any of its own is played by the simulator.
    """
    found: dict[str, Any] = {}
    google = {
        "client_ids": env.list("GOOGLE_CLIENT_IDS", default=[]),
        "client_secret": env.str("GOOGLE_CLIENT_SECRET", default=""),
    }
    if any(google.values()):
        found["google"] = _google(google, "https://accounts.google.com", None)
    elif simulators_url is not None:
        demo = {"client_ids": ["demo-google-web", "demo-google-phone"], "client_secret": "demo-google-secret"}
        found["google"] = _google(demo, f"{simulators_url}/google", f"{simulators_url}/google")

    github = {
        "client_id": env.str("GITHUB_CLIENT_ID", default=""),
        "client_secret": env.str("GITHUB_CLIENT_SECRET", default=""),
        "web_url": env.str("GITHUB_WEB_URL", default="https://github.com").rstrip("/"),
        "api_url": env.str("GITHUB_API_URL", default="https://api.github.com").rstrip("/"),
    }
    is_local = simulators_url is not None and not (github["client_id"] or github["client_secret"])
    if is_local:
        github = {
            "client_id": "demo-github-client",
            "client_secret": "demo-github-secret",
            "web_url": f"{simulators_url}/github",
            "api_url": f"{simulators_url}/github/api",
        }
    if github["client_id"] or github["client_secret"]:
        found["github"] = {"BACKEND": "services.oauth.providers.github.GitHubSignIn", "OPTIONS": github}

    churchsuite = {
        "client_id": env.str("CHURCHSUITE_CLIENT_ID", default=""),
        "client_secret": env.str("CHURCHSUITE_CLIENT_SECRET", default=""),
        "login_url": env.str("CHURCHSUITE_LOGIN_URL", default="https://login.churchsuite.com").rstrip("/"),
        "api_url": env.str("CHURCHSUITE_API_URL", default="https://api.churchsuite.com/v2").rstrip("/"),
        "account": env.str("CHURCHSUITE_ACCOUNT", default=""),
        "admitted": env.str("CHURCHSUITE_ADMITTED", default=""),
        "sends_pkce": env.bool("CHURCHSUITE_PKCE", default=True),
    }
    is_local = simulators_url is not None and not (churchsuite["client_id"] or churchsuite["client_secret"])
    if is_local:
        churchsuite |= {
            "client_id": "demo-churchsuite-client",
            "client_secret": "demo-churchsuite-secret",
            "login_url": f"{simulators_url}/churchsuite",
            "api_url": f"{simulators_url}/churchsuite/v2",
        }
    if churchsuite["client_id"] or churchsuite["client_secret"]:
        found["churchsuite"] = {
            "BACKEND": "services.oauth.providers.churchsuite.ChurchSuiteSignIn",
            "OPTIONS": churchsuite,
            "OPTIONAL": ("account", "admitted"),
        }
    return found


def _google(credentials: dict[str, Any], accounts_url: str, local: str | None) -> dict[str, Any]:
    # https://accounts.google.com/.well-known/openid-configuration
    return {
        "BACKEND": "services.oauth.providers.google.GoogleSignIn",
        "OPTIONS": {
            **credentials,
            "authorize_url": f"{accounts_url}/o/oauth2/v2/auth",
            "token_url": f"{local or 'https://oauth2.googleapis.com'}/token",
            "userinfo_url": f"{local or 'https://www.googleapis.com'}/oauth2/v2/userinfo",
            "keys_url": f"{local or 'https://www.googleapis.com'}/oauth2/v3/certs",
            "issuers": [local] if local else ["https://accounts.google.com", "accounts.google.com"],
        },
    }
