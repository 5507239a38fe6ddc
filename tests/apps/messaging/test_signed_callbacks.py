"""A callback of a provider that signs, at our own door."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest
from django.conf import settings as configured
from django.test import Client

from services.simulators.twilio.signing import signature

PATH = "/api/v1/messaging/reports/twilio/demo-twilio-callback-token/"
FIELDS = {"MessageSid": "SM1", "MessageStatus": "delivered", "To": "+255712345678"}
SIGNED = {name: [value] for name, value in FIELDS.items()}


@pytest.fixture
def behind_a_proxy(settings) -> str:
    """The address of this API as the world knows it, which is not where the request arrives."""
    settings.PUBLIC_URL = "https://api.example.org"
    address: str = settings.PUBLIC_URL
    return address


def post(path: str, signed: str, fields: dict[str, str]) -> Any:
    return Client().post(
        path,
        urlencode(fields),
        content_type="application/x-www-form-urlencoded",
        headers={"X-Twilio-Signature": signed},
    )


@pytest.mark.django_db
def test_a_callback_is_believed_for_the_public_address_with_its_query(behind_a_proxy):
    path = f"{PATH}?key={uuid4().hex}"
    token = configured.SMS_GATEWAYS["twilio"]["OPTIONS"]["auth_token"]

    genuine = post(path, signature(token, behind_a_proxy + path, SIGNED), FIELDS)

    assert (genuine.status_code, genuine.json()["status"]) == (200, "success")
    forgeries = {
        "another key": post(f"{PATH}?key={uuid4().hex}", signature(token, behind_a_proxy + path, SIGNED), FIELDS),
        "another status": post(
            path, signature(token, behind_a_proxy + path, SIGNED), {**FIELDS, "MessageStatus": "failed"}
        ),
        "another host": post(path, signature(token, "http://testserver" + path, SIGNED), FIELDS),
        "another secret": post(path, signature("x", behind_a_proxy + path, SIGNED), FIELDS),
    }
    told = {name: (answer.status_code, answer.json()["code"]) for name, answer in forgeries.items()}
    assert told == dict.fromkeys(forgeries, (401, "webhook_rejected"))


@pytest.mark.django_db
def test_a_provider_that_calls_nobody_back_has_no_door():
    answer = Client().post("/api/v1/messaging/reports/nextsms/anything/", b"{}", content_type="application/json")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
