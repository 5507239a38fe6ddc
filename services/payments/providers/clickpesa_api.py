"""Calls to ClickPesa: the token, the checksum on what is sent, and what a refusal means.

Facts come from ClickPesa's docs (docs.clickpesa.com: API reference, "checksum", error texts).
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from time import monotonic
from typing import Any, NoReturn

from services.http import READ_TIMEOUT, Answer, GatewayUnavailable, HttpClient, is_header_safe
from services.payments.base import GatewayRefused
from services.payments.providers.clickpesa_checksum import canonical_checksum
from services.reading import storable

TOKEN_LIFETIME = 50 * 60.0  # seconds; a token lives an hour

# ClickPesa's words in a 400 (API reference, error texts), and ours.
REFUSALS = (
    ("insufficient balance", "insufficient_funds"),
    ("checksum", "checksum"),
    ("order reference", "reference"),
    ("phone number", "phone"),
    ("has no access", "not_enabled"),
    ("client id", "credentials"),
)


class ClickPesaApi:
    """One ClickPesa application, spoken to with its token. Thread-safe."""

    def __init__(self, *, base_url: str, client_id: str, api_key: str, checksum_key: str, read_timeout: float) -> None:
        self._credentials = {"client-id": client_id, "api-key": api_key}
        self._checksum_key = checksum_key
        self._http = HttpClient(base_url, read_timeout=min(read_timeout, READ_TIMEOUT))
        self._token, self._token_ends_at = "", 0.0
        self._token_lock = threading.Lock()

    def signed(self, wish: Mapping[str, Any]) -> dict[str, Any]:
        """`wish` with its checksum, where the application has a key."""
        if not self._checksum_key:
            return dict(wish)
        return {**wish, "checksum": canonical_checksum(wish, self._checksum_key)}

    def call(self, method: str, path: str, **wire: Any) -> Answer:
        """One call with a token; after a 401, one more with a new token (the first was not looked at)."""
        token = self.fresh_token(stale="")
        answer = self._http.request(method, path, headers={"Authorization": token}, **wire)
        if answer.status != 401:
            return answer
        token = self.fresh_token(stale=token)
        answer = self._http.request(method, path, headers={"Authorization": token}, **wire)
        if answer.status == 401:
            raise GatewayRefused("credentials", message_of(answer))
        return answer

    def ask(self, path: str, **wire: Any) -> Any:
        """What a GET answers. Raises `GatewayUnavailable` or `GatewayRefused`."""
        return accepted(self.call("GET", path, **wire))

    def renew_token(self) -> None:
        """Fetch a token, whether or not there is one. Raises `GatewayUnavailable` or `GatewayRefused`."""
        self.fresh_token(stale=self._token)

    def fresh_token(self, *, stale: str) -> str:
        """The cached token unless it is old or `stale`. Raises `GatewayUnavailable` or `GatewayRefused`.

        Fetched under the lock: one thread asks, the others wait for its answer instead of asking too.
        """
        with self._token_lock:
            if self._token in ("", stale) or monotonic() >= self._token_ends_at:
                asked_at = monotonic()
                self._token = ""
                self._token = self._fetch_token()
                self._token_ends_at = asked_at + TOKEN_LIFETIME
            return self._token

    def _fetch_token(self) -> str:
        # A question: whatever happens to it, nothing has been charged.
        answer = self._http.request("POST", "/generate-token", headers=self._credentials, is_question=True)
        answer.refuse_unusable()
        if not answer.is_success:
            raise GatewayRefused("credentials", message_of(answer))
        body = answer.json()
        token = body.get("token") if isinstance(body, dict) else None
        if not isinstance(token, str) or not token or not is_header_safe(token):
            raise GatewayUnavailable
        return token if token.startswith("Bearer ") else f"Bearer {token}"


def accepted(answer: Answer) -> Any:
    """The parsed body of a 2xx. Raises `GatewayRefused` for a 4xx, and what `Answer.refuse_unusable` raises."""
    answer.refuse_unusable()
    if not answer.is_success:
        _refuse(answer)
    return answer.json()


def found_under(answer: Answer, reference: str) -> list[dict[str, Any]]:
    """Our items, oldest first, of an answer that lists what stands under `reference`; none when nothing does.

    Raises as `accepted` does, and `GatewayUnavailable` for an answer about something else, which does not say that
    ours was never made.
    """
    if answer.status == 404:
        # A page of HTML is a wrong address or a wall in front of ClickPesa, not its word that nothing is there.
        if answer.json():
            return []
        raise GatewayUnavailable
    found = accepted(answer)
    if not isinstance(found, list):
        raise GatewayUnavailable
    ours = [item for item in found if isinstance(item, dict) and item.get("orderReference") == reference]
    if found and not ours:
        raise GatewayUnavailable
    # ISO times of one form sort as text.
    return sorted(ours, key=lambda item: str(item.get("createdAt", "")))


def message_of(answer: Answer) -> str:
    """ClickPesa's error text; it comes as a string or as a list of them."""
    body = answer.json()
    message = body.get("message") if isinstance(body, dict) else None
    parts = message if isinstance(message, list) else [message]
    return storable("; ".join(part for part in parts if isinstance(part, str)), limit=500) or f"HTTP {answer.status}"


def _refuse(answer: Answer) -> NoReturn:
    detail = message_of(answer)
    by_status = {403: "credentials", 404: "no_payment_method"}
    by_words = (ours for theirs, ours in REFUSALS if theirs in detail.lower())
    raise GatewayRefused(by_status.get(answer.status) or next(by_words, "invalid_request"), detail)
