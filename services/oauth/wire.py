"""django-allauth's way to the outside: its library's interface, our one HTTP client beneath."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import requests
from allauth.socialaccount import app_settings
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from requests.adapters import BaseAdapter

from services.http import HttpClient

OVERHEAD = 3.0  # seconds that a whole call may take beyond the read timeout


@lru_cache(maxsize=32)
def client_for(origin: str, timeout: float) -> HttpClient:
    """The client for one provider's host; `timeout` in seconds."""
    return HttpClient(origin, read_timeout=timeout, deadline=timeout + OVERHEAD)


class _ThroughHttpClient(BaseAdapter):
    """Carries a request of the `requests` library: same limits, deadline, TLS and log line as every other call."""

    def send(self, request: requests.PreparedRequest, *_args: Any, **_kwargs: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        sent = request.body or ""
        form = dict(parse_qsl(sent if isinstance(sent, str) else sent.decode("ascii"), keep_blank_values=True))
        answer = client_for(f"{url.scheme}://{url.netloc}", float(app_settings.REQUESTS_TIMEOUT)).request(
            request.method or "GET",
            url.path.replace("{", "{{").replace("}", "}}"),
            form=form or None,
            params=dict(parse_qsl(url.query)),
            headers={
                name: str(value) for name, value in request.headers.items() if not name.lower().startswith("content-")
            },
            is_question=True,  # a code that was spent for nothing costs the person one more click
        )
        # Redirects, 5xx and what is no JSON end here, as `GatewayUnavailable`.
        answer.refuse_unusable()
        response = requests.Response()
        response.status_code = answer.status
        response.headers.update({"Content-Type": "application/json"} | dict(answer.headers))
        response.encoding = "utf-8"
        response.raw = io.BytesIO(answer.body)
        response.url, response.request = request.url or "", request
        return response

    def close(self) -> None:
        """Connections belong to the process."""


class SocialAccountAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth's adapter has no full types
    """`settings.SOCIALACCOUNT_ADAPTER`: what allauth may do is make calls."""

    def get_requests_session(self) -> requests.Session:
        session = requests.Session()
        session.trust_env = False
        session.headers.clear()
        carrier = _ThroughHttpClient()
        session.mount("https://", carrier)
        session.mount("http://", carrier)
        return session
