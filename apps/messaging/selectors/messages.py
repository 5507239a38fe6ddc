"""Questions about messages."""

from __future__ import annotations

from typing import Any

from apps.messaging.models.messages import Message, MessageReference
from apps.tenants.selectors.tenants import list_open_tenant_ids
from core.personal_data import Subject
from core.tenancy import tenant_scope, tenant_transaction


def find_message_reference(*, provider: str, key: str) -> MessageReference | None:
    """Whose message a provider's report is about. Needs no tenant."""
    return MessageReference.objects.filter(provider=provider, key=key).first()


def export_messages(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Messages to a person from the tenants they belong to. Without the text: it may hold a link that opens things."""
    found: list[dict[str, Any]] = []
    for tenant_id in list_open_tenant_ids(user_id=subject.id):
        with tenant_scope(tenant_id), tenant_transaction():
            rows = Message.objects.filter(to__in=subject.addresses).order_by("-created_at", "-pk")
            columns = ("id", "tenant_id", "channel", "to", "subject", "status", "created_at", "sent_at")
            found += rows.values(*columns)[: limit - len(found)]
    return found
