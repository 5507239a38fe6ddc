"""Amazon's part in tests: a key, a certificate for it, and messages signed as SNS signs them."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA1, SHA256

TOPIC = "arn:aws:sns:eu-west-1:123456789012:texts"
CERTIFICATE_URL = "https://sns.eu-west-1.amazonaws.com/SimpleNotificationService-0123456789abcdef.pem"
NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
CONFIRMATION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")


@cache
def key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


@cache
def certificate() -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "sns.amazonaws.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key().public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key(), SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM)


def load_certificate(url: str) -> bytes:
    """What stands in for the download."""
    assert url == CERTIFICATE_URL
    return certificate()


def signed(message: Any, *, version: str = "2", **fields: str) -> bytes:
    """The body of a genuine message; `message` is text, or what becomes JSON. `fields` replace or add to the usual."""
    now = datetime.now(UTC)
    body = {
        "Type": "Notification",
        "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
        "TopicArn": TOPIC,
        "Message": message if isinstance(message, str) else json.dumps(message),
        "Timestamp": now.strftime("%Y-%m-%dT%H:%M:%S.") + f"{now.microsecond // 1000:03}Z",
        "SignatureVersion": version,
        "SigningCertURL": CERTIFICATE_URL,
        **fields,
    }
    names = NOTIFICATION if body["Type"] == "Notification" else CONFIRMATION
    text = "".join(f"{name}\n{body[name]}\n" for name in names if name in body)
    algorithm: SHA1 | SHA256 = SHA1() if version == "1" else SHA256()  # noqa: S303 - version 1 is SHA-1
    body["Signature"] = b64encode(key().sign(text.encode(), PKCS1v15(), algorithm)).decode()
    return json.dumps(body).encode()


def subscription(host: str = "sns.eu-west-1.amazonaws.com", **fields: str) -> bytes:
    """The body of a genuine question whether we want to be subscribed."""
    return signed(
        "You have chosen to subscribe to the topic.",
        **{
            "Type": "SubscriptionConfirmation",
            "Token": "a-token",
            "SubscribeURL": f"https://{host}/?Action=ConfirmSubscription&TopicArn={TOPIC}&Token=a-token",
            **fields,
        },
    )
