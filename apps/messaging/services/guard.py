"""The guard against pumping: codes that somebody asks for, to numbers that earn them money, and never types in.

Of each prefix (a number without its last four digits) it is counted how many codes went out within 24 hours, and how
many came back right. Where too few come back, the prefix gets no codes for a day, and whoever asks for one is told to
come back later, as at any limit.
"""

from __future__ import annotations

import logging
import math
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import F, Sum
from django.utils import timezone

from apps.messaging.models.limits import PrefixHour, PrefixPause
from core.exceptions import NotFound
from core.locks import lock_name
from core.purge import delete_in_batches
from core.tenancy import tenant_atomic
from core.throttling.limits import Throttled
from services.sms.numbers import Number

logger = logging.getLogger("faraja.messaging")
DAY = timedelta(hours=24)


def refuse_paused(number: Number) -> None:
    """Raise `Throttled` while codes to the prefix of `number` are paused."""
    if until := paused_until(number):
        raise Throttled(retry_after=math.ceil((until - timezone.now()).total_seconds()))


def paused_until(number: Number) -> datetime | None:
    """Until when codes to the prefix of `number` are paused, or None."""
    pauses = PrefixPause.objects.filter(prefix=number.prefix, lifted_at=None, until__gt=timezone.now())
    found: datetime | None = pauses.order_by("-until").values_list("until", flat=True).first()
    return found


def note_sent(number: Number) -> None:
    """A code went, or may have gone, to `number`. Pauses the prefix when too few came back. Inside a transaction."""
    lock_name(f"prefix:{number.prefix}")
    _add(number, "sent")
    now = timezone.now()
    sums = PrefixHour.objects.filter(prefix=number.prefix, hour__gt=now - DAY).aggregate(
        sent=Sum("sent", default=0), verified=Sum("verified", default=0)
    )
    sent, verified = sums["sent"], sums["verified"]
    too_few = verified * 100 < sent * settings.SMS_GUARD_MIN_PERCENT
    if sent >= settings.SMS_GUARD_MIN_SENT and too_few and paused_until(number) is None:
        until = now + settings.SMS_GUARD_PAUSE
        pause = PrefixPause.objects.create(prefix=number.prefix, sent=sent, verified=verified, until=until)
        # Its row says which prefix: in the log it would be masked as a phone number.
        told = {"pause": str(pause.pk), "country": number.country, "sent": sent, "verified": verified}
        logger.error("codes to a prefix are paused", extra=told)


def note_verified(number: Number) -> None:
    """A code to `number` came back right."""
    _add(number, "verified")


@tenant_atomic
def lift_pause(*, pause_id: UUID, actor_id: UUID) -> PrefixPause:
    """Let codes go to a prefix again, and count it afresh: staff have looked at it. `NotFound` for no such pause."""
    pause = PrefixPause.objects.select_for_update().filter(pk=pause_id).first()
    if pause is None:
        raise NotFound
    if pause.lifted_at is None:
        pause.lifted_at, pause.lifted_by_id = timezone.now(), actor_id
        pause.save()
        PrefixHour.objects.filter(prefix=pause.prefix).delete()
    return pause


def purge_guard() -> None:
    """Forget counts of the days before yesterday, and pauses that ended 90 days ago."""
    now = timezone.now()
    delete_in_batches(PrefixHour.objects.filter(hour__lt=now - 2 * DAY))
    delete_in_batches(PrefixPause.objects.filter(until__lt=now - timedelta(days=90)))


def _add(number: Number, column: str) -> None:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    row = PrefixHour.objects.filter(prefix=number.prefix, hour=hour)
    if not row.update(**{column: F(column) + 1}):
        PrefixHour.objects.bulk_create([PrefixHour(prefix=number.prefix, hour=hour)], ignore_conflicts=True)
        row.update(**{column: F(column) + 1})
