"""Use cases for a person's own choices."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext_lazy as _

from apps.messaging.channels import Channel
from apps.messaging.kinds import ESSENTIAL, MessageKind
from apps.messaging.models.people import MessagePreference, OptOut
from apps.messaging.selectors.people import list_own_addresses
from apps.messaging.services.consent import record_opt_in, record_opt_out
from core.exceptions import RuleViolated


class EssentialMessages(RuleViolated):
    """Somebody wants to do without codes, security notices or receipts."""

    code = "essential_messages"
    message = _("Codes, security notices and receipts cannot be turned off.")


class AddressNotProven(RuleViolated):
    """Somebody wants to stop messages to an address that they have not proven: it may be another person's."""

    code = "address_not_proven"
    message = _("Confirm your phone number or e-mail address first.")


PREFERENCE_REFUSALS = (EssentialMessages, AddressNotProven)


@transaction.atomic
def change_preferences(
    *,
    user_id: UUID,
    kinds: Mapping[str, Mapping[str, bool]],
    opted_out: Collection[str] | None = None,
    is_complete: bool = False,
) -> None:
    """Store a person's choices by kind and channel; `EssentialMessages` or `AddressNotProven`, and then nothing.

    `is_complete`: what is not named is wanted again. `opted_out`: the channels whose own, proven address gets nothing
    but what is essential; the others get messages again. None leaves that as it is.
    """
    if any(not is_on for kind in ESSENTIAL for is_on in kinds.get(kind, {}).values()):
        raise EssentialMessages
    optional = [kind for kind in MessageKind if kind not in ESSENTIAL]
    rows = [
        MessagePreference(user_id=user_id, kind=kind, channel=channel, is_wanted=kinds.get(kind, {}).get(channel, True))
        for kind in optional
        for channel in Channel
        if is_complete or channel in kinds.get(kind, {})
    ]
    # One statement and one order, so that two at once end in one of the two and never in a deadlock.
    MessagePreference.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["user", "kind", "channel"],
        update_fields=["is_wanted", "updated_at"],
    )
    if opted_out is not None:
        _stop_or_start(user_id, opted_out)


def _stop_or_start(user_id: UUID, opted_out: Collection[str]) -> None:
    own = list_own_addresses(user_id=user_id)
    if not set(opted_out) <= own.keys():
        raise AddressNotProven
    for channel, address in own.items():
        if channel in opted_out:
            record_opt_out(channel=channel, to=address, source=OptOut.Source.ACCOUNT)
        else:
            record_opt_in(channel=channel, to=address)
