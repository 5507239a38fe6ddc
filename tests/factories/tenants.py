"""What a tenant has besides its owner."""

from __future__ import annotations

from itertools import count
from typing import Any
from uuid import UUID

from rest_framework.test import APIClient

from apps.accounts.services.sessions import switch_tenant
from apps.accounts.tokens import read_access
from apps.messaging.models.messages import Message
from apps.messaging.services.sending import send_message
from apps.tenants.models import ApiKey, Invitation, Membership
from apps.tenants.services.api_keys import create_api_key
from apps.tenants.services.invitations import invitation_token, invite
from core.tenancy import tenant_scope, tenant_transaction
from tests.factories.accounts import Member, make_member

_numbers = count(1)


def add_member(owner: Member, role: str = Membership.Role.MEMBER, *, first_name: str = "") -> Member:
    """Another person, with `role` in `owner`'s tenant, whose session is in that tenant."""
    person = make_member()
    if first_name:
        person.user.first_name = first_name
        person.user.save()
    Membership.objects.create(tenant_id=owner.tenant_id, user=person.user, role=role)
    session_id = read_access(person.tokens.access).session_id
    _principal, tokens = switch_tenant(session_id=session_id, user_id=person.user.pk, tenant_id=owner.tenant_id)
    return Member(person.user, owner.tenant_id, tokens)


def membership_of(member: Member) -> Membership:
    """The membership of `member` in the tenant that their session is in."""
    return Membership.objects.get(tenant_id=member.tenant_id, user=member.user)


def make_invitation(member: Member, *, email: str = "", phone: str = "") -> Invitation:
    """An open invitation to `member`'s tenant, by e-mail unless there is a phone."""
    email = email or ("" if phone else f"invited{next(_numbers)}@example.com")
    with tenant_scope(member.tenant_id):
        return invite(actor_id=member.user.pk, email=email, phone=phone, role="member")


def messages_of(member: Member) -> list[Message]:
    """What was queued for sending in `member`'s tenant, oldest first."""
    with tenant_scope(member.tenant_id), tenant_transaction():
        return list(Message.objects.order_by("created_at"))


def deliver_messages(member: Member) -> None:
    """What the worker does with the queue of `member`'s tenant."""
    with tenant_scope(member.tenant_id):
        for message in messages_of(member):
            send_message(message_id=message.pk)


def tokens_sent(member: Member) -> list[str]:
    """The tokens of the invitations to `member`'s tenant, one per sending."""
    sent = [message.secret.split(":") for message in messages_of(member) if message.secret.startswith("invitation:")]
    return [invitation_token(invitation_id=UUID(pk), sends=int(sends)) for _kind, pk, sends in sent]


def make_api_key(member: Member, *scopes: str, **fields: Any) -> tuple[ApiKey, str]:
    """A key of `member`'s tenant in their name, and its text."""
    with tenant_scope(member.tenant_id):
        wish = {"name": "Zapier", "scopes": scopes or ("payments:read", "payments:write")} | fields
        return create_api_key(actor_id=member.user.pk, **wish)


def key_client(text: str) -> APIClient:
    """A machine that shows this key."""
    client = APIClient()
    client.credentials(HTTP_AUTHORIZATION=f"Api-Key {text}")
    return client
