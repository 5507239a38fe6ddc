"""Questions about messages."""

from __future__ import annotations

from apps.messaging.models import MessageReference


def find_message_reference(*, provider: str, key: str) -> MessageReference | None:
    """Whose message a provider's report is about. Needs no tenant."""
    return MessageReference.objects.filter(provider=provider, key=key).first()
