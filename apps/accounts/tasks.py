"""What happens when an event is heard, and what beat calls (see `apps.payments.tasks`)."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from apps.accounts.services.codes import purge_codes, send_code
from apps.accounts.services.deletion import erase_account, tell_deletion
from apps.accounts.services.factors import purge_setups, tell_factors_changed
from apps.accounts.services.links import issue_reset_link, purge_links, send_link, tell_email_changed
from apps.accounts.services.passwords import tell_password_changed
from apps.accounts.services.phones import tell_phone_lost, tell_phone_proven
from apps.accounts.services.sessions import purge_sessions, tell_refresh_reused
from apps.accounts.services.sign_in import purge_challenges
from apps.accounts.services.social import tell_social_change
from apps.accounts.services.social_flows import purge_social_flows


def send_link_task(*, link_id: str, **_: object) -> None:
    send_link(link_id=UUID(link_id))


def issue_reset_link_task(*, email: str, **_: object) -> None:
    issue_reset_link(email=email)


def tell_email_changed_task(*, user_id: str, before: str, **_: object) -> None:
    tell_email_changed(user_id=UUID(user_id), before=before)


def tell_password_changed_task(*, user_id: str, **_: object) -> None:
    tell_password_changed(user_id=UUID(user_id))


def tell_social_linked_task(*, user_id: str, provider: str, **_: object) -> None:
    tell_social_change(user_id=UUID(user_id), provider=provider, is_linked=True)


def tell_social_unlinked_task(*, user_id: str, provider: str, **_: object) -> None:
    tell_social_change(user_id=UUID(user_id), provider=provider, is_linked=False)


def tell_refresh_reused_task(*, user_id: str, **_: object) -> None:
    tell_refresh_reused(user_id=UUID(user_id))


def tell_deletion_task(*, user_id: str, **_: object) -> None:
    tell_deletion(user_id=UUID(user_id))


def erase_account_task(*, user_id: str, **_: object) -> None:
    erase_account(user_id=UUID(user_id))


def tell_factors_changed_task(*, user_id: str, change: str, **_: object) -> None:
    tell_factors_changed(user_id=UUID(user_id), change=change)


def send_code_task(*, code_id: str, **_: object) -> None:
    send_code(code_id=UUID(code_id))


def tell_phone_proven_task(*, user_id: str, **_: object) -> None:
    tell_phone_proven(user_id=UUID(user_id))


def tell_phone_lost_task(*, user_id: str, **_: object) -> None:
    tell_phone_lost(user_id=UUID(user_id))


@shared_task
def purge_sessions_task() -> None:
    """Once a day, by beat: sessions, links, codes, challenges and ways to a provider that can never be used again."""
    purge_sessions()
    purge_links()
    purge_codes()
    purge_challenges()
    purge_setups()
    purge_social_flows()
