"""Use cases for invitations: invite, send again, revoke, accept.

A token is single use and stands nowhere: it names the invitation and carries a signature over it and over how often it
was sent. So the message is completed while it is being sent, and every sending has another token; the one before is
dead. Whoever holds the token may accept, under whichever address they signed up: people have several.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext_lazy

from apps.messaging.services.messages import queue_message
from apps.messaging.services.numbers import PhoneNotSupported, check_phone
from apps.messaging.services.templates import render
from apps.tenants.models import Invitation, Membership, Tenant
from apps.tenants.services.members import AdminsOnly, lock_tenant
from core.audit.actions import Action
from core.audit.record import record
from core.derived import derive, row_named_in
from core.exceptions import Conflict, NotFound, RuleViolated
from core.tenancy import current_tenant_id, tenant_atomic

if TYPE_CHECKING:
    from django.db.models import QuerySet


class InvitationPending(Conflict):
    """This address has an open invitation to the tenant already: send that one again, or revoke it."""

    code = "invitation_pending"
    message = gettext_lazy("This address has been invited already.")


class AlreadyMember(RuleViolated):
    """The person belongs to the tenant already. An invitation they tried to accept stays open."""

    code = "already_member"
    message = gettext_lazy("This person belongs to the organisation already.")


class InvitationClosed(RuleViolated):
    """Accepted or revoked already, so there is nothing to send again or to revoke."""

    code = "invitation_closed"
    message = gettext_lazy("This invitation has been accepted or revoked already.")


class InvitationInvalid(RuleViolated):
    """Accepted, revoked, expired, replaced by a newer one, never given out, or its tenant is suspended."""

    code = "invitation_invalid"
    message = gettext_lazy("This invitation is no longer valid. Please ask for a new one.")


# How the use cases below can refuse, for the schema.
INVITE_REFUSALS = (AdminsOnly, InvitationPending, AlreadyMember, PhoneNotSupported)
CHANGE_REFUSALS = (AdminsOnly, InvitationClosed)
ACCEPT_REFUSALS = (InvitationInvalid, AlreadyMember)


@tenant_atomic
def invite(*, actor_id: UUID, role: str, email: str = "", phone: str = "") -> Invitation:
    """Invite somebody by one address; `AdminsOnly`, `InvitationPending`, `AlreadyMember` or `PhoneNotSupported`."""
    actor = lock_tenant(actor_id=actor_id).require_admin()
    if phone:
        check_phone(phone)
    email = email.strip().lower()
    if email and Membership.objects.filter(tenant_id=actor.tenant_id, user__email=email).exists():
        raise AlreadyMember
    # An expired one gives way. Under the tenant's lock, so the look and the insert are one step.
    same = Invitation.objects.filter(
        tenant_id=actor.tenant_id, email=email, phone=phone, accepted_at=None, revoked_at=None
    )
    same.filter(expires_at__lte=timezone.now()).update(revoked_at=timezone.now())
    if same.exists():
        raise InvitationPending
    invitation = Invitation(tenant=actor.tenant, email=email, phone=phone, role=role, invited_by_id=actor_id)
    _send(invitation, sender=actor)
    record(Action.INVITATION_CREATED, actor=actor_id, target=invitation, tenant_id=actor.tenant_id)
    return invitation


@tenant_atomic
def resend_invitation(*, actor_id: UUID, invitation_id: UUID) -> Invitation:
    """Send an open invitation once more, good for another week; `AdminsOnly`, `NotFound` or `InvitationClosed`."""
    actor = lock_tenant(actor_id=actor_id).require_admin()
    invitation = _get_open(invitation_id)
    invitation.invited_by_id = actor_id
    _send(invitation, sender=actor)
    record(Action.INVITATION_RESENT, actor=actor_id, target=invitation, tenant_id=actor.tenant_id)
    return invitation


@tenant_atomic
def revoke_invitation(*, actor_id: UUID, invitation_id: UUID) -> None:
    """Make an open invitation worthless; `AdminsOnly`, `NotFound` or `InvitationClosed`."""
    lock_tenant(actor_id=actor_id).require_admin()
    invitation = _get_open(invitation_id)
    _open().filter(pk=invitation.pk).update(revoked_at=timezone.now(), updated_at=timezone.now())
    record(Action.INVITATION_REVOKED, actor=actor_id, target=invitation, tenant_id=invitation.tenant_id)


@transaction.atomic
def accept_invitation(*, user_id: UUID, token: str) -> Membership:
    """Join the tenant that `token` invites to, or `InvitationInvalid` or `AlreadyMember`.

    Belongs to no tenant's scope: the person may be in any, or in none.
    """
    found = _find_by_token(token)
    if found is None:
        raise InvitationInvalid
    # The tenant first, as everybody who changes its members does; only then is what is read still true when written.
    tenant = Tenant.objects.select_for_update(no_key=True).get(pk=found.tenant_id)
    invitation = _find_by_token(token)
    now = timezone.now()
    is_good = invitation is not None and invitation.is_open and invitation.expires_at > now
    if invitation is None or not is_good or tenant.suspended_at is not None:
        raise InvitationInvalid
    if Membership.objects.filter(tenant=tenant, user_id=user_id).exists():
        raise AlreadyMember
    invitation.accepted_at, invitation.accepted_by_id = now, user_id
    invitation.save(update_fields=["accepted_at", "accepted_by", "updated_at"])
    told = {"role": invitation.role, "invitation": invitation.pk}
    record(Action.MEMBER_JOINED, actor=user_id, target=user_id, tenant_id=tenant.pk, data=told)
    return Membership.objects.create(tenant=tenant, user_id=user_id, role=invitation.role)


def _open() -> QuerySet[Invitation]:
    return Invitation.objects.filter(tenant_id=current_tenant_id(), accepted_at=None, revoked_at=None)


def _get_open(invitation_id: UUID) -> Invitation:
    invitation = Invitation.objects.filter(tenant_id=current_tenant_id(), pk=invitation_id).first()
    if invitation is None:
        raise NotFound
    if not invitation.is_open:
        raise InvitationClosed
    return invitation


def _find_by_token(token: str) -> Invitation | None:
    """The invitation whose newest token this is, in whatever state."""
    invitation = Invitation.objects.filter(pk=row_named_in(token)).first()
    if invitation is None:
        return None
    right = invitation_token(invitation_id=invitation.pk, sends=invitation.sends)
    return invitation if hmac.compare_digest(token.encode(), right.encode()) else None


def invitation_token(*, invitation_id: UUID, sends: int) -> str:
    """The token of one sending of an invitation: a pure function of both and of the server's key."""
    return invitation_id.hex + derive("invitation", invitation_id.bytes + sends.to_bytes(4, "big")).hex()[:32]


def find_invitation_token(reference: str) -> str | None:
    """The token for the message of one sending (`id:sends`), or None when it opens nothing any more."""
    invitation_id, _colon, sends = reference.partition(":")
    invitation = Invitation.objects.filter(pk=UUID(invitation_id), sends=int(sends)).first()
    if invitation is None or not invitation.is_open or invitation.expires_at <= timezone.now():
        return None
    return invitation_token(invitation_id=invitation.pk, sends=invitation.sends)


def _send(invitation: Invitation, *, sender: Membership) -> None:
    """Give the invitation another token and another week, store it, and queue the message, in the sender's words."""
    invitation.expires_at = timezone.now() + settings.INVITATION_LIFETIME
    invitation.sends += 1
    invitation.save()
    told = {
        "person": sender.user.get_full_name() or sender.user.email,
        "tenant": sender.tenant.name,
        "link": settings.FRONTEND_URL + "/accept-invitation?token={secret}",
    }
    channel = "email" if invitation.email else "sms"
    wording = render("invitation", language=sender.user.language, channel=channel, values=told)
    queue_message(
        channel=channel,
        to=invitation.email or invitation.phone,
        subject=wording.subject,
        text=wording.text,
        key=f"invitation:{invitation.pk}:{invitation.sends}",
        secret=f"invitation:{invitation.pk}:{invitation.sends}",
    )
