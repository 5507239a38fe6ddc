"""What texts may cost, and how many there may be: counted before a text is sent, given back when it certainly was not.

A text of a tenant that asks for it over the API is refused when a limit is in the way. One of our own (a receipt) is
stored and waits: until the next day, or until staff raise the limit, or until it is too old to be of use. Its row in
the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from uuid import UUID

from django.conf import settings
from django.core.cache import cache
from django.utils import timezone
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext_lazy as _

from apps.messaging.kinds import ESSENTIAL, MessageKind
from apps.messaging.models.limits import Budget
from apps.messaging.models.messages import Message
from apps.messaging.selectors.spend import money_scope, tenant_limits
from apps.messaging.services.usage import Quota, Share, give_back, of_day, of_month, take
from core.exceptions import DomainError, RuleViolated, TooManyRequests
from core.tenancy import tenant_atomic
from services.sms.numbers import look_up

logger = logging.getLogger("faraja.messaging")

PHONE, TENANT, COUNTRY, PLATFORM = range(4)  # ranks: what more people share is locked later
RESERVED_PERCENT: Final = 10


class BudgetExceeded(RuleViolated):
    """What the organisation's texts may cost is used up, for today or for this month."""

    code = "budget_exceeded"
    message = _("Your organisation's budget for texts is used up.")


class TooManyTexts(TooManyRequests):
    """One phone, one country or all together have had enough for today. `Retry-After` is the next day."""

    message = _("Too many texts for today. Please try again tomorrow.")


def reserve(messages: Sequence[Message]) -> None:
    """Count texts that somebody asks for: all of them, or a refusal and none. Does not save the messages.

    Raises `BudgetExceeded` or `TooManyTexts`. Call inside the transaction that stores them.
    """
    today = _today()
    full = take(share for message in messages for share in _shares(message, today))
    if full is not None:
        alert(full)
        raise _refusal(full)
    for message in messages:
        message.counted_on = today


def count(message: Message) -> Quota | None:
    """Count one sending of a text, or say whose limit is in the way. Does not save the message."""
    today = _today()
    full = take(_shares(message, today))
    if full is None:
        message.counted_on = today
    return full


def uncount(message: Message) -> None:
    """The text was certainly not sent: give back what was counted for it. Does not save the message."""
    if message.counted_on is not None:
        give_back(_shares(message, message.counted_on))
        message.counted_on = None


def alert(full: Quota) -> None:
    """Say in the log that a limit is used up: once per day and limit, or more often where the cache is away."""
    try:
        is_news = cache.add(f"sms-limit:{full.scope}:{_today()}", 1, timeout=24 * 60 * 60)
    except Exception:  # noqa: BLE001  whatever a cache raises: an alert too many is better than none
        is_news = True
    if is_news and not full.scope.startswith("phone:"):
        logger.error("sms limit is used up", extra={"limit": full.scope, "period": full.period, "allowed": full.limit})


def until_tomorrow() -> timedelta:
    """How long this day (UTC) still is."""
    return datetime.combine(_today() + timedelta(days=1), time(), tzinfo=UTC) - timezone.now()


@tenant_atomic
def set_budget(*, tenant_id: UUID, daily: int | None, monthly: int | None, note: str = "") -> Budget:
    """What texts of the tenant in scope may cost, in the smallest unit of SMS_CURRENCY. None: as the settings say."""
    values = {"daily": daily, "monthly": monthly, "note": note}
    budget, _is_new = Budget.objects.update_or_create(tenant_id=tenant_id, defaults=values)
    found: Budget = budget
    return found


def _shares(message: Message, day: date) -> list[Share]:
    """What one sending of `message` uses of which limits."""
    return [*_tenant_shares(message, day), *_shared_shares(message, day)]


def _tenant_shares(message: Message, day: date) -> list[Share]:
    daily, monthly = tenant_limits(message.tenant_id)
    scope = money_scope(message.tenant_id)
    found = [
        Share(of_day(TENANT, scope, day, daily), message.price),
        Share(of_month(TENANT, scope, day, monthly), message.price),
    ]
    if (allowed := settings.SMS_PHONE_DAILY.get(message.kind)) is not None:
        found.append(Share(of_day(PHONE, _phone_scope(message), day, allowed, keep_days=2), 1))
    return found


def _shared_shares(message: Message, day: date) -> list[Share]:
    number = look_up(message.to)
    in_country = number.find_in(settings.SMS_COUNTRY_DAILY)
    found = [
        Share(of_day(PLATFORM, "texts:all", day, settings.SMS_DAILY), message.parts),
        Share(of_day(PLATFORM, money_scope(None), day, _open_to(message, settings.SMS_DAILY_BUDGET)), message.price),
        Share(
            of_month(PLATFORM, money_scope(None), day, _open_to(message, settings.SMS_MONTHLY_BUDGET)), message.price
        ),
    ]
    if in_country is not None:
        found.append(Share(of_day(COUNTRY, f"texts:{number.country}", day, in_country), message.parts))
    return found


def _open_to(message: Message, limit: int) -> int:
    """The last tenth is for what people cannot do without: advertising must not keep anybody from signing in."""
    return limit if MessageKind(message.kind) in ESSENTIAL else limit * (100 - RESERVED_PERCENT) // 100


def _phone_scope(message: Message) -> str:
    told = salted_hmac("apps.messaging.phone", f"{message.tenant_id}:{message.to}", algorithm="sha256").hexdigest()
    return f"phone:{message.kind}:{told[:32]}"


def _refusal(full: Quota) -> DomainError:
    if full.rank == TENANT:
        return BudgetExceeded()
    return TooManyTexts(retry_after=int(until_tomorrow().total_seconds()) + 1)


def _today() -> date:
    return timezone.now().astimezone(UTC).date()
