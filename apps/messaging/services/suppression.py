"""Use cases for addresses that get no mail: noted when a provider says so, lifted by platform staff."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils import timezone

from apps.messaging.models.suppression import EmailSuppression
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import NotFound
from core.personal_data import Subject
from services.email.base import EmailReport, Suppression

Reason = EmailSuppression.Reason


def suppress(*, address: str, provider: str, report: EmailReport) -> None:
    """No more mail to `address`. A complaint outweighs a bounce, whichever comes first."""
    told = {"provider": provider, "raw_status": report.raw_status[:50], "detail": report.detail[:300]}
    told |= {"reason": Reason(report.suppression or Suppression.BOUNCE)}
    row, is_new = EmailSuppression.objects.get_or_create(address=address.strip().lower(), defaults=told)
    if is_new or (row.lifted_at is None and row.reason == Reason.COMPLAINT):
        return
    now = timezone.now()
    EmailSuppression.objects.filter(pk=row.pk).update(**told, reported_at=now, lifted_at=None, updated_at=now)


@transaction.atomic
def lift_suppression(*, operator_id: UUID, suppression_id: UUID, reason: str) -> bool:
    """Platform staff say that an address may get mail again; whether that is news. Stands in the audit log."""
    row = EmailSuppression.objects.filter(pk=suppression_id).first()
    if row is None:
        raise NotFound
    now = timezone.now()
    if not EmailSuppression.objects.filter(pk=row.pk, lifted_at=None).update(lifted_at=now, updated_at=now):
        return False
    record(Action.SUPPRESSION_LIFTED, actor=operator_id, target=row, data={"reason": reason})
    return True


def erase_suppressions(*, subject: Subject) -> None:
    """Forget a person's proven addresses. Should mail go there again, it bounces again and is noted again."""
    EmailSuppression.objects.filter(address__in=[each.lower() for each in subject.proven]).delete()
