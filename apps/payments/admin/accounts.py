"""Accounts at gateways and how they are doing. No credential is ever shown: their owners enter new ones."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.payments.admin.filters import GatewayFilter
from apps.payments.admin.pages import in_words
from apps.payments.models.accounts import OWN_ACCOUNT, GatewayAccount, GatewayHealth
from core.admin import ReadOnlyAdmin, TenantAdmin, TenantFilter

BREAKER = {"answers": "success", "resting": "danger", "probing": "warning"}
BREAKER_WORDS = {
    "answers": _("answers"),
    "resting": _("does not answer, left alone"),
    "probing": _("does not answer, being tried"),
}


@admin.register(GatewayAccount)
class GatewayAccountAdmin(TenantAdmin):
    list_display = (
        "gateway",
        "tenant",
        "is_enabled",
        "shown_health",
        "allows_manual_refunds",
        "refuses_when_down",
        "created_at",
        "retired_at",
    )
    list_filter = (GatewayFilter, "is_enabled", ("retired_at", admin.EmptyFieldListFilter), ("tenant", TenantFilter))
    search_fields = ("id", "gateway", "tenant__name", "tenant__id")
    search_help_text = _("Id, gateway, or name or id of the organisation")
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    exclude = ("credentials", "callback_version")
    readonly_fields = ("health", "tenant")

    def get_queryset(self, request: HttpRequest) -> QuerySet[GatewayAccount]:
        health = GatewayHealth.objects.filter(account_id=OuterRef("pk"), gateway=OuterRef("gateway"))
        accounts: QuerySet[GatewayAccount] = super().get_queryset(request)  # type: ignore[assignment]
        return accounts.annotate(open_until=Subquery(health.values("open_until")[:1]))

    @display(description=_("health"), label=BREAKER)  # type: ignore[untyped-decorator]
    def shown_health(self, account: GatewayAccount) -> tuple[str, str]:
        state = breaker_state(account)
        return state, str(BREAKER_WORDS[state])

    health = in_words(shown_health)


@admin.register(GatewayHealth)
class GatewayHealthAdmin(ReadOnlyAdmin):
    list_display = ("gateway", "shown_account", "shown_state", "open_until", "window_started_at", "calls", "silences")
    list_filter = (GatewayFilter,)
    search_fields = ("gateway", "account_id")
    search_help_text = _("Gateway, or id of the account")
    ordering = ("gateway", "account_id")
    fields = (
        "gateway",
        "shown_account",
        "state",
        "open_until",
        "is_probing",
        "window_started_at",
        "calls",
        "silences",
    )
    readonly_fields = ("shown_account", "state")

    @admin.display(description=_("account"), ordering="account_id")
    def shown_account(self, health: GatewayHealth) -> str:
        return str(_("of this installation")) if health.account_id == OWN_ACCOUNT else str(health.account_id)

    @display(description=_("state"), label=BREAKER)  # type: ignore[untyped-decorator]
    def shown_state(self, health: GatewayHealth) -> tuple[str, str]:
        state = breaker_state(health)
        return state, str(BREAKER_WORDS[state])

    state = in_words(shown_state)


def breaker_state(row: GatewayAccount | GatewayHealth) -> str:
    """`answers`, `resting` (nothing is sent), or `probing` (the rest is over, a call finds out)."""
    open_until = getattr(row, "open_until", None)
    if open_until is None:
        return "answers"
    return "resting" if open_until > timezone.now() else "probing"
