"""Mail to a person about something that has happened to their account."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.core.mail import EmailMessage
from django.utils import translation

from apps.accounts.models import User
from apps.accounts.selectors import find_user

Wording = tuple[str, str]


def send_notice(*, user_id: UUID, wording: Callable[[User], Wording | None], to: str = "") -> None:
    """Mail the subject and text of `wording`, which is called in the person's language; None is not worth a mail.

    Does nothing when the person is gone. `to` is another address than theirs.
    """
    user = find_user(user_id=user_id)
    if user is None:
        return
    with translation.override(user.language):
        found = wording(user)
        if found is not None:
            subject, text = found
            EmailMessage(subject, text, to=[to or user.email]).send()
