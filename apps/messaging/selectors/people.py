"""Questions about what people want to hear."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet

from apps.accounts.selectors import find_user
from apps.messaging.addresses import digests_of, normal_address
from apps.messaging.channels import Channel
from apps.messaging.kinds import ESSENTIAL, MessageKind
from apps.messaging.models.people import MessagePreference, OptOut
from core.personal_data import Subject

Matrix = dict[str, dict[str, bool]]


def find_opt_outs(*, channel: str, to: str) -> QuerySet[OptOut]:
    """What is known of an address that has said stop, also when it has said start since."""
    address = normal_address(channel=channel, to=to)
    known = Q(address=address) | Q(digest__in=digests_of(channel=channel, address=address))
    return OptOut.objects.filter(known, channel=channel)


def has_opted_out(*, channel: str, to: str) -> bool:
    """Whether this address wants no messages, whoever has it."""
    return find_opt_outs(channel=channel, to=to).filter(started_at=None).exists()


def wants(*, user_id: UUID, channel: str, kind: str) -> bool:
    """Whether a person wants this kind of message by this channel: unless they have said no, and always what is
    essential.
    """
    if kind in ESSENTIAL:
        return True
    return not MessagePreference.objects.filter(user_id=user_id, channel=channel, kind=kind, is_wanted=False).exists()


def get_preferences(*, user_id: UUID) -> Matrix:
    """What a person wants: kind, then channel."""
    wanted = {str(kind): {str(channel): True for channel in Channel} for kind in MessageKind}
    for choice in MessagePreference.objects.filter(user_id=user_id):
        if choice.kind not in ESSENTIAL:
            wanted[choice.kind][choice.channel] = choice.is_wanted
    return wanted


def list_own_addresses(*, user_id: UUID) -> dict[str, str]:
    """The addresses that a person has proven, by channel: those about which they may decide."""
    user = find_user(user_id=user_id)
    found = {}
    if user is not None and user.is_phone_verified:
        found[str(Channel.SMS)] = user.phone
    if user is not None and user.is_email_verified:
        found[str(Channel.EMAIL)] = user.email
    return found


def list_opted_out(*, user_id: UUID) -> list[str]:
    """By which channels a person's own addresses have said stop."""
    own = list_own_addresses(user_id=user_id)
    return [channel for channel, address in own.items() if has_opted_out(channel=channel, to=address)]


def export_preferences(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """What a person has chosen to hear or not to hear."""
    rows = MessagePreference.objects.filter(user_id=subject.id).order_by("-created_at", "-pk")
    columns = ("kind", "channel", "is_wanted", "created_at", "updated_at")
    return list(rows.values(*columns)[:limit])


def export_opt_outs(*, subject: Subject, limit: int) -> list[dict[str, Any]]:
    """Addresses of theirs that have said stop."""
    rows = OptOut.objects.filter(address__in=subject.proven).order_by("-created_at", "-pk")
    columns = ("channel", "address", "source", "stopped_at", "started_at")
    return list(rows.values(*columns)[:limit])
