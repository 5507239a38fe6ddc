"""Questions about what there is to tell people in the app."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from apps.messaging.models.notifications import Notification
from apps.tenants.selectors.tenants import list_open_tenant_ids
from core.exceptions import NotFound
from core.personal_data import Subject
from core.tenancy import tenant_scope, tenant_transaction

# More are told as this many: nobody reads the difference, and counting them takes as long as there are.
MOST_COUNTED = 1000


def list_notifications(*, user_id: UUID, unread: bool | None = None) -> QuerySet[Notification]:
    """A person's notifications in the current tenant, newest first; only those (not) read yet, if asked."""
    found = Notification.objects.filter(user_id=user_id).order_by("-created_at", "-pk")
    return found if unread is None else found.filter(read_at__isnull=unread)


def get_notification(*, user_id: UUID, notification_id: UUID) -> Notification:
    """One of a person's own, or `NotFound`: somebody else's and a made-up one look the same."""
    found = list_notifications(user_id=user_id).filter(pk=notification_id).first()
    if found is None:
        raise NotFound
    return found


def count_unread(*, user_id: UUID) -> int:
    """How many a person has not read in the current tenant, `MOST_COUNTED` at most.

    An indexed count: the partial index holds nothing but what is unread, so it costs no more than there is to count,
    and unlike a counter in a row it cannot be wrong, nor make everybody who is notified at once wait for one another.
    """
    return list_notifications(user_id=user_id, unread=True).order_by()[:MOST_COUNTED].count()


def export_notifications(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """What a person was told in the app, in the tenants that they belong to."""
    found: list[dict[str, Any]] = []
    for tenant_id in list_open_tenant_ids(user_id=subject.id):
        with tenant_scope(tenant_id), tenant_transaction():
            rows = list_notifications(user_id=subject.id)
            columns = ("id", "tenant_id", "kind", "title", "text", "created_at", "read_at")
            found += rows.values(*columns)[: limit - len(found)]
    return found
