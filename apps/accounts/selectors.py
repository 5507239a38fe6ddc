"""Questions about people and sessions."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from allauth.mfa import app_settings
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.db.models import Q, QuerySet
from django.utils import timezone

from apps.accounts.models import AuthSession, EmailLink, User, VerificationCode
from apps.tenants.selectors.members import role_subquery
from core.client_address import client_key
from core.compiled import Slot, compiled
from core.personal_data import Subject

Claimants = tuple[User | None, User | None]

# Makes public ids of linked accounts, which have a counted key.
_LINKED_ACCOUNTS = UUID("8a52c6a4-3f0f-4c9e-9a53-6f5b0e0b8f52")


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
    session = _session_with_role.first(session_id=session_id)
    return None if session is None else Principal(session, session.role)  # type: ignore[attr-defined]


@compiled
def _session_with_role(session_id: Slot) -> QuerySet[AuthSession]:
    role = role_subquery(user_id="user_id", tenant_id="tenant_id")
    return AuthSession.objects.select_related("user", "tenant").annotate(role=role).filter(pk=session_id)


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


def find_user_by_phone(*, phone: str) -> User | None:
    """Who has proven this number (E.164) last. Nobody who merely claims it."""
    return User.objects.filter(phone=phone, phone_verified_at__isnull=False).first() if phone else None


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
    return holder is not None and is_known_network(user_id=holder.pk, client=client)


def is_known_network(*, user_id: UUID, client: str) -> bool:
    """Whether a person has signed in from this network before, in a session that no stolen token ended."""
    sessions = AuthSession.objects.filter(user_id=user_id, client_key=client_key(client))
    return sessions.exclude(revoked_reason=AuthSession.Reason.REUSE).exists()


def find_user(*, user_id: UUID) -> User | None:
    return User.objects.filter(pk=user_id).first()


def list_addresses(*, user_ids: Collection[UUID]) -> dict[UUID, str]:
    """The e-mail addresses of these people, for the platform's staff."""
    return dict(User.objects.filter(pk__in=user_ids).values_list("pk", "email"))


def find_proven_holder(*, email: str) -> User | None:
    """Who has proven this address."""
    return User.objects.filter(email=email, email_verified_at__isnull=False).first()


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkedAccount:
    """An account at a sign-in provider that opens a person's account here. The person knows it by `display`."""

    id: UUID
    pk: int
    provider: str
    display: str
    linked_at: datetime
    last_used_at: datetime


def describe_account(account: SocialAccount) -> LinkedAccount:
    told = account.extra_data
    display = next((told[name] for name in ("email", "login", "username", "name") if told.get(name)), "")
    return LinkedAccount(
        id=uuid5(_LINKED_ACCOUNTS, str(account.pk)),
        pk=account.pk,
        provider=account.provider,
        display=str(display),
        linked_at=account.date_joined,
        last_used_at=account.last_login,
    )


def list_linked_accounts(*, user_id: UUID) -> list[LinkedAccount]:
    """Through whom a person can sign in, first linked first."""
    return [describe_account(each) for each in SocialAccount.objects.filter(user_id=user_id).order_by("pk")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Factor:
    """A second factor that is switched on."""

    type: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorSummary:
    """A person's second factors, and how they can prove themselves again."""

    factors: tuple[Factor, ...]
    recovery_codes_left: int
    proofs: tuple[str, ...]

    @property
    def is_enabled(self) -> bool:
        return bool(self.factors)


def has_second_factor(*, user_id: UUID) -> bool:
    """Whether signing in takes more than one proof. Recovery codes alone are no factor."""
    return bool(Authenticator.objects.filter(user_id=user_id, type=Authenticator.Type.TOTP).exists())


def summarise_factors(*, user: User) -> FactorSummary:
    """What second factors `user` has."""
    rows = {row.type: row for row in Authenticator.objects.filter(user_id=user.pk)}
    totp, recovery = rows.get(Authenticator.Type.TOTP), rows.get(Authenticator.Type.RECOVERY_CODES)
    factors = () if totp is None else (_factor(totp),)
    left = 0 if recovery is None else app_settings.RECOVERY_CODE_COUNT - int(recovery.data["used_mask"]).bit_count()
    return FactorSummary(factors=factors, recovery_codes_left=left, proofs=_proofs(user, bool(totp), left))


def _factor(row: Authenticator) -> Factor:
    return Factor(type=str(row.type), created_at=row.created_at, last_used_at=row.last_used_at)


def _proofs(user: User, is_enabled: bool, codes_left: int) -> tuple[str, ...]:
    """The fields of a re-authentication that `user` can fill. None: only signing in again proves them."""
    if is_enabled:
        return ("code", "recovery_code") if codes_left else ("code",)
    return ("password",) if user.has_usable_password() else ()


def subject_of(user: User) -> Subject:
    """A person as the other apps need them to find what they store.

    An address that somebody else has proven is not this person's: a claim gives nobody another one's messages.
    """
    phones = (user.phone,) if user.is_phone_verified else ()
    emails = () if is_email_proven_by_another(user=user) else (user.email,)
    return Subject(user.pk, (*emails, *phones), (*(emails if user.is_email_verified else ()), *phones))


def export_sessions(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Where a person has signed in, as long as sessions are kept."""
    rows = AuthSession.objects.filter(user_id=subject.id).order_by("-created_at", "-pk")
    columns = ("id", "transport", "methods", "user_agent", "created_at", "last_used_at", "revoked_at", "revoked_reason")
    return list(rows.values(*columns)[:limit])


def export_email_links(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Links that were mailed to a person. Without their ids, from which their tokens are made."""
    rows = EmailLink.objects.filter(user_id=subject.id).order_by("-created_at", "-pk")
    columns = ("purpose", "email", "created_at", "expires_at", "used_at")
    return list(rows.values(*columns)[:limit])


def export_codes(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Codes that a person had texted to prove a number. Without their ids and nonces, from which the codes are made."""
    rows = VerificationCode.objects.filter(user_id=subject.id).order_by("-created_at", "-pk")
    columns = ("purpose", "phone", "guesses", "created_at", "expires_at", "used_at")
    return list(rows.values(*columns)[:limit])


def export_factors(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """A person's second factors, recovery codes among them, without what they are checked with."""
    rows = Authenticator.objects.filter(user_id=subject.id).order_by("-created_at", "-pk")
    return list(rows.values("type", "created_at", "last_used_at")[:limit])


def export_social_accounts(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """A person's accounts at login providers, with what these told about them."""
    rows = SocialAccount.objects.filter(user_id=subject.id).order_by("-date_joined", "-pk")
    return list(rows.values("provider", "uid", "extra_data", "date_joined", "last_login")[:limit])
