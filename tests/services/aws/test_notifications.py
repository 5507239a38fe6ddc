from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
import time_machine

from core.exceptions import Malformed
from services.aws import notifications
from services.aws.notifications import (
    NotificationReader,
    NotificationRejected,
    NotificationType,
    fetch_certificate,
    string_to_sign,
    subscription_host,
)
from services.http import Delivery, GatewayUnavailable, HttpClient
from tests.services import wire
from tests.services.aws import amazon

VECTOR = wire.load("aws", "notification")
FIELDS: dict[str, str] = VECTOR["fields"]


def reader(**options: Any) -> NotificationReader:
    return NotificationReader([amazon.TOPIC], load_certificate=amazon.load_certificate, **options)


def read_vector(**changes: str | None) -> notifications.Notification:
    fields = {name: value for name, value in {**FIELDS, **changes}.items() if value is not None}
    topics = [FIELDS["TopicArn"], changes.get("TopicArn") or ""]
    with time_machine.travel(VECTOR["at"], tick=False):
        loaded = NotificationReader(topics, load_certificate=lambda url: VECTOR["certificate"].encode())
        return loaded.read(Delivery(body=json.dumps(fields).encode(), headers={"content-type": "text/plain"}))


@contextmanager
def amazon_answers(monkeypatch: pytest.MonkeyPatch, *answers: bytes) -> Iterator[list[wire.Heard]]:
    """A local server in Amazon's place: only where the connection goes is exchanged, after every check."""
    handler, heard = wire.answering(*answers)
    with wire.listening(handler) as url:
        monkeypatch.setattr(notifications, "HttpClient", lambda base_url, **options: HttpClient(url, **options))
        notifications._download.cache_clear()
        yield heard
    notifications._download.cache_clear()


def test_the_published_vector_is_read():
    notification = read_vector()

    assert string_to_sign(FIELDS) == VECTOR["string_to_sign"]
    assert notification.type is NotificationType.NOTIFICATION
    assert (notification.topic, notification.message_id) == (FIELDS["TopicArn"], FIELDS["MessageId"])
    assert notification.json()["eventType"] == "Bounce"
    assert "Bounce" not in repr(notification)


@pytest.mark.parametrize("changes", [
    {"Message": FIELDS["Message"] + " "},
    {"MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf325"},
    {"Subject": "Another"},
    {"Subject": None},
    {"Timestamp": "2026-11-20T11:20:02.124Z"},
    {"TopicArn": FIELDS["TopicArn"] + "2"},
    {"Type": "SubscriptionConfirmation", "Token": "t", "SubscribeURL": "https://sns.us-east-1.amazonaws.com/"},
    {"SignatureVersion": "1"},
    {"SignatureVersion": "3"},
    {"Signature": "AAAA"},
    {"Signature": "no base64!"},
])  # fmt: skip
def test_one_altered_field_is_rejected(changes):
    with pytest.raises(NotificationRejected):
        read_vector(**changes)


def test_what_is_not_signed_does_not_matter():
    assert read_vector(UnsubscribeURL="https://elsewhere.example/") == read_vector()


def test_a_topic_that_is_not_ours_is_rejected_before_anything_is_fetched():
    def never(url: str) -> bytes:
        raise AssertionError(url)

    with pytest.raises(NotificationRejected):
        NotificationReader(["arn:aws:sns:eu-west-1:1:ours"], load_certificate=never).read(
            Delivery(body=amazon.signed("hello"))
        )


@pytest.mark.parametrize("url", [
    "http://sns.eu-west-1.amazonaws.com/a.pem",
    "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
    "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
    "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
    "https://user@sns.eu-west-1.amazonaws.com/a.pem",
    "https://sns.eu-west-1.amazonaws.com:444/a.pem",
    "https://snsxeu-west-1.amazonaws.com/a.pem",
    "https://s3.eu-west-1.amazonaws.com/a.pem",
    "https://sns.eu.amazonaws.com/a.pem",
    "https://sns.eu-west-1.amazonaws.com/a.txt",
    "https://sns.eu-west-1.amazonaws.com/a/../b.pem",
    "https://sns.eu-west-1.amazonaws.com/a.pem?x=1",
    "https://sns.eu-west-1.amazonaws.com/a.pem#x",
    "https://[sns.eu-west-1.amazonaws.com/a.pem",
    "/a.pem",
    "",
])  # fmt: skip
def test_a_certificate_from_elsewhere_is_never_loaded(url):
    def never(url: str) -> bytes:
        raise AssertionError(url)

    with pytest.raises(NotificationRejected):
        NotificationReader([amazon.TOPIC], load_certificate=never).read(
            Delivery(body=amazon.signed("hello", SigningCertURL=url))
        )
    with pytest.raises(NotificationRejected):
        fetch_certificate(url)


def test_both_signature_versions_are_read_unless_the_first_is_refused():
    first, second = Delivery(body=amazon.signed("a", version="1")), Delivery(body=amazon.signed("b", version="2"))

    assert [reader().read(delivery).message for delivery in (first, second)] == ["a", "b"]
    assert reader(accepts_sha1=False).read(second).message == "b"
    with pytest.raises(NotificationRejected):
        reader(accepts_sha1=False).read(first)


def test_a_message_with_attributes_of_its_own_is_read():
    fields = {
        **json.loads(amazon.signed("a", Subject="S")),
        "MessageAttributes": {"x": {"Type": "String", "Value": "1"}},
    }

    assert reader().read(Delivery(body=json.dumps(fields).encode())).subject == "S"


@pytest.mark.parametrize("seconds", [-3601, 301])
def test_an_old_message_or_one_from_the_future_is_rejected(seconds):
    with time_machine.travel("2026-11-20T12:00:00Z", tick=False) as now:
        now.shift(timedelta(seconds=seconds))
        delivery = Delivery(body=amazon.signed("a"))
        now.shift(timedelta(seconds=-seconds))

        with pytest.raises(NotificationRejected):
            reader().read(delivery)
        assert reader(max_age=timedelta(hours=2)).read(delivery) if seconds < 0 else True


UNREADABLE: list[dict[str, Any]] = [
    {"Type": "Other"}, {"Message": {}}, {"Message": None}, {"Subject": 5}, {"Timestamp": "now"},
]  # fmt: skip


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"Type": "Notification"}', b'{"Type": []}',
    *[json.dumps({**json.loads(amazon.signed("a")), **change}).encode() for change in UNREADABLE],
    json.dumps({**json.loads(amazon.subscription()), "Token": None}).encode(),
])  # fmt: skip
def test_junk_is_malformed(body):
    with pytest.raises(Malformed):
        reader().read(Delivery(body=body))


@pytest.mark.parametrize("certificate", [b"", b"junk", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])
def test_an_unreadable_certificate_proves_nothing(certificate):
    unreadable = NotificationReader([amazon.TOPIC], load_certificate=lambda url: certificate)

    with pytest.raises(NotificationRejected):
        unreadable.read(Delivery(body=amazon.signed("a")))


def test_a_certificate_is_fetched_once(monkeypatch):
    with amazon_answers(monkeypatch, wire.answer(200, amazon.certificate())) as heard:
        plain = NotificationReader([amazon.TOPIC])
        read = [plain.read(Delivery(body=amazon.signed(text))).message for text in ("a", "b")]

    assert read == ["a", "b"]
    assert [(request.method, request.target) for request in heard] == [
        ("GET", "/SimpleNotificationService-0123456789abcdef.pem")
    ]


@pytest.mark.parametrize(("answer", "error"), [
    (wire.answer(302, b"", "Location: http://127.0.0.1/"), NotificationRejected),
    (wire.answer(403, b"<Error/>"), NotificationRejected),
    (wire.answer(200, b"x" * 20_000), NotificationRejected),
    (wire.answer(503, b""), GatewayUnavailable),
    (wire.answer(200, b"x" * 1_100_000), GatewayUnavailable),
])  # fmt: skip
def test_a_certificate_that_cannot_be_had_proves_nothing(monkeypatch, answer, error):
    with amazon_answers(monkeypatch, answer) as heard, pytest.raises(error):
        NotificationReader([amazon.TOPIC]).read(Delivery(body=amazon.signed("a")))

    assert len(heard) == 1


def test_a_subscription_is_confirmed_with_what_was_signed(monkeypatch):
    with amazon_answers(monkeypatch, wire.answer(200, b"<ConfirmSubscriptionResponse/>")) as heard:
        notification = reader().read(Delivery(body=amazon.subscription()))
        reader().confirm(notification)
        reader().confirm(reader().read(Delivery(body=amazon.signed("a"))))

    assert notification.type is NotificationType.SUBSCRIPTION
    assert [request.target for request in heard] == [
        "/?Action=ConfirmSubscription&TopicArn=arn%3Aaws%3Asns%3Aeu-west-1%3A123456789012%3Atexts&Token=a-token"
    ]


def test_leaving_a_topic_is_never_undone(monkeypatch):
    with amazon_answers(monkeypatch, wire.answer()) as heard:
        left = reader().read(Delivery(body=amazon.subscription(Type="UnsubscribeConfirmation")))
        reader().confirm(left)

    assert heard == []


def test_a_subscription_is_confirmed_at_amazon_only(monkeypatch):
    with amazon_answers(monkeypatch, wire.answer()) as heard:
        notification = reader().read(Delivery(body=amazon.subscription("evil.example")))
        with pytest.raises(NotificationRejected):
            reader().confirm(notification)

    assert heard == []
    assert subscription_host("https://sns.cn-north-1.amazonaws.com.cn/?x=1") == "sns.cn-north-1.amazonaws.com.cn"


def test_a_confirmation_that_amazon_refuses_may_be_tried_again(monkeypatch):
    notification = reader().read(Delivery(body=amazon.subscription()))

    with amazon_answers(monkeypatch, wire.answer(403)), pytest.raises(GatewayUnavailable):
        reader().confirm(notification)
