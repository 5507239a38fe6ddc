"""Questions about people and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.models import AuthSession, EmailLink, User
from apps.tenants.selectors.members import role_subquery
from core.client_address import client_key
from core.personal_data import Subject

Claimants = tuple[User | None, User | None]


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking: the session behind the token, and the role that its person has in its tenant right now."""

    session: AuthSession
    role: str | None

    @property
    def user(self) -> User:
        return self.session.user

    @property
    def is_tenant_suspended(self) -> bool:
        tenant = self.session.tenant
        return tenant is not None and tenant.suspended_at is not None

    @property
    def tenant_id(self) -> UUID | None:
        """The tenant whose room may be entered: a live one, of which the person is a member now."""
        if self.role is None or self.is_tenant_suspended:
            return None
        return self.session.tenant_id


def find_principal(*, session_id: UUID) -> Principal | None:
    """Session, person, tenant and role in one query, or None. Whether they may pass is the caller's question."""
    session = (
        AuthSession.objects.select_related("user", "tenant")
        .annotate(role=role_subquery(user_id="user_id", tenant_id="tenant_id"))
        .filter(pk=session_id)
        .first()
    )
    return None if session is None else Principal(session, session.role)


def list_live_sessions(*, user_id: UUID) -> QuerySet[AuthSession]:
    """Where a person is signed in now, last used first."""
    now = timezone.now()
    live = AuthSession.objects.filter(user_id=user_id, revoked_at=None, expires_at__gt=now, absolute_expires_at__gt=now)
    return live.order_by("-last_used_at", "-pk")


def filter_sessions_by_state(sessions: QuerySet[AuthSession], state: str | None) -> QuerySet[AuthSession]:
    """Those that are `live`, `expired` or `ended`; all of them for any other word."""
    now = timezone.now()
    is_expired = Q(expires_at__lte=now) | Q(absolute_expires_at__lte=now)
    if state == "ended":
        return sessions.exclude(revoked_at=None)
    if state == "expired":
        return sessions.filter(is_expired, revoked_at=None)
    return sessions.filter(~is_expired, revoked_at=None) if state == "live" else sessions


@dataclass(frozen=True, slots=True)
class PeopleSummary:
    people: int
    live_sessions: int


def summarise_people() -> PeopleSummary:
    """How many active people there are, and in how many places they are signed in now."""
    live = filter_sessions_by_state(AuthSession.objects.all(), "live")
    return PeopleSummary(people=User.objects.filter(is_active=True).count(), live_sessions=live.count())


def find_user_by_email(*, email: str) -> User | None:
    """Whose address this is: who proved it; while nobody has, who claimed it first."""
    return User.objects.holder_of(email)


def list_claimants(*, email: str) -> Claimants:
    """Who may sign in by this address: its holder, and the newest of the others who claim it."""
    holder = User.objects.holder_of(email)
    others = User.objects.filter(email=email.strip().lower())
    if holder is not None:
        others = others.exclude(pk=holder.pk)
    return holder, others.order_by("-created_at", "-pk").first()


def is_email_proven_by_another(*, user: User) -> bool:
    """Whether the address that `user` claims belongs to somebody else for good."""
    proven = User.objects.filter(email=user.email, email_verified_at__isnull=False)
    return proven.exclude(pk=user.pk).exists()


def is_known_client(*, email: str, client: str) -> bool:
    """Whether the holder of `email` has signed in from this network before (as long as the session is kept).

    The holder's sessions only: whoever merely claims the address must not get guesses of their own at its password.
    """
    holder = User.objects.holder_of(email)
    sessions = AuthSession.objects.filter(user=holder, client_key=client_key(client))
    return sessions.exclude(revoked_reason=AuthSession.Reason.REUSE).exists()


def find_user(*, user_id: UUID) -> User | None:
    return User.objects.filter(pk=user_id).first()


def subject_of(user: User) -> Subject:
    """A person as the other apps need them to find what they store.

    An address that somebody else has proven is not this person's: a claim gives nobody another one's messages.
    """
    addresses = () if is_email_proven_by_another(user=user) else (user.email,)
    return Subject(user.pk, addresses, addresses if user.is_email_verified else ())


def export_sessions(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Where a person has signed in, as long as sessions are kept."""
    rows = AuthSession.objects.filter(user_id=subject.id).order_by("-created_at", "-pk")
    columns = ("id", "transport", "user_agent", "created_at", "last_used_at", "revoked_at", "revoked_reason")
    return list(rows.values(*columns)[:limit])


def export_email_links(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Links that were mailed to a person. Without their ids, from which their tokens are made."""
    rows = EmailLink.objects.filter(user_id=subject.id).order_by("-created_at", "-pk")
    columns = ("purpose", "email", "created_at", "expires_at", "used_at")
    return list(rows.values(*columns)[:limit])
