"""Members of a tenant, besides its owner."""

from __future__ import annotations

from apps.accounts.services.sessions import switch_tenant
from apps.accounts.tokens import read_access
from apps.tenants.models import Membership
from tests.factories.accounts import Member, make_member


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
