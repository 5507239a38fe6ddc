"""People who sign in through somebody else, against the simulated providers."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import jwt
from allauth.socialaccount.models import SocialAccount
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.utils import timezone
from jwt.algorithms import RSAAlgorithm
from rest_framework.test import APIClient

from apps.accounts.models import SocialFlow
from apps.accounts.selectors import LinkedAccount, list_linked_accounts
from apps.accounts.services.social_flows import continue_flow
from services.oauth.base import Identity, s256
from services.oauth.providers.google import GoogleSignIn
from services.oauth.registry import get_sign_in_provider
from tests.factories.accounts import Member

SOCIAL = "/api/v1/auth/social"
# From RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def query_of(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


@dataclass
class Traveller:
    """A client of ours, the browser in front of it, and the way through a provider. Each step can be done alone."""

    provider: str = "google"
    redirect: str = "web"
    api: APIClient = field(default_factory=APIClient)
    browser: APIClient | None = None  # another one than the client, as a phone has
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))

    def start(self, **changes: Any) -> Any:
        body = {"code_challenge": s256(self.verifier), "redirect": self.redirect, "state": "af0ifjsldkj", **changes}
        return self.api.post(f"{SOCIAL}/{self.provider}/start/", body, format="json")

    def agree(self, authorize_url: str, person: str = "asha") -> str:
        """Sign in at the provider; where it sends the browser."""
        answer = httpx.get(authorize_url, params={**query_of(authorize_url), "person": person}, trust_env=False)
        assert answer.status_code == 302, answer.text
        return answer.headers["location"]

    def come_back(self, callback_url: str) -> str:
        """Where our callback sends the browser on to."""
        parts = urlsplit(callback_url)
        answer = (self.browser or self.api).get(f"{parts.path}?{parts.query}")
        assert answer.status_code == 302, answer.content
        return str(answer.headers["Location"])

    def travel(self, person: str = "asha") -> dict[str, str]:
        """From the start to the return address; what stands in its query."""
        return query_of(self.come_back(self.agree(self.start().json()["data"]["authorize_url"], person)))

    def exchange(self, code: str, **changes: Any) -> Any:
        body = {"code": code, "code_verifier": self.verifier, "transport": "body", **changes}
        return self.api.post(f"{SOCIAL}/exchange/", body, format="json")

    def sign_in(self, person: str = "asha", **changes: Any) -> Any:
        return self.exchange(self.travel(person)["code"], **changes)


def make_code(**identity: Any) -> str:
    """The code of a flow that has come back, without a provider. Its verifier is `VERIFIER`."""
    flow = SocialFlow.objects.create(
        provider="google",
        redirect_url="https://app.faraja.test/social",
        code_challenge=CHALLENGE,
        callback_url="http://testserver",
        is_browser_bound=True,
        expires_at=timezone.now() + timedelta(minutes=10),
    )
    told = {"provider": "google", "uid": secrets.token_hex(8)} | identity
    return continue_flow(flow=flow, identity=Identity(**told))[0]


def make_linked_account(member: Member, **details: Any) -> LinkedAccount:
    """An account at Google that opens the member's."""
    SocialAccount.objects.create(user=member.user, provider="google", uid=secrets.token_hex(8), extra_data=details)
    return list_linked_accounts(user_id=member.user.pk)[-1]


@cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def make_id_token() -> str:
    """A token as Google signs them, with a key of which this process has heard already."""
    google = get_sign_in_provider("google")
    assert isinstance(google, GoogleSignIn)
    google.keys.remember({"keys": [{**json.loads(RSAAlgorithm.to_jwk(_key().public_key())), "kid": "one"}]})
    options, now = settings.OAUTH_PROVIDERS["google"]["OPTIONS"], int(time.time())
    subject = secrets.token_hex(8)
    claims = {"iss": options["issuers"][0], "aud": options["client_ids"][-1], "iat": now, "exp": now + 600}
    told = {"sub": subject, "email": f"{subject}@example.com", "email_verified": True}
    return jwt.encode(claims | told, _key(), algorithm="RS256", headers={"kid": "one"})
