"""Amazon SNS beside moto, which plays Amazon but reports nothing: the forwarder's lines are made here."""

from __future__ import annotations

import atexit
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.server import ThreadedMotoServer
from moto.sns.models import SNSBackend
from moto.sns.responses import SNSResponse

from services.http import Delivery
from services.sms.base import Refusal
from tests.services.sms.stage import Played, Taken, Wish

REGION = "eu-west-1"
# Per special number of docs/simulators.md: what Amazon's log would say.
ENDS = {
    "+255700000101": ("FAILURE", "Phone is currently unreachable/unavailable"),
    "+255700000105": ("FAILURE", "Unknown error attempting to reach phone"),
}


@dataclass(kw_only=True)
class Amazon:
    """A running moto, and every text that it took, with its attributes."""

    url: str
    access_key: str
    secret_key: str
    texts: dict[str, tuple[Taken, dict[str, Any]]] = field(default_factory=dict)


@cache
def amazon() -> Amazon:
    """One for all tests. It knows one person, who may send texts, and checks signatures."""
    for name in ("werkzeug", "moto"):  # they print what they receive
        logging.getLogger(name).setLevel(logging.WARNING)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    atexit.register(server.stop)
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    iam = boto3.session.Session(aws_access_key_id="a", aws_secret_access_key="b").client(
        "iam", region_name=REGION, endpoint_url=url
    )
    iam.create_user(UserName="kit")
    allowed = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sns:*", "Resource": "*"}]}
    iam.put_user_policy(UserName="kit", PolicyName="texts", PolicyDocument=json.dumps(allowed))
    key = iam.create_access_key(UserName="kit")["AccessKey"]
    found = Amazon(url=url, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    publish = SNSBackend.publish

    # Moto keeps neither sender nor attributes.
    def publish_and_note(self: SNSBackend, message: str, **wish: Any) -> str:
        reference: str = publish(self, message, **wish)
        attributes = wish.get("message_attributes") or {}
        sender = attributes.get("AWS.SNS.SMS.SenderID", {}).get("Value", "")
        taken = Taken(phone=wish["phone_number"].removeprefix("+"), sender=sender, text=message)
        found.texts[reference] = taken, attributes
        return reference

    setattr(SNSBackend, "publish", publish_and_note)  # noqa: B010 - for mypy it is no assignment
    setattr(SNSResponse, "_authenticate_and_authorize_action", check_signature)  # noqa: B010
    return found


def check_signature(self: SNSResponse, *args: Any) -> None:
    """Moto checks signatures of every service or of none; here it does so for texts alone."""
    before, settings.INITIAL_NO_AUTH_ACTION_COUNT = settings.INITIAL_NO_AUTH_ACTION_COUNT, 0
    try:
        ActionAuthenticatorMixin._authenticate_and_authorize_action(self, *args)
    finally:
        settings.INITIAL_NO_AUTH_ACTION_COUNT = before


class Case(Played):
    secret = "secret_key"
    has_faults = False
    has_key = False
    refusals = {
        Refusal.NUMBER: Wish(phone="+2557x"),
        Refusal.TEXT: Wish(text="x" * 1601),
        Refusal.ACCOUNT: Wish(options={"secret_key": "not-the-secret"}),
    }
    unplayable = frozenset({Refusal.SENDER})  # moto takes any

    def options(self) -> Mapping[str, Any]:
        server = amazon()
        return {
            "region": REGION,
            "access_key": server.access_key,
            "secret_key": server.secret_key,
            "sender": "FARAJA",
            "endpoint_url": server.url,
        }

    def taken(self, phone: str) -> list[Taken]:
        return [text for text, _attributes in amazon().texts.values() if text.phone == phone.removeprefix("+")]

    def deliveries(self) -> list[Delivery]:
        found = []
        for reference, (text, _attributes) in amazon().texts.items():
            phone = f"+{text.phone}"
            status, response = ENDS.get(phone, ("SUCCESS", "Message has been accepted by phone"))
            line = {
                "notification": {"messageId": reference, "timestamp": "2026-11-20 11:20:00.123"},
                "delivery": {"destination": phone, "providerResponse": response},
                "status": status,
            }
            # A function that fails after its call is run again.
            found += [Delivery(body=json.dumps(line).encode())] * (2 if phone == "+255700000103" else 1)
        return found
