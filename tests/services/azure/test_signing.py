from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from services.azure.signing import AcsSigner
from tests.services import wire

KNOWN = wire.load("azure", "signature_vectors")


@pytest.mark.parametrize("vector", KNOWN["vectors"], ids=["sms", "email"])
def test_the_signatures_of_azures_own_clients_are_ours(vector):
    headers = AcsSigner(KNOWN["endpoint"], KNOWN["access_key"]).headers(
        method=vector["method"],
        target=vector["target"],
        body=vector["body"].encode(),
        at=datetime.fromisoformat(vector["at"]),
    )

    assert headers == {name: vector[name] for name in headers}
    assert len(headers) == 3


@pytest.mark.parametrize(("endpoint", "host"), [
    ("https://kit.communication.azure.com", "kit.communication.azure.com"),
    ("https://kit.communication.azure.com:443/", "kit.communication.azure.com"),
    ("http://127.0.0.1:8001/azure", "127.0.0.1:8001"),
    ("http://simulators:80", "simulators"),
    ("http://simulators:443", "simulators:443"),
])  # fmt: skip
def test_the_host_is_signed_as_it_is_sent(endpoint, host):
    assert AcsSigner(endpoint, KNOWN["access_key"]).host == host


@pytest.mark.parametrize("key", ["", "not base64!", "AAA"])
def test_a_key_that_cannot_be_one_is_named_at_start(key):
    with pytest.raises(ImproperlyConfigured) as caught:
        AcsSigner(KNOWN["endpoint"], key)

    assert not key or key not in str(caught.value)


def test_every_part_is_signed():
    signer, at = AcsSigner(KNOWN["endpoint"], KNOWN["access_key"]), datetime(2026, 11, 20, tzinfo=UTC)
    one: dict[str, Any] = {"method": "POST", "target": "/sms", "body": b"{}", "at": at}
    others: list[dict[str, Any]] = [
        {"method": "GET"},
        {"target": "/sms?"},
        {"body": b"{ }"},
        {"at": at.replace(second=1)},
    ]

    signatures = {signer.headers(**{**one, **other})["Authorization"] for other in [{}, *others]}

    assert len(signatures) == 5
