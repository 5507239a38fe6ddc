"""ClickPesa's adapter at a server that plays exchanges, and callbacks signed by other code than ours."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from services.payments.providers.clickpesa import ClickPesaGateway
from tests.services import wire

OPTIONS = wire.load("clickpesa", "case")["options"]
KEY = OPTIONS["checksum_key"]
[TOKEN] = wire.exchanges("clickpesa", "token")


@contextmanager
def clickpesa(*exchanges: dict[str, Any]) -> Iterator[ClickPesaGateway]:
    with wire.playing(*exchanges) as (url, _player):
        yield ClickPesaGateway(base_url=url + "/third-parties", **OPTIONS)


def answered(exchange: dict[str, Any], status: int, body: Any) -> dict[str, Any]:
    """`exchange` with another answer: JSON, or text as it stands."""
    return {**exchange, "answer": {"status": status, **({"text": body} if isinstance(body, str) else {"json": body})}}


def tokened(status: int, body: Any) -> dict[str, Any]:
    return answered(TOKEN, status, body)


def with_token(exchange: dict[str, Any], token: str) -> dict[str, Any]:
    """`exchange` as it should be recorded when `token` is in force."""
    request = exchange["request"]
    return {**exchange, "request": {**request, "headers": {**request["headers"], "Authorization": token}}}


def offline(**options: str) -> ClickPesaGateway:
    return ClickPesaGateway(**{"base_url": wire.refused_url(), **OPTIONS, **options})


def signed(payload: dict[str, Any], key: str = KEY) -> bytes:
    """A callback body signed by other code than ours; good for payloads without odd numbers and keys."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    checksum = hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return json.dumps({**payload, "checksum": checksum, "checksumMethod": "canonical"}, ensure_ascii=False).encode()
