"""Questions about messages."""

from __future__ import annotations

from typing import Any

from apps.messaging.models.messages import Message, MessageReference
from apps.tenants.selectors.tenants import list_open_tenant_ids
from core.personal_data import Subject
from core.tenancy import tenant_scope, tenant_transaction


def find_message_reference(*, provider: str, key: str, provider_reference: str = "") -> MessageReference | None:
    """Whose message a provider's report is about: by our key, or where it brings none by the provider's own name.

    Needs no tenant.
    """
    rows = MessageReference.objects.filter(provider=provider)
    if key:
        return rows.filter(key=key).first()
    return rows.filter(provider_reference=provider_reference).order_by("-pk").first() if provider_reference else None


def export_messages(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Messages to a person from the tenants they belong to. Without the text: it may hold a link that opens things."""
    found: list[dict[str, Any]] = []
    for tenant_id in list_open_tenant_ids(user_id=subject.id):
        with tenant_scope(tenant_id), tenant_transaction():
            rows = Message.objects.filter(to__in=subject.addresses).order_by("-created_at", "-pk")
            columns = ("id", "tenant_id", "channel", "to", "subject", "status", "created_at", "sent_at")
            found += rows.values(*columns)[: limit - len(found)]
    return found
