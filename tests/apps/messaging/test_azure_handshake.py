"""Event Grid asks before it sends anything, in one way for each of its schemas."""

from __future__ import annotations

import json

import pytest

URL = "/api/v1/messaging/reports/azure/demo-azure-callback-token/"
EVENT = {
    "id": "2d1781af-3a4c-4d7c-bd0c-e34b19da4e66",
    "topic": "/subscriptions/0",
    "subject": "",
    "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
    "eventTime": "2026-11-20T11:22:03Z",
    "data": {"validationCode": "512d38b6", "validationUrl": "https://evil.example/"},
}

pytestmark = pytest.mark.django_db


def test_the_code_of_a_handshake_is_said_back(client):
    response = client.post(URL, json.dumps([EVENT]), content_type="application/json; charset=utf-8")

    assert response.status_code == 200
    assert response.json()["validationResponse"] == "512d38b6"
    assert response.json()["status"] == "success"


def test_event_grid_may_send_cloud_events(client):
    response = client.options(URL, headers={"WebHook-Request-Origin": "eventgrid.azure.net"})

    assert response.status_code == 200
    assert response.headers["WebHook-Allowed-Origin"] == "eventgrid.azure.net"
    assert response.headers["WebHook-Allowed-Rate"] == "*"
    assert response.json()["status"] == "success"


@pytest.mark.parametrize("path", [
    "/api/v1/messaging/reports/azure/another-token/",
    "/api/v1/messaging/reports/nobody/demo-azure-callback-token/",
])  # fmt: skip
def test_nothing_is_said_at_a_wrong_address(client, path):
    posted = client.post(path, json.dumps([EVENT]), content_type="application/json")
    asked = client.options(path, headers={"WebHook-Request-Origin": "eventgrid.azure.net"})

    assert (posted.status_code, asked.status_code) == (404, 404)
    assert "512d38b6" not in posted.text
    assert "WebHook-Allowed-Origin" not in asked.headers


@pytest.mark.parametrize(("path", "origin"), [
    (URL, ""),
    (URL, "evil.example"),
    ("/api/v1/messaging/reports/beem/demo-beem-callback-token/", "eventgrid.azure.net"),
])  # fmt: skip
def test_nobody_else_is_permitted(client, path, origin):
    response = client.options(path, headers={"WebHook-Request-Origin": origin} if origin else {})

    assert response.status_code == 405
    assert response.json()["code"] == "method_not_allowed"
    assert "WebHook-Allowed-Origin" not in response.headers
