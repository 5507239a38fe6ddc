"""Use cases for the export of one's own data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction

from apps.accounts.models import AuthSession, User
from apps.accounts.selectors import subject_of
from apps.accounts.services.step_up import require_recent_authentication
from core.audit.actions import Action
from core.audit.record import record
from core.personal_data import personal_data

MAX_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Export:
    """Everything about a person. `cut`: of which records only the first `MAX_ROWS` are here."""

    profile: User
    records: dict[str, list[dict[str, Any]]]
    cut: list[str]


@transaction.atomic
def export_account(*, session: AuthSession) -> Export:
    """What is stored about the session's person, from every app and tenant of theirs; `ReauthenticationRequired`."""
    require_recent_authentication(session)
    subject = subject_of(session.user)
    records, cut = {}, []
    for name, export in personal_data().exports.items():
        found = export(subject=subject, limit=MAX_ROWS + 1)
        if len(found) > MAX_ROWS:
            cut.append(name)
        records[name] = found[:MAX_ROWS]
    record(Action.ACCOUNT_EXPORTED, actor=session.user, target=session.user)
    return Export(session.user, records, cut)
