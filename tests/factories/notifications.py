"""What somebody is told in the app."""

from __future__ import annotations

from itertools import count

from apps.messaging.models.notifications import Notification
from apps.messaging.services.notifications import notify
from core.tenancy import tenant_scope
from tests.factories.accounts import Member

_numbers = count(1)


def make_notification(member: Member, *, title: str = "Habari", key: str = "") -> Notification:
    """Something that `member` is told in their tenant."""
    with tenant_scope(member.tenant_id):
        found = notify(
            user_id=member.user.pk, key=key or f"made:{next(_numbers)}", kind="service", title=title, text="Karibu."
        )
    assert found is not None
    return found
