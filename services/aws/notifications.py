"""What Amazon SNS posts to us: read, and believed only with a signature that Amazon made for a topic of ours.

Facts come from Amazon's pages on verifying SNS messages, and from its own npm `sns-validator`. No maintained Python
library does this (anymail's SES webhook does not look at the signature).
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import load_pem_x509_certificate

from core.exceptions import Malformed
from services.http import Delivery, GatewayUnavailable, HttpClient
from services.reading import read_json

_HOST = re.compile(r"sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?")  # Amazon's own validator
_CERTIFICATE_PATH = re.compile(r"/([A-Za-z0-9_.-]+\.pem)")
CERTIFICATE_CAP = 16 * 1024  # bytes; a real one has about 2 KiB
FUTURE = timedelta(minutes=5)  # how far Amazon's clock may be ahead of ours
SIGNED_FIELDS = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}


class NotificationRejected(Exception):
    """Amazon did not sign this for a topic of ours. Says why, for logs; the caller is told nothing."""


class NotificationType(StrEnum):
    NOTIFICATION = "Notification"
    SUBSCRIPTION = "SubscriptionConfirmation"
    UNSUBSCRIPTION = "UnsubscribeConfirmation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """One genuine SNS message. `message_id` is equal for repetitions of the same one (SNS sends at least once)."""

    type: NotificationType
    message_id: str
    topic: str
    sent_at: datetime
    message: str = field(repr=False)
    subject: str = ""
    token: str = field(default="", repr=False)
    subscribe_url: str = field(default="", repr=False)

    def json(self) -> Any:
        """The message as JSON with exact numbers (SES and SMS events are), or None when it is not readable as such."""
        return read_json(self.message)


def fetch_certificate(url: str) -> bytes:
    """The signing certificate at `url`, which must be Amazon's (`NotificationRejected` otherwise). Remembered.

    Raises `GatewayUnavailable` when it cannot be had just now, so that SNS tries again.
    """
    host, name = _certificate_address(url)
    return _download(host, name)


@lru_cache(maxsize=32)
def _download(host: str, name: str) -> bytes:
    # The client follows no redirects and stops at 1 MiB.
    answer = HttpClient(f"https://{host}", read_timeout=5.0).request("GET", "/{name}", path_values={"name": name})
    if answer.status >= 500 or answer.status in (408, 429):
        raise GatewayUnavailable
    if answer.status != 200 or len(answer.body) > CERTIFICATE_CAP:
        raise NotificationRejected("no certificate there")
    return answer.body


class NotificationReader:
    """Reads what is posted for `topics` (ARNs). Thread-safe.

    `max_age`: how old a message may be. `accepts_sha1`: whether signature version 1 will do; topics can be switched to
    version 2 (SHA-256). `load_certificate` is for tests: whatever it returns, the certificate's address must be
    Amazon's.
    """

    def __init__(
        self,
        topics: Collection[str],
        *,
        max_age: timedelta = timedelta(hours=1),
        accepts_sha1: bool = True,
        load_certificate: Callable[[str], bytes] = fetch_certificate,
    ) -> None:
        self._topics = frozenset(topics)
        self._max_age, self._accepts_sha1, self._load = max_age, accepts_sha1, load_certificate

    def read(self, delivery: Delivery) -> Notification:
        """The message in these bytes, or `NotificationRejected`; `Malformed` for what is no SNS message at all.

        The body is JSON whatever the content type says (SNS says text/plain). Raises `GatewayUnavailable` when the
        certificate cannot be had.
        """
        fields = _text_fields(delivery.body)
        if fields["TopicArn"] not in self._topics:
            raise NotificationRejected("not a topic of ours")  # before any call to anywhere
        try:
            sent_at = datetime.strptime(fields["Timestamp"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        except ValueError:
            raise Malformed from None
        if not -FUTURE <= datetime.now(UTC) - sent_at <= self._max_age:
            raise NotificationRejected("too old, or from the future")
        self._verify(fields)
        return Notification(
            type=NotificationType(fields["Type"]),
            message_id=fields["MessageId"],
            topic=fields["TopicArn"],
            sent_at=sent_at,
            message=fields["Message"],
            subject=fields.get("Subject", ""),
            token=fields.get("Token", ""),
            subscribe_url=fields.get("SubscribeURL", ""),
        )

    def confirm(self, notification: Notification) -> None:
        """Accept a subscription that somebody with our address and a topic of ours has asked for.

        The address is made again from the signed parts; only its host is taken from the message, and must be Amazon's.
        Does nothing for other messages. Raises `GatewayUnavailable` when Amazon does not say yes just now.
        """
        if notification.type is not NotificationType.SUBSCRIPTION:
            return
        host = subscription_host(notification.subscribe_url)
        answer = HttpClient(f"https://{host}").request(
            "GET",
            "/",
            params={"Action": "ConfirmSubscription", "TopicArn": notification.topic, "Token": notification.token},
        )
        if not answer.is_success:
            raise GatewayUnavailable

    def _verify(self, fields: dict[str, str]) -> None:
        version = fields["SignatureVersion"]
        if version == "2":
            algorithm: SHA1 | SHA256 = SHA256()
        elif version == "1" and self._accepts_sha1:
            algorithm = SHA1()  # noqa: S303 - what Amazon signs with, unless the topic is switched to version 2
        else:
            raise NotificationRejected("signature version")
        _certificate_address(fields["SigningCertURL"])
        try:
            signature = b64decode(fields["Signature"], validate=True)
            key = load_pem_x509_certificate(self._load(fields["SigningCertURL"])).public_key()
        except ValueError:
            raise NotificationRejected("unreadable signature or certificate") from None
        if not isinstance(key, RSAPublicKey):
            raise NotificationRejected("not an RSA certificate")
        try:
            key.verify(signature, string_to_sign(fields).encode(), PKCS1v15(), algorithm)
        except (InvalidSignature, UnicodeEncodeError):
            raise NotificationRejected("signature") from None


def string_to_sign(fields: dict[str, str]) -> str:
    """Name and value of each signed field that is there, a line each."""
    return "".join(f"{name}\n{fields[name]}\n" for name in SIGNED_FIELDS[fields["Type"]] if name in fields)


def subscription_host(url: str) -> str:
    """The host of a SubscribeURL, or `NotificationRejected` when it is not Amazon's."""
    host, _path, _query = _amazon_address(url)
    return host


def _certificate_address(url: str) -> tuple[str, str]:
    host, path, query = _amazon_address(url)
    name = _CERTIFICATE_PATH.fullmatch(path)
    if name is None or query:
        raise NotificationRejected("not a certificate's address")
    return host, name[1]


def _amazon_address(url: str) -> tuple[str, str, str]:
    """Host, path and query of an address at SNS, or `NotificationRejected`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise NotificationRejected("unreadable address") from None
    # The whole authority is compared, so that user-info and ports have no place to stand.
    if parts.scheme != "https" or not _HOST.fullmatch(parts.netloc) or parts.fragment:
        raise NotificationRejected("not an address of Amazon's")
    return parts.netloc.lower(), parts.path, parts.query


def _text_fields(body: bytes) -> dict[str, str]:
    """What this module reads of an SNS message, all of it text and the needed parts present, or `Malformed`."""
    value = read_json(body)
    kind = value.get("Type") if isinstance(value, dict) else None
    if not isinstance(kind, str) or kind not in SIGNED_FIELDS:
        raise Malformed
    signed, proof = SIGNED_FIELDS[kind], ("SignatureVersion", "Signature", "SigningCertURL")
    # Others stay unread: a message with attributes brings them along as an object.
    fields = {name: value[name] for name in (*signed, *proof) if value.get(name) is not None}
    if not {*signed, *proof} - {"Subject"} <= fields.keys() or not all(
        isinstance(item, str) for item in fields.values()
    ):
        raise Malformed
    return fields
