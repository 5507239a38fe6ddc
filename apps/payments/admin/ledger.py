"""The ledger, to look at and to export."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.payments.admin.exports import LedgerLineExport
from apps.payments.admin.filters import GatewayFilter
from apps.payments.admin.pages import in_words
from apps.payments.admin.timeline import signed
from apps.payments.admin.words import LINES
from apps.payments.models.ledger import LedgerLine
from core.admin import TenantAdmin, TenantFilter, WordFilter
from core.admin_story import Styles, code
from core.exports import AuditedExport
from core.money import EXPONENTS


class KindFilter(WordFilter):
    title, column, words = _("kind"), "kind", LINES


class CurrencyFilter(WordFilter):
    title, column = _("currency"), "currency"
    words = {currency: currency for currency in EXPONENTS}


@admin.register(LedgerLine)
class LedgerLineAdmin(AuditedExport, TenantAdmin):
    resource_classes = [LedgerLineExport]
    list_display = ("at", "shown_kind", "shown_amount", "gateway", "shown_subject", "shown_key", "tenant")
    list_filter = (KindFilter, GatewayFilter, CurrencyFilter, ("tenant", TenantFilter))
    search_fields = (
        "id",
        "key",
        "payment__id",
        "payout__id",
        "attempt__reference",
        "refund__reference",
        "tenant__name",
    )
    search_help_text = _("Id or key of the line, id of the payment or payout, or our reference")
    date_hierarchy = "at"
    ordering = ("-at", "-id")
    show_full_result_count = False
    list_per_page = 50
    Media = Styles
    fields = (
        "id",
        "at",
        "shown_kind",
        "moved",
        "gateway",
        "key",
        "payment",
        "attempt",
        "refund",
        "payout",
        "tenant",
    )
    readonly_fields = fields

    def get_export_queryset(self, request: HttpRequest) -> QuerySet[LedgerLine]:
        lines: QuerySet[LedgerLine] = super().get_export_queryset(request)
        return lines.select_related("tenant")

    @display(description=_("kind"), ordering="kind")  # type: ignore[untyped-decorator]
    def shown_kind(self, line: LedgerLine) -> str:
        return str(LINES.get(line.kind, line.kind))

    @display(description=_("amount"), ordering="amount", label={"+": "success", "-": "warning"})  # type: ignore[untyped-decorator]
    def shown_amount(self, line: LedgerLine) -> tuple[str, str]:
        return "+" if line.amount > 0 else "-", signed(line.money)

    moved = in_words(shown_amount)

    @admin.display(description=_("belongs to"))
    def shown_subject(self, line: LedgerLine) -> str:
        subject = "payment" if line.payment_id else "payout"
        found = line.payment_id or line.payout_id
        page = reverse(f"admin:payments_{subject}_change", args=[found])
        told = _("payment") if line.payment_id else _("payout")
        return format_html('<a class="text-primary-600" href="{}">{} {}</a>', page, told, str(found)[:8])

    @admin.display(description=_("key"), ordering="key")
    def shown_key(self, line: LedgerLine) -> str:
        return code(line.key)
