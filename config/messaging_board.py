"""The part of the admin's first page that is about messages: how many, how they arrive, and what they cost."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from apps.messaging.channels import Channel
from apps.messaging.selectors.figures import (
    DailyMessages,
    ProviderHealth,
    Tries,
    UsedBudget,
    list_daily_messages,
    list_daily_spend,
    list_platform_budgets,
    list_provider_health,
    list_running_pauses,
    list_tenant_budgets,
)
from apps.payments.selectors.figures import first_day
from core.money import Money

COLOURS = {Channel.SMS.value: "--color-primary-600", Channel.EMAIL.value: "--color-blue-400"}


def messaging_board(request: HttpRequest, *, days: int) -> dict[str, Any] | None:
    """What the template shows, for those who may look at messages, or at budgets and pauses; None for others."""
    may = request.user.has_perm
    sees_messages, sees_budgets = may("messaging.view_message"), may("messaging.view_budget")
    sees_pauses = may("messaging.view_prefixpause")
    if not (sees_messages or sees_budgets or sees_pauses):
        return None
    return {
        "template": "messaging/admin/board.html",
        "volume": _volume(list_daily_messages(days=days), days) if sees_messages else None,
        "health": [_health(row) for row in list_provider_health(days=days)] if sees_messages else None,
        "spend": _spend(days) if sees_budgets else None,
        "budgets": _budgets() if sees_budgets else None,
        "pauses": _pauses() if sees_pauses else None,
        "words": _words(days),
    }


def _words(days: int) -> dict[str, str]:
    return {
        "messages": _("Messages, the last %(days)d days") % {"days": days},
        "health": _("Providers of texts"),
        "spend": _("What texts cost, the last %(days)d days") % {"days": days},
        "budgets": _("Budgets of texts"),
        "pauses": _("Prefixes to which no codes go"),
        "none": _("Nothing yet."),
        "no_pauses": _("Codes go everywhere."),
        "provider": _("Provider"),
        "last_day": _("Accepted / refused / silent, 24 hours"),
        "longer": _("The same, %(days)d days") % {"days": days},
        "delivered": _("Delivered, of those whose end is known"),
        "whose": _("Organisation"),
        "period": _("Period"),
        "used": _("Used"),
        "sent": _("codes"),
        "verified": _("came back"),
        "until": _("paused until"),
        "urgent": _("nearly used up"),
    }


def _volume(rows: Sequence[DailyMessages], days: int) -> dict[str, Any]:
    labels = dict(Channel.choices)
    counts = {(row.channel, row.day): row.count for row in rows}
    dates = [first_day(days) + timedelta(days=number) for number in range(days)]
    channels = [channel for channel in COLOURS if any(row.channel == channel for row in rows)]
    datasets = [
        _bars(str(labels[channel]), [counts.get((channel, day), 0) for day in dates], COLOURS[channel])
        for channel in channels
    ]
    total = number_format(sum(row.count for row in rows), force_grouping=True)
    return {
        "total": _("%(total)s messages") % {"total": total},
        "legend": [(labels[channel], COLOURS[channel]) for channel in channels],
        "data": json.dumps({"labels": [f"{day:%d.%m.}" for day in dates], "datasets": datasets}),
        "is_empty": not rows,
    }


def _bars(label: str, data: Sequence[Any], colour: str, suffix: str = "") -> dict[str, Any]:
    return {
        "label": label,
        "data": list(data),
        "suffixYAxis": suffix,
        "backgroundColor": f"var({colour})",
        "stack": "all",
        "maxBarThickness": 18,
        "borderRadius": 2,
        "maxTicksXLimit": 10,
        "displayYAxis": True,
    }


def _health(row: ProviderHealth) -> dict[str, Any]:
    return {
        "provider": row.provider,
        "last_day": _tries(row.last_day),
        "longer": _tries(row.longer),
        "percent": row.delivered_percent,
        "delivered": number_format(row.delivered, force_grouping=True),
        "known": number_format(row.delivered + row.lost, force_grouping=True),
        "is_bad": row.last_day.total > 0 and row.last_day.accepted * 100 < row.last_day.total * 80,
        "link": f"{reverse('admin:messaging_message_changelist')}?provider={row.provider}",
    }


def _tries(tries: Tries) -> str:
    return " / ".join(
        number_format(each, force_grouping=True) for each in (tries.accepted, tries.refused, tries.silent)
    )


def _spend(days: int) -> dict[str, Any]:
    spent = list_daily_spend(days=days)
    currency = settings.SMS_CURRENCY
    # For drawing only: the amounts themselves stay whole numbers.
    data = [float(Money(amount, currency).decimal) for _day, amount in spent]
    bars = _bars(currency, data, "--color-green-500")
    return {
        "total": Money(sum(amount for _day, amount in spent), currency).display,
        "data": json.dumps({"labels": [f"{day:%d.%m.}" for day, _amount in spent], "datasets": [bars]}),
        "is_empty": not any(amount for _day, amount in spent),
    }


def _budgets() -> list[dict[str, Any]]:
    return [_budget(each, _("all together")) for each in list_platform_budgets()] + [
        _budget(each, each.name) for each in list_tenant_budgets()
    ]


def _budget(budget: UsedBudget, name: str) -> dict[str, Any]:
    return {
        "name": name,
        "is_all": budget.tenant_id is None,
        "period": budget.period,
        "used": budget.used.display,
        "limit": budget.limit.display,
        "percent": budget.percent,
        "width": min(budget.percent, 100),
        "is_urgent": budget.is_urgent,
    }


def _pauses() -> list[dict[str, Any]]:
    return [
        {
            "prefix": row.prefix,
            "sent": row.sent,
            "verified": row.verified,
            "until": row.until,
            "link": reverse("admin:messaging_prefixpause_change", args=[row.pk]),
        }
        for row in list_running_pauses()
    ]
