from __future__ import annotations

import json
from typing import Any

import pytest

from core.exceptions import Malformed
from services.azure.event_grid import EventsRejected, permission_headers, read_batch
from services.http import Delivery

RESOURCE = "/subscriptions/0/resourceGroups/g/providers/Microsoft.Communication/communicationServices/kit"
GRID = {
    "id": "1",
    "topic": RESOURCE,
    "subject": "/phonenumber/255712345678",
    "eventType": "Microsoft.Communication.SMSReceived",
    "dataVersion": "1.0",
    "metadataVersion": "1",
    "eventTime": "2026-11-20T11:22:03Z",
    "data": {"message": "Habari"},
}
CLOUD = {
    "id": "1",
    "source": RESOURCE,
    "subject": "/phonenumber/255712345678",
    "type": "Microsoft.Communication.SMSReceived",
    "specversion": "1.0",
    "time": "2026-11-20T11:22:03Z",
    "data": {"message": "Habari"},
}
HANDSHAKE = {
    "id": "2",
    "topic": "/subscriptions/0",
    "subject": "",
    "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    "eventTime": "2026-11-20T11:22:03Z",
    "data": {"validationCode": "512d38b6", "validationUrl": "https://evil.example/"},
}


def delivery(value: Any) -> Delivery:
    return Delivery(body=json.dumps(value).encode())


def test_both_schemas_say_the_same():
    [grid] = read_batch(delivery([GRID])).events

    assert grid.topic == RESOURCE
    assert grid.data == {"message": "Habari"}
    assert "Habari" not in repr(grid)
    assert [read_batch(delivery(body)).events for body in ([CLOUD], CLOUD, GRID)] == [(grid,)] * 3


def test_a_batch_may_mix_and_repeat():
    batch = read_batch(delivery([GRID, {**CLOUD, "id": "3"}, GRID]))

    assert [event.id for event in batch.events] == ["1", "3", "1"]
    assert batch.answer == {}


def test_the_handshake_is_answered_with_its_code():
    batch = read_batch(delivery([HANDSHAKE]), resource="communicationServices/kit")

    assert (batch.events, batch.answer) == ((), {"validationResponse": "512d38b6"})


@pytest.mark.parametrize("resource", ["", "kit", "KIT", "communicationServices/kit", RESOURCE, RESOURCE.upper() + "/"])
def test_events_about_our_resource_are_read(resource):
    assert len(read_batch(delivery([GRID, CLOUD]), resource=resource).events) == 2


@pytest.mark.parametrize("resource", ["it", "kit2", "communicationServices", "x" + RESOURCE])
def test_one_event_about_another_resource_is_rejected_with_its_batch(resource):
    with pytest.raises(EventsRejected):
        read_batch(delivery([{**GRID, "topic": f"/a/{resource}"}, GRID]), resource=resource)
    with pytest.raises(EventsRejected):
        read_batch(delivery([{**CLOUD, "source": None}]), resource=resource)


UNREADABLE: list[dict[str, Any]] = [
    {"id": None}, {"id": ""}, {"eventType": 5}, {"eventType": ""}, {"data": None}, {"data": []},
]  # fmt: skip


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\xff", b"{}", b"[1]", b"[[]]", b'"x"',
    *[json.dumps([{**GRID, **change}]).encode() for change in UNREADABLE],
    json.dumps([{**HANDSHAKE, "data": {}}]).encode(),
    json.dumps([{**HANDSHAKE, "data": {"validationCode": 5}}]).encode(),
    json.dumps([GRID, 1]).encode(),
])  # fmt: skip
def test_junk_is_malformed(body):
    with pytest.raises(Malformed):
        read_batch(Delivery(body=body))


def test_event_grid_is_permitted_to_post_and_nobody_else():
    assert permission_headers({"webhook-request-origin": "eventgrid.azure.net"}) == {
        "WebHook-Allowed-Origin": "eventgrid.azure.net",
        "WebHook-Allowed-Rate": "*",
    }
    assert permission_headers({"webhook-request-origin": "evil.example"}) == {}
    assert permission_headers({}) == {}
