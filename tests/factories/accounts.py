"""People with sessions."""

from __future__ import annotations

import random
import secrets
from dataclasses import dataclass, replace
from itertools import count
from uuid import UUID

from django.utils import timezone
from rest_framework.test import APIClient

from apps.accounts.models import User
from apps.accounts.services.accounts import register
from apps.accounts.services.sessions import open_session
from apps.accounts.tokens import TokenPair
from core.outbox.models import OutboxEvent

PASSWORD = "kahawa-na-chai-7"
_numbers = count(1)
# The suite's processes share one Redis: what a test counts against a person must not meet another process's.
_PROCESS = secrets.token_hex(4)


@dataclass(frozen=True)
class Member:
    """A person in their own tenant, signed in once."""

    user: User
    tenant_id: UUID
    tokens: TokenPair

    def client(self) -> APIClient:
        client = APIClient()
        client.credentials(HTTP_AUTHORIZATION=f"Bearer {self.tokens.access}")
        return client


def fresh_phone() -> str:
    """A number that no other test (or earlier run on the same Redis) has asked about."""
    return f"+2557{random.randrange(10_000_000, 60_000_000)}"


def with_proven_phone(member: Member, phone: str = "") -> Member:
    """`member`, whose number is proven from now on."""
    member.user.phone, member.user.phone_verified_at = phone or fresh_phone(), timezone.now()
    member.user.save()
    return member


def make_member(*, email: str = "", transport: str = "body") -> Member:
    """Register somebody (through the use case, as the API does) and sign them in."""
    user = register(
        email=email or f"person{next(_numbers)}.{_PROCESS}@example.com", password=PASSWORD, first_name="Asha"
    )
    # The mail that registration sends is not what tests of other things are about.
    OutboxEvent.objects.filter(name="account.link_requested").delete()
    principal, tokens = open_session(user=user, transport=transport)
    assert principal.tenant_id is not None
    return Member(user, principal.tenant_id, tokens)


def signed_in_again(member: Member) -> Member:
    """The same person with a session of now."""
    return replace(member, tokens=open_session(user=member.user, transport="body")[1])
