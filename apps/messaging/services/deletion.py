"""Use cases for messages to a person whose account ends."""

from __future__ import annotations

from django.utils import timezone

from apps.messaging.models.messages import Message
from apps.messaging.progress import MessageStatus as Status
from apps.tenants.selectors.tenants import list_my_tenants
from core.personal_data import Subject
from core.tenancy import tenant_scope, tenant_transaction

UNDER_WAY = (Status.QUEUED, Status.SUBMITTING, Status.UNCERTAIN)


def erase_messages(*, subject: Subject) -> None:
    """Empty the messages to a person in the logs of their tenants; that there was one, when, and its state remain.

    What has not gone out yet never will.
    """
    for tenant_id in sorted(list_my_tenants(user_id=subject.id).values_list("tenant_id", flat=True)):
        with tenant_scope(tenant_id), tenant_transaction():
            messages = Message.objects.filter(to__in=subject.addresses)
            messages.filter(status__in=UNDER_WAY).update(status=Status.FAILED, error="The account was deleted.")
            messages.update(to=subject.placeholder, subject="", text="", updated_at=timezone.now())
