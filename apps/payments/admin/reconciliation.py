"""Comparisons with the gateways' books, and the differences that somebody has to explain."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import F, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.payments.admin.exports import BreakExport
from apps.payments.admin.filters import GatewayFilter
from apps.payments.admin.forms import ExplanationForm
from apps.payments.admin.pages import in_words
from apps.payments.admin.words import BREAK_NAMES, BREAKS, plain
from apps.payments.models.accounts import OWN_ACCOUNT
from apps.payments.models.reconciliation import ReconciliationBreak, ReconciliationRun
from apps.payments.services.breaks import resolve_break
from apps.payments.services.reconciliation import repeat_reconciliation
from core.admin import ReadOnlyAdmin, WordFilter, asked_actions
from core.admin_story import Styles, code, operator_id_of
from core.exports import AuditedExport
from core.logging import redact


class StateFilter(admin.SimpleListFilter):
    title, parameter_name = _("state"), "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [("open", _("open")), ("explained", _("explained"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in {"open", "explained"}:
            return queryset.filter(resolved_at__isnull=self.value() == "open")
        return queryset


class KindFilter(WordFilter):
    title, column, words = _("kind"), "kind", BREAK_NAMES


@admin.register(ReconciliationBreak)
class ReconciliationBreakAdmin(AuditedExport, ReadOnlyAdmin):
    """The open ones first."""

    resource_classes = [BreakExport]
    list_display = (
        "opened_at",
        "shown_kind",
        "gateway",
        "shown_reference",
        "shown_ours",
        "shown_theirs",
        "shown_state",
    )
    list_filter = (StateFilter, KindFilter, GatewayFilter)
    search_fields = ("id", "reference", "payment_id", "tenant_id", "resolution")
    search_help_text = _("Reference, id of the payment or of the organisation, or words of the explanation")
    date_hierarchy = "opened_at"
    ordering = (F("resolved_at").desc(nulls_first=True), "-opened_at", "-id")
    show_full_result_count = False
    list_select_related = ("resolved_by",)
    fields = (
        "shown_meaning",
        "gateway",
        "shown_account",
        "shown_reference",
        "shown_payment",
        "shown_sides",
        "opened_at",
        "state",
        "resolved_at",
        "resolution",
        "resolved_by",
    )
    readonly_fields = fields

    actions = ("explain",)
    actions_detail = ("explain_one",)

    explain, explain_one = asked_actions(
        "explain",
        use_case=lambda request, row, said: _explain(request, row, said["explanation"]),
        permission="act",
        title=_("Explain the difference"),
        warning=_("Nothing in the books is changed by it: the difference counts as explained. For good."),
        done=_("Explained."),
        form_class=ExplanationForm,
        icon="edit_note",
    )

    Media = Styles

    def has_act_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("payments.change_reconciliationbreak"))

    @admin.display(description=_("kind"), ordering="kind")
    def shown_kind(self, row: ReconciliationBreak) -> str:
        return str(BREAK_NAMES.get(row.kind, row.kind))

    @admin.display(description=_("what differs"))
    def shown_meaning(self, row: ReconciliationBreak) -> str:
        return str(BREAKS.get(row.kind, row.kind))

    @display(description=_("state"), label={"open": "danger", "explained": "success"})  # type: ignore[untyped-decorator]
    def shown_state(self, row: ReconciliationBreak) -> tuple[str, str]:
        return ("open", str(_("open"))) if row.resolved_at is None else ("explained", str(_("explained")))

    state = in_words(shown_state)

    @admin.display(description=_("reference"), ordering="reference")
    def shown_reference(self, row: ReconciliationBreak) -> str:
        return code(row.reference)

    @admin.display(description=_("account"))
    def shown_account(self, row: ReconciliationBreak) -> str:
        return str(_("of this installation")) if row.account_id == OWN_ACCOUNT else str(row.account_id)

    @admin.display(description=_("payment"))
    def shown_payment(self, row: ReconciliationBreak) -> str:
        if row.payment_id is None:
            return "-"
        page = reverse("admin:payments_payment_change", args=[row.payment_id])
        return format_html('<a class="text-primary-600" href="{}">{}</a>', page, row.payment_id)

    @admin.display(description=_("ours"))
    def shown_ours(self, row: ReconciliationBreak) -> str:
        return _summary(row.ours)

    @admin.display(description=_("theirs"))
    def shown_theirs(self, row: ReconciliationBreak) -> str:
        return _summary(row.theirs)

    @admin.display(description=_("side by side"))
    def shown_sides(self, row: ReconciliationBreak) -> SafeString:
        ours, theirs = _side(row.ours), _side(row.theirs)
        lines = (
            (
                "fj-differs" if name in ours and name in theirs and ours[name] != theirs[name] else "",
                plain(name),
                ours.get(name, "-"),
                theirs.get(name, "-"),
            )
            for name in sorted({*ours, *theirs})
        )
        body = format_html_join("", '<tr class="{}"><th>{}</th><td>{}</td><td>{}</td></tr>', lines)
        return format_html(
            '<table class="fj-compare"><thead><tr><th></th><th>{}</th><th>{}</th></tr></thead>{}</table>',
            _("Our books"),
            _("The gateway's"),
            body,
        )


@admin.register(ReconciliationRun)
class ReconciliationRunAdmin(ReadOnlyAdmin):
    list_display = ("day", "gateway", "shown_account", "shown_state", "compared", "breaks", "started_at", "finished_at")
    list_filter = (GatewayFilter, ("finished_at", admin.EmptyFieldListFilter))
    search_fields = ("id", "gateway", "account_id", "tenant_id")
    search_help_text = _("Gateway, or id of the account or organisation")
    date_hierarchy = "day"
    ordering = ("-day", "-started_at", "-id")
    show_full_result_count = False
    actions = ("repeat",)
    actions_detail = ("repeat_one",)

    repeat, repeat_one = asked_actions(
        "repeat",
        use_case=lambda request, run, _reason: _repeat(request, run),
        permission="act",
        title=_("Compare again"),
        warning=_("The day is compared with the gateway's list once more."),
        done=_("It will be compared again."),
        icon="replay",
    )

    def has_act_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("payments.change_reconciliationrun"))

    @display(description=_("state"), label={"done": "success", "failed": "danger", "under way": "info"})  # type: ignore[untyped-decorator]
    def shown_state(self, run: ReconciliationRun) -> tuple[str, str]:
        if run.error:
            return "failed", str(_("failed"))
        return ("under way", str(_("under way"))) if run.finished_at is None else ("done", str(_("done")))

    @admin.display(description=_("account"))
    def shown_account(self, run: ReconciliationRun) -> str:
        return str(_("of this installation")) if run.account_id == OWN_ACCOUNT else str(run.account_id)


def _explain(request: HttpRequest, row: ReconciliationBreak, resolution: str) -> bool:
    resolve_break(break_id=row.pk, actor_id=operator_id_of(request), resolution=resolution)
    return True


def _repeat(request: HttpRequest, run: ReconciliationRun) -> bool:
    repeat_reconciliation(run_id=run.pk, actor_id=operator_id_of(request))
    return True


def _side(told: Any) -> dict[str, str]:
    """One side's words by their names. Whatever was stored, it can be shown."""
    if not isinstance(told, Mapping):
        return {"": redact(json.dumps(told, ensure_ascii=False))[:500]} if told else {}
    return {
        str(name): redact(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))[:500]
        for name, value in told.items()
    }


def _summary(told: Any) -> str:
    return ", ".join(_side(told).values())[:120] or "-"
