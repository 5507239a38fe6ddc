"""Texts and e-mails, and how somebody asks for them."""

from __future__ import annotations

from itertools import count
from typing import Any

from apps.messaging.models.messages import Message
from apps.messaging.services.messages import queue_message
from core.tenancy import tenant_scope
from tests.factories.accounts import Member

_numbers = count(1)


def make_message(member: Member, *, text: str = "Habari", key: str = "", **how: Any) -> Message:
    """A text of the member's tenant, queued."""
    with tenant_scope(member.tenant_id):
        wish = {"channel": "sms", "to": "+255712345678", "key": key or f"made:{next(_numbers)}"} | how
        return queue_message(text=text, **wish)


def a_wish_to_send(**changes: Any) -> dict[str, Any]:
    """A valid body of `POST /api/v1/messaging/messages/`, to a number of its own."""
    return {"channel": "sms", "to": f"+2557540{next(_numbers):05}", "text": "Your order is ready."} | changes
