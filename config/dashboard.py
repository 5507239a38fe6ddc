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
    figures: list[tuple[str, int, str, str]] = []
    if may("accounts.view_user"):
        people = summarise_people()
        figures.append((_("Active people"), people.people, "accounts_user", "is_active__exact=1"))
        if may("accounts.view_authsession"):
            figures.append((_("Live sessions"), people.live_sessions, "accounts_authsession", "state=live"))
    if may("tenants.view_tenant"):
        tenants = summarise_tenants()
        figures.append((_("Organisations"), tenants.count, "tenants_tenant", ""))
        suspended = (_("Suspended organisations"), tenants.suspended)
        figures.append((*suspended, "tenants_tenant", "suspended_at__isempty=0"))
    if may("outbox.view_outboxevent"):
        events = summarise_events()
        waiting, dead = (_("Events waiting"), events.waiting), (_("Events given up"), events.dead)
        figures.append((*waiting, "outbox_outboxevent", "done_at__isempty=1&dead_at__isempty=1"))
        figures.append((*dead, "outbox_outboxevent", "dead_at__isempty=0"))
    told = [
        {"title": title, "value": value, "link": f"{reverse(f'admin:{model}_changelist')}?{query}"}
        for title, value, model, query in figures
    ]
    return context | {"figures": told}
