"""The admin's first page: a few figures, each for those who may see the list behind it."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _

from apps.accounts.selectors import summarise_people
from apps.tenants.selectors.tenants import summarise_tenants
from core.outbox.relay import summarise_events


def add_figures(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold asks for this by the name in `UNFOLD`."""
    may = request.user.has_perm
    figures: list[tuple[str, int, str]] = []
    if may("accounts.view_user"):
        people = summarise_people()
        figures.append((_("Active people"), people.people, "accounts_user"))
        if may("accounts.view_authsession"):
            figures.append((_("Live sessions"), people.live_sessions, "accounts_authsession"))
    if may("tenants.view_tenant"):
        tenants = summarise_tenants()
        figures.append((_("Organisations"), tenants.count, "tenants_tenant"))
        figures.append((_("Suspended organisations"), tenants.suspended, "tenants_tenant"))
    if may("outbox.view_outboxevent"):
        events = summarise_events()
        figures.append((_("Events waiting"), events.waiting, "outbox_outboxevent"))
        figures.append((_("Events given up"), events.dead, "outbox_outboxevent"))
    told = [
        {"title": title, "value": value, "link": reverse(f"admin:{model}_changelist")}
        for title, value, model in figures
    ]
    return context | {"figures": told}
