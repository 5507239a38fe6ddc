"""Finding a message by whatever somebody knows of it, over every tenant. For the platform's staff."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from apps.messaging.models.messages import Message, MessageTry
from core.phones import to_e164
from core.tenancy import rows_of_every_tenant

MAX_TERM = 200


def search_messages(messages: QuerySet[Message], text: str) -> QuerySet[Message]:
    """Those of `messages` that `text` is about: an id, a phone number however it is spelled, an e-mail address, a key
    or a provider's reference, or a part of any of these, or of the tenant's name.
    """
    text = text.strip()[:MAX_TERM]
    if not text:
        return messages
    return messages.filter(_by_id(text) or _by_phone(text) or _by_part(text))


def _by_id(text: str) -> Q | None:
    try:
        row = UUID(text)
    except ValueError:
        return None
    return Q(pk=row) | Q(repeats_id=row) | Q(tenant_id=row) | Q(key__contains=str(row))


def _by_phone(text: str) -> Q | None:
    if text[:1] not in {"0", "+", "2"}:
        return None
    try:
        return Q(to=to_e164(text))
    except ValueError:
        return None


def _by_part(text: str) -> Q:
    tries = rows_of_every_tenant(MessageTry).filter(provider_reference__icontains=text).values("message_id")
    own = Q(to__icontains=text) | Q(key__icontains=text) | Q(provider_reference__icontains=text)
    return own | Q(tenant__name__icontains=text) | Q(pk__in=tries)
