"""Differences between our books and a gateway's: opened once, explained by later news or by a person."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.payments.models.reconciliation import ReconciliationBreak
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import Conflict, NotFound

logger = logging.getLogger("faraja.payments")


class BreakResolved(Conflict):
    """Somebody, or later news, has explained this difference already."""

    code = "break_resolved"
    message = _("This difference is explained already.")


def open_break(
    kind: str,
    *,
    gateway: str,
    account_id: UUID,
    reference: str,
    tenant_id: UUID | None = None,
    payment_id: UUID | None = None,
    ours: Mapping[str, Any],
    theirs: Mapping[str, Any],
) -> bool:
    """Store a difference; says whether it is news. One that a person has explained is not opened again unless changed.

    `ours` and `theirs` are small, for operators: words and amounts, no phone numbers.
    """
    same = {"kind": kind, "gateway": gateway, "account_id": account_id, "reference": reference[:100]}
    told = {"ours": dict(ours), "theirs": dict(theirs)}
    if any(
        explained.theirs == told["theirs"] and explained.ours == told["ours"]
        for explained in ReconciliationBreak.objects.filter(**same).exclude(resolved_by=None)
    ):
        return False
    row, is_new = ReconciliationBreak.objects.get_or_create(
        **same, resolved_at=None, defaults={"tenant_id": tenant_id, "payment_id": payment_id, **told}
    )
    if is_new:
        logger.error("books differ", extra={"kind": kind, "gateway": gateway, "break_id": str(row.pk)})
    return bool(is_new)


def explain_breaks(resolution: str, **same: Any) -> int:
    """Resolve the open breaks with these columns, without a person; returns how many."""
    return ReconciliationBreak.objects.filter(resolved_at=None, **same).update(
        resolved_at=timezone.now(), resolution=resolution[:300]
    )


@transaction.atomic
def resolve_break(*, break_id: UUID, actor_id: UUID, resolution: str) -> None:
    """A person says why it differs: `resolution`, in their words. `NotFound` or `BreakResolved`."""
    row = ReconciliationBreak.objects.select_for_update().filter(pk=break_id).first()
    if row is None:
        raise NotFound
    if row.resolved_at is not None:
        raise BreakResolved
    row.resolved_at, row.resolved_by_id, row.resolution = timezone.now(), actor_id, resolution[:300]
    row.save(update_fields=["resolved_at", "resolved_by", "resolution"])
    told = {"kind": row.kind, "gateway": row.gateway, "reference": row.reference, "resolution": row.resolution}
    record(Action.BREAK_RESOLVED, actor=actor_id, target=row, data=told)
