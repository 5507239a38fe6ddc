"""Use cases for the in-app inbox: tell somebody, and note that they have read it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from apps.accounts.selectors import find_user
from apps.messaging.channels import Channel
from apps.messaging.models.notifications import Notification
from apps.messaging.selectors.notifications import get_notification, list_notifications
from apps.messaging.selectors.people import wants
from apps.messaging.services.templates import render
from apps.payments.selectors.payments import get_payment
from apps.tenants.selectors.members import find_member
from apps.tenants.selectors.tenants import list_tenant_ids
from core.purge import delete_in_batches
from core.tenancy import current_tenant_id, tenant_atomic, tenant_scope, tenant_transaction

MAX_TITLE, MAX_TEXT = 200, 2_000


@tenant_atomic
def notify(
    *, user_id: UUID, key: str, kind: str, title: str, text: str, data: Mapping[str, Any] | None = None
) -> Notification | None:
    """Tell a person something in the app; a second one for the same purpose (`key`) is the first one.

    None, and nothing stored, when they do not want this kind in the app, or do not belong to the current tenant (any
    more). `data` is for programs: a few ids by which an application opens what it is about.
    """
    if not wants(user_id=user_id, channel=Channel.INBOX, kind=kind) or find_member(user_id=user_id) is None:
        return None
    notification: Notification
    notification, _is_new = Notification.objects.get_or_create(
        tenant_id=current_tenant_id(),
        user_id=user_id,
        key=key,
        defaults={"kind": kind, "title": title[:MAX_TITLE], "text": text[:MAX_TEXT], "data": dict(data or {})},
    )
    return notification


@tenant_atomic
def tell_settled(*, payment_id: UUID) -> None:
    """Tell whoever started a payment, in the app, that it has settled. Once per payment."""
    payment = get_payment(payment_id=payment_id)
    person = find_user(user_id=payment.started_by_id)
    if person is None or not person.is_active:
        return
    told = {"amount": payment.money.display, "reference": payment.client_reference or str(payment.pk)[:8]}
    wording = render("payment_settled", language=person.language, channel=Channel.INBOX, values=told)
    notify(
        user_id=person.pk,
        key=f"payment_settled:{payment.pk}",
        kind="service",
        title=wording.subject,
        text=wording.text,
        data={"payment": str(payment.pk)},
    )


@tenant_atomic
def read_notification(*, user_id: UUID, notification_id: UUID) -> Notification:
    """Mark one as read, or `NotFound`. When it was read first stays."""
    own = list_notifications(user_id=user_id).order_by().filter(pk=notification_id, read_at=None)
    now = timezone.now()
    own.update(read_at=now, updated_at=now)
    return get_notification(user_id=user_id, notification_id=notification_id)


@tenant_atomic
def read_all(*, user_id: UUID, until: datetime | None = None) -> int:
    """Mark all as read, or those that were there at `until`; how many that were."""
    unread = list_notifications(user_id=user_id, unread=True).order_by()
    if until is not None:
        unread = unread.filter(created_at__lte=until)
    now = timezone.now()
    return unread.update(read_at=now, updated_at=now)


@tenant_atomic
def delete_notification(*, user_id: UUID, notification_id: UUID) -> None:
    """Remove one for good, or `NotFound`."""
    if not list_notifications(user_id=user_id).order_by().filter(pk=notification_id).delete()[0]:
        get_notification(user_id=user_id, notification_id=notification_id)


def purge_notifications() -> int:
    """Forget what was read long ago (`NOTIFICATIONS_KEEP_READ_DAYS`), in every tenant; how many that were."""
    before = timezone.now() - timedelta(days=settings.NOTIFICATIONS_KEEP_READ_DAYS)
    removed = 0
    for tenant_id in list_tenant_ids():
        with tenant_scope(tenant_id), tenant_transaction():
            removed += delete_in_batches(Notification.objects.filter(read_at__lt=before))
    return removed
