"""What Azure Event Grid posts to us: batches of events in either of its schemas, and its two handshakes.

Nothing is signed: the secret in the path is all that shows the origin, and it is checked before any of this is read.
Facts come from Azure's pages on webhook delivery, validation and the two event schemas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from core.exceptions import Malformed
from services.http import Delivery
from services.reading import read_json

ORIGIN = "eventgrid.azure.net"
VALIDATION = "Microsoft.EventGrid.SubscriptionValidationEvent"


class EventsRejected(Exception):
    """The events are about a resource that is not ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GridEvent:
    """One event. `id` is equal for repetitions of the same one: Event Grid sends at least once, in any order."""

    id: str
    type: str
    topic: str  # the resource, as a path: "/subscriptions/.../communicationServices/name"
    subject: str
    time: str  # RFC 3339
    data: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class GridBatch:
    """All events of one delivery, without the handshake's; `answer` is what Event Grid wants to hear, with status 200.

    Each event stands for itself: their order means nothing.
    """

    events: tuple[GridEvent, ...]
    answer: Mapping[str, Any]


def read_batch(delivery: Delivery, *, resource: str = "") -> GridBatch:
    """The events of a delivery, in the Event Grid schema or as CloudEvents 1.0, alone or in an array.

    `resource`: the last part of our resource's path or all of it; empty: any. Raises `EventsRejected` when one event
    is about another, `Malformed` for what is no events at all. A handshake is answered with its code; its address is
    never fetched, because anyone who knew ours could name any address.
    """
    value = read_json(delivery.body)
    items = value if isinstance(value, list) else [value]
    if not items or not all(isinstance(item, dict) for item in items):
        raise Malformed
    events = [_read(item) for item in items]
    answer: dict[str, Any] = {}
    for event in events:
        if event.type == VALIDATION:
            code = event.data.get("validationCode")
            if not isinstance(code, str) or not code:
                raise Malformed
            answer = {"validationResponse": code}
    # A handshake may name only the subscription as its topic (Azure's example does).
    found = tuple(event for event in events if event.type != VALIDATION)
    wanted = resource.strip("/").lower()
    if wanted and not all(f"/{event.topic.strip('/').lower()}".endswith(f"/{wanted}") for event in found):
        raise EventsRejected
    return GridBatch(events=found, answer=answer)


def permission_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """What to answer an OPTIONS request with, the handshake of CloudEvents; empty when it is not Event Grid's.

    `headers` have lower-case names. WebHook-Request-Callback is not followed, as above.
    """
    if headers.get("webhook-request-origin", "").strip().lower() != ORIGIN:
        return {}
    return {"WebHook-Allowed-Origin": ORIGIN, "WebHook-Allowed-Rate": "*"}


def _read(item: Mapping[str, Any]) -> GridEvent:
    is_cloud = "specversion" in item
    names = ("type", "source", "time") if is_cloud else ("eventType", "topic", "eventTime")
    kind, topic, time = (item.get(name) for name in names)
    event_id, subject, data = item.get("id"), item.get("subject", ""), item.get("data")
    if not (isinstance(event_id, str) and event_id and isinstance(kind, str) and kind and isinstance(data, dict)):
        raise Malformed
    return GridEvent(
        id=event_id,
        type=kind,
        topic=topic if isinstance(topic, str) else "",
        subject=subject if isinstance(subject, str) else "",
        time=time if isinstance(time, str) else "",
        data=data,
    )
