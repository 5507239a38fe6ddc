"""Use cases for what messaging knows of a person whose account ends."""

from __future__ import annotations

from django.utils import timezone

from apps.messaging.addresses import digests_of
from apps.messaging.models.messages import DeliveryReport, Message, MessageTry
from apps.messaging.models.notifications import Notification
from apps.messaging.models.people import MessagePreference, OptOut
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


def erase_notifications(*, subject: Subject) -> None:
    """Remove what a person was told in the app, in each of their tenants."""
    for tenant_id in sorted(list_my_tenants(user_id=subject.id).values_list("tenant_id", flat=True)):
        with tenant_scope(tenant_id), tenant_transaction():
            Notification.objects.filter(user_id=subject.id).delete()


def erase_choices(*, subject: Subject) -> None:
    """Forget what a person chose, and of the addresses that said stop keep no more than what recognises them.

    That they said stop outlives the account: otherwise the next tenant that has the number writes to it again.
    """
    MessagePreference.objects.filter(user_id=subject.id).delete()
    for row in OptOut.objects.select_for_update().filter(address__in=subject.proven).order_by("pk"):
        digests = digests_of(channel=row.channel, address=row.address)
        if OptOut.objects.filter(channel=row.channel, digest__in=digests).exists():
            row.delete()
            continue
        row.address, row.digest = "", digests[0]
        row.save(update_fields=["address", "digest", "updated_at"])
