"""A fixture that notices calls to the outside world: connections other than those to our own stores."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.conf import settings


@dataclass
class Wire:
    """Where this process connected to. PostgreSQL's library has sockets of its own, and Redis is expected."""

    calls: list[Any] = field(default_factory=list)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Wire:
    """Every address to which Python code connects during the test."""
    spy, redis_port = Wire(), urlsplit(settings.REDIS_URL).port
    connect = socket.socket.connect

    def noticed(self: socket.socket, address: Any) -> None:
        if not (isinstance(address, tuple) and address[1] == redis_port):
            spy.calls.append(address)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", noticed)
    return spy
