"""What Event Grid posts (vendor notes, section 5): events in two schemas, in batches, after two kinds of handshake."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from starlette.requests import Request
from starlette.responses import Response

from services.simulators.config import Config
from services.simulators.control import read_wish, refuse
from services.simulators.ledger.callbacks import DueCallback, NewCallback
from services.simulators.provider import Notice, Signed
from services.simulators.world import JSON, World, world_of

PROVIDER = "azure"
ORIGIN = "eventgrid.azure.net"
ACCEPTED = (200, 201, 202, 203, 204)
# After these it does not try again; 401 is unconfirmed.
GIVEN_UP = (400, 401, 413)


def topic_of(config: Config) -> str:
    """The resource's path."""
    group = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/demo"
    return f"{group}/providers/Microsoft.Communication/communicationServices/{config.azure.resource}"


def is_received(status: int) -> bool:
    """Whether there will be no other try."""
    return status in ACCEPTED or status in GIVEN_UP


def notice_of(world: World, *, kind: str, subject: str, at: float, data: Mapping[str, Any]) -> Notice:
    """One event in the configured schema; every try and every repetition of it has the same id."""
    time_text = moment(at)
    event: dict[str, Any] = {"id": str(uuid4()), "subject": subject, "data": data}
    if world.config.azure.schema == "cloud":
        event |= {"specversion": "1.0", "type": kind, "source": topic_of(world.config), "time": time_text}
    else:
        event |= {"eventType": kind, "topic": topic_of(world.config), "eventTime": time_text}
        event |= {"dataVersion": "1.0", "metadataVersion": "1"}
    return Notice(kind=kind.rsplit(".", 1)[1], body=event)


def moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


def sign(config: Config, callback: DueCallback, now: float) -> Signed:
    """Nothing is signed: an event becomes a batch, in the Event Grid schema always an array."""
    content = json.loads(callback.body)
    is_cloud = config.azure.schema == "cloud"
    if not is_cloud and not isinstance(content, list):
        content = [content]
    headers = {"aeg-event-type": "Notification", "aeg-delivery-count": str(callback.tries)}
    if is_cloud:
        batch = "-batch" if isinstance(content, list) else ""
        headers["Content-Type"] = f"application/cloudevents{batch}+json; charset=utf-8"
    return Signed(body=json.dumps(content).encode(), headers=headers)


async def send_batch(request: Request) -> Response:
    """`{"ids", "repeat"?, "is_reversed"?}`: the reports of these texts in one batch, at once, each `repeat` times."""
    world, wish = world_of(request), await read_wish(request)
    ids, repeat = wish.get("ids"), wish.get("repeat", 1)
    if not isinstance(ids, list) or not isinstance(repeat, int) or not 0 < repeat <= 10:
        raise refuse(400, "ids must be a list, and repeat a number from 1 to 10.")
    provider, events = world.sms_providers[PROVIDER], []
    for id_ in ids:
        text = world.ledger.texts.find(provider=PROVIDER, id=str(id_))
        if text is None:
            raise refuse(404, f"There is no text {id_!r}.")
        events += [notice.body for notice in provider.announce(world, text)]
    events *= repeat
    if wish.get("is_reversed") is True:
        events.reverse()
    if not events or not world.config.azure.callback_url:
        raise refuse(409, "There is nothing to send, or nowhere.")
    batch = NewCallback(
        provider=PROVIDER,
        subject="batch",
        kind="batch",
        body=json.dumps(events).encode(),
        due_at=time.time(),
        tries=world.config.callback_tries,
    )
    world.callbacks.schedule(world.ledger.texts.accept([], [batch]))
    return JSON({"events": len(events)}, status_code=201)


async def shake_hands(request: Request) -> Response:
    """`{"schema"}`: ask the callback address whether it wants events, as at the start of a subscription."""
    world, wish = world_of(request), await read_wish(request)
    schema, url = wish.get("schema", world.config.azure.schema), world.config.azure.callback_url
    if schema not in ("grid", "cloud") or not url:
        raise refuse(400, "schema must be grid or cloud, and there must be an address for callbacks.")
    async with httpx.AsyncClient(timeout=world.config.callback_timeout, trust_env=False) as http:
        if schema == "cloud":
            answer = await http.options(url, headers={"WebHook-Request-Origin": ORIGIN, "WebHook-Request-Rate": "120"})
            is_valid = answer.status_code == 200 and answer.headers.get("WebHook-Allowed-Origin") in (ORIGIN, "*")
        else:
            code = secrets.token_hex(16)
            event = {
                "id": str(uuid4()),
                "topic": "/subscriptions/00000000-0000-0000-0000-000000000000",
                "subject": "",
                "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
                "eventTime": moment(time.time()),
                "data": {"validationCode": code, "validationUrl": f"https://{ORIGIN}/validate?id={code}"},
                "dataVersion": "1",
                "metadataVersion": "1",
            }
            answer = await http.post(url, json=[event], headers={"aeg-event-type": "SubscriptionValidation"})
            is_valid = answer.status_code == 200 and said(answer) == code
    return JSON({"is_valid": is_valid, "status": answer.status_code})


def said(answer: httpx.Response) -> Any:
    try:
        body = answer.json()
    except ValueError:
        return None
    return body.get("validationResponse") if isinstance(body, dict) else None
