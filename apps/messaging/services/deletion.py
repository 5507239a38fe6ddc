"""Use cases for messages to a person whose account ends."""

from __future__ import annotations

from django.utils import timezone

from apps.messaging.models.messages import DeliveryReport, Message, MessageTry
from apps.messaging.progress import MessageStatus as Status
from apps.messaging.services.outcomes import end
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
            for message in messages.select_for_update().filter(status__in=UNDER_WAY).order_by("pk"):
                end(message, status=Status.FAILED, error="The account was deleted.")
            # In a provider's own words there may be a number.
            MessageTry.objects.filter(message__in=messages).update(told="")
            DeliveryReport.objects.filter(message__in=messages).update(detail="")
            messages.update(to=subject.placeholder, subject="", text="", updated_at=timezone.now())
