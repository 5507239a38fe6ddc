"""The admin's first page: figures and charts, each for those who may see the list behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.formats import number_format
from django.utils.translation import gettext as _

from apps.accounts.selectors import summarise_people
from apps.messaging.selectors.figures import count_uncertain_messages
from apps.payments.models.accounts import OWN_ACCOUNT
from apps.payments.selectors.figures import (
    DailyVolume,
    GatewayPerformance,
    RestingGateway,
    count_manual_refunds,
    count_open_breaks,
    count_open_reviews,
    count_parked_callbacks,
    first_day,
    list_daily_volume,
    list_gateway_performance,
    list_resting_gateways,
)
from apps.tenants.selectors.tenants import summarise_tenants
from config.messaging_board import messaging_board
from core.money import Money
from core.outbox.relay import summarise_events

DAYS = 30
# Of the theme, so that they are there without anything from outside. A gateway keeps its colour on the whole page.
COLOURS = (
    "--color-primary-600",
    "--color-blue-400",
    "--color-green-500",
    "--color-orange-400",
    "--color-red-400",
    "--color-base-500",
    "--color-primary-300",
    "--color-green-800",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number with a link to its list. `is_urgent`: there is something for a person to do."""

    title: str
    value: int
    link: str
    is_urgent: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """The volume of one currency: a bar for each day, a part of it for each gateway."""

    title: str
    total: str
    data: str
    legend: Sequence[tuple[str, str]]


def add_figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold asks for this by the name in `UNFOLD`."""
    boards = [_payments_board(request), messaging_board(request, days=DAYS)]
    return context | {
        "groups": [group for group in (_work(request), _figures(request)) if group],
        "boards": [board for board in boards if board],
    }


def _figure(title: str, value: int, model: str, query: str = "", *, is_urgent: bool = False) -> Figure:
    return Figure(
        title=title,
        value=value,
        link=f"{reverse(f'admin:{model}_changelist')}?{query}",
        is_urgent=is_urgent and value > 0,
    )


def _work(request: HttpRequest) -> list[Figure]:
    """What waits for a person."""
    waiting: list[tuple[str, Callable[[], int], str, str, str]] = [
        (_("Payments in review"), count_open_reviews, "payments.view_payment", "payments_payment", "status=review"),
        (
            _("Differences to explain"),
            count_open_breaks,
            "payments.view_reconciliationbreak",
            "payments_reconciliationbreak",
            "state=open",
        ),
        (
            _("Refunds to send by hand"),
            count_manual_refunds,
            "payments.view_refund",
            "payments_refund",
            "status=manual",
        ),
        (
            _("Callbacks given up"),
            count_parked_callbacks,
            "payments.view_inboxdelivery",
            "payments_inboxdelivery",
            "state=parked",
        ),
        (
            _("Texts that may be lost"),
            count_uncertain_messages,
            "messaging.view_message",
            "messaging_message",
            "status=uncertain",
        ),
    ]
    return [
        _figure(title, count(), model, query, is_urgent=True)
        for title, count, permission, model, query in waiting
        if request.user.has_perm(permission)
    ]


def _figures(request: HttpRequest) -> list[Figure]:
    may = request.user.has_perm
    figures: list[Figure] = []
    if may("accounts.view_user"):
        people = summarise_people()
        figures.append(_figure(_("Active people"), people.people, "accounts_user", "is_active__exact=1"))
        if may("accounts.view_authsession"):
            figures.append(_figure(_("Live sessions"), people.live_sessions, "accounts_authsession", "state=live"))
    if may("tenants.view_tenant"):
        tenants = summarise_tenants()
        figures.append(_figure(_("Organisations"), tenants.count, "tenants_tenant"))
        suspended = "suspended_at__isempty=0"
        figures.append(_figure(_("Suspended organisations"), tenants.suspended, "tenants_tenant", suspended))
    if may("outbox.view_outboxevent"):
        events, outbox = summarise_events(), "outbox_outboxevent"
        waiting = "done_at__isempty=1&dead_at__isempty=1"
        figures.append(_figure(_("Events waiting"), events.waiting, outbox, waiting))
        figures.append(_figure(_("Events given up"), events.dead, outbox, "dead_at__isempty=0", is_urgent=True))
    return figures


def _payments_board(request: HttpRequest) -> dict[str, Any] | None:
    """Volume, success and speed of the last days, and which gateways do not answer."""
    may = request.user.has_perm
    volume = list_daily_volume(days=DAYS) if may("payments.view_ledgerline") else None
    performance = list_gateway_performance(days=DAYS) if may("payments.view_payment") else None
    resting = list_resting_gateways() if may("payments.view_gatewayhealth") else None
    if volume is None and performance is None and resting is None:
        return None
    known = sorted({row.gateway for row in (*(volume or ()), *(performance or ()))})
    colours = {gateway: COLOURS[place % len(COLOURS)] for place, gateway in enumerate(known)}
    return {
        "template": "payments/admin/board.html",
        "charts": None if volume is None else _charts(volume, colours),
        "performance": None if performance is None else [_row(each, colours) for each in performance],
        "resting": None if resting is None else [_resting(each) for each in resting],
        "health_link": reverse("admin:payments_gatewayhealth_changelist"),
        "words": {
            "volume": _("Money that came in, the last %(days)d days") % {"days": DAYS},
            "performance": _("Gateways, the last %(days)d days") % {"days": DAYS},
            "breakers": _("Gateways that do not answer"),
            "all_answer": _("All gateways answer."),
            "none": _("Nothing yet."),
            "gateway": _("Gateway"),
            "started": _("Started"),
            "success": _("Paid, of those that ended"),
            "median": _("Half are paid within"),
            "slowest": _("95 % are paid within"),
            "until": _("left alone until"),
        },
    }


def _charts(volume: Sequence[DailyVolume], colours: dict[str, str]) -> list[Chart]:
    days = [first_day(DAYS) + timedelta(days=number) for number in range(DAYS)]
    charts = []
    for currency in sorted({row.currency for row in volume}):
        rows = [row for row in volume if row.currency == currency]
        gateways = sorted({row.gateway for row in rows})
        amounts = {(row.gateway, row.day): row.amount for row in rows}
        highest = max(sum(amounts.get((each, day), 0) for each in gateways) for day in days)
        scale, suffix = _scale(Money(max(highest, 0), currency))
        datasets = [
            {
                "label": gateway,
                # For drawing only: the amounts themselves stay whole numbers.
                "data": [float(Money(amounts.get((gateway, day), 0), currency).decimal / scale) for day in days],
                "suffixYAxis": suffix,
                "backgroundColor": f"var({colours[gateway]})",
                "stack": currency,
                "maxBarThickness": 18,
                "borderRadius": 2,
                "maxTicksXLimit": 10,
                "displayYAxis": True,
            }
            for gateway in gateways
        ]
        total = Money(sum(row.amount for row in rows), currency).display
        captures = sum(row.captures for row in rows)
        charts.append(
            Chart(
                title=currency,
                total=_("%(total)s in %(count)s payments") % {"total": total, "count": number_format(captures)},
                data=json.dumps({"labels": [f"{day:%d.%m.}" for day in days], "datasets": datasets}),
                legend=[(gateway, colours[gateway]) for gateway in gateways],
            )
        )
    return charts


def _scale(highest: Money) -> tuple[int, str]:
    """In what the axis counts: units, thousands or millions of them."""
    if highest.decimal >= 10_000_000:
        return 1_000_000, "M"
    return (1000, "k") if highest.decimal >= 10_000 else (1, "")


def _row(found: GatewayPerformance, colours: dict[str, str]) -> dict[str, Any]:
    success = found.success
    return {
        "gateway": found.gateway,
        "colour": colours[found.gateway],
        "started": number_format(found.started, force_grouping=True),
        "percent": None if success is None else f"{success:.1%}",
        "width": 0 if success is None else round(success * 100),
        "ended": number_format(found.ended, force_grouping=True),
        "settled": number_format(found.settled, force_grouping=True),
        "median": _duration(found.median),
        "slowest": _duration(found.slowest),
    }


def _resting(found: RestingGateway) -> dict[str, Any]:
    is_own = found.account_id == OWN_ACCOUNT
    return {"gateway": found.gateway, "account": "" if is_own else str(found.account_id), "until": found.until}


def _duration(took: timedelta | None) -> str:
    """`42 s`, `3 min 5 s`, `2 h 10 min`."""
    if took is None:
        return "-"
    seconds = round(took.total_seconds())
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"
