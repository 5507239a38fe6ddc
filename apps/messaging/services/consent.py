"""Use cases for what people want to hear: ask before anything is queued, and note who says stop.

Two things decide: whether the address has said stop (to anybody, so to the whole platform), and what the person who has
proven it chose in their preferences. A claimed address decides nothing: anybody can claim.

What is essential goes out in any case: a code that somebody asks for, a warning about their account, the receipt for
their money. The rules about unsolicited messages are about advertising and what nobody asked for; somebody who texted
STOP to a shop last year and now waits for a code to sign in would be locked out, and a thief would gain from a warning
that is not sent. Where a provider keeps a list of its own (Twilio), it refuses even those, and we cannot overrule it.
"""

from __future__ import annotations

import re
import unicodedata
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from apps.accounts.selectors import find_proven_holder, find_user_by_phone
from apps.messaging.addresses import masked, normal_address
from apps.messaging.channels import Channel
from apps.messaging.kinds import ESSENTIAL
from apps.messaging.models.people import OptOut
from apps.messaging.selectors.people import find_opt_outs, has_opted_out, wants
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import NotFound
from core.sealing import find_sealed, seal
from services.sms.base import InboundText

Source = OptOut.Source

# The words that the operators' associations ask for (CTIA Messaging Principles, section 5.1.3), and in Swahili.
STOP_WORDS = frozenset({"stop", "stopall", "unsubscribe", "end", "quit", "cancel", "acha", "simama"})
START_WORDS = frozenset({"start", "unstop", "anza"})
_UNSUBSCRIBE = "unsubscribe:"


def is_wanted(*, channel: str, to: str, kind: str) -> bool:
    """Whether a message of this kind may be sent to this address. Always, when it is essential."""
    if kind in ESSENTIAL:
        return True
    if has_opted_out(channel=channel, to=to):
        return False
    address = normal_address(channel=channel, to=to)
    is_text = channel == Channel.SMS
    person = find_user_by_phone(phone=address) if is_text else find_proven_holder(email=address)
    return person is None or wants(user_id=person.pk, channel=channel, kind=kind)


@transaction.atomic
def record_opt_out(*, channel: str, to: str, source: str) -> bool:
    """Note that an address wants no messages; whether that is news. Saying it again changes nothing."""
    address = normal_address(channel=channel, to=to)
    if not address:
        return False
    known = find_opt_outs(channel=channel, to=address)
    if not known.exists():
        _row, is_new = OptOut.objects.get_or_create(channel=channel, address=address, defaults={"source": source})
        if is_new:
            return True
    now = timezone.now()
    again = known.filter(started_at__isnull=False)
    return bool(again.update(source=source, stopped_at=now, started_at=None, updated_at=now))


@transaction.atomic
def record_opt_in(*, channel: str, to: str) -> bool:
    """Note that an address wants messages again; whether that is news. One that never said stop needs no note."""
    now = timezone.now()
    stopped = find_opt_outs(channel=channel, to=to).filter(started_at=None)
    return bool(stopped.update(started_at=now, updated_at=now))


def hear(text: InboundText) -> str:
    """Obey a text that came in: `stop`, `start`, or empty when its first word is neither. Safe to repeat."""
    word = first_word(text.text)
    if word in STOP_WORDS:
        record_opt_out(channel=Channel.SMS, to=text.phone, source=Source.REPLY)
        return "stop"
    if word in START_WORDS:
        record_opt_in(channel=Channel.SMS, to=text.phone)
        return "start"
    return ""


def first_word(text: str) -> str:
    """The first word of a text in lower case, whatever stands around it: `"Stop!" please` begins with `stop`."""
    told = unicodedata.normalize("NFKC", text[:500])
    found = re.search(r"[^\W_]+", told)
    return found[0].casefold() if found else ""


@transaction.atomic
def lift_opt_out(*, operator_id: UUID, opt_out_id: UUID, reason: str) -> bool:
    """Platform staff note that somebody wants messages again; whether that is news. Stands in the audit log."""
    row = OptOut.objects.filter(pk=opt_out_id).first()
    if row is None:
        raise NotFound
    now = timezone.now()
    if not OptOut.objects.filter(pk=row.pk, started_at=None).update(started_at=now, updated_at=now):
        return False
    record(Action.OPT_OUT_CHANGED, actor=operator_id, target=row, data={"wants": True, "reason": reason})
    return True


@transaction.atomic
def note_opt_out(*, operator_id: UUID, channel: str, to: str, reason: str) -> OptOut:
    """Platform staff note that somebody has told them to stop. When that is news, it stands in the audit log."""
    is_news = record_opt_out(channel=channel, to=to, source=Source.STAFF)
    row = find_opt_outs(channel=channel, to=to).get()
    if is_news:
        record(Action.OPT_OUT_CHANGED, actor=operator_id, target=row, data={"wants": False, "reason": reason})
    return row


# --- The link in e-mails ---------------------------------------------------------------------------------------------


def unsubscribe_headers(*, to: str, kind: str) -> dict[str, str]:
    """The headers for unsubscribing with one click (RFC 8058, section 3.1); none for what is essential."""
    if kind in ESSENTIAL:
        return {}
    url = f"{settings.PUBLIC_URL}/api/v1/messaging/unsubscribe/{unsubscribe_token(to=to)}/"
    return {"List-Unsubscribe": f"<{url}>", "List-Unsubscribe-Post": "List-Unsubscribe=One-Click"}


def unsubscribe_token(*, to: str) -> str:
    """What proves that a link was mailed to `to`. Sealed, so that no log on the way shows the address; for good."""
    return seal(_UNSUBSCRIBE + normal_address(channel=Channel.EMAIL, to=to)).rstrip("=")


def read_unsubscribe(*, token: str) -> tuple[str, bool]:
    """Whose link it is, masked, and whether it still gets messages. Changes nothing; `NotFound` when it is not ours."""
    address = _address_in(token)
    return masked(address), not has_opted_out(channel=Channel.EMAIL, to=address)


def unsubscribe(*, token: str) -> str:
    """Stop what is not essential to the address of the link, and return it masked. Repeating it changes nothing."""
    address = _address_in(token)
    record_opt_out(channel=Channel.EMAIL, to=address, source=Source.LINK)
    return masked(address)


def _address_in(token: str) -> str:
    found = find_sealed(token + "=" * (-len(token) % 4)) or ""
    if not found.startswith(_UNSUBSCRIBE):
        raise NotFound
    return found.removeprefix(_UNSUBSCRIBE)
