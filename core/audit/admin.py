"""The audit log for operators: read, search, filter, export."""

from __future__ import annotations

import json

from django.contrib import admin
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from core.admin import ReadOnlyAdmin
from core.audit.models import AuditEntry
from core.exports import AuditedExport, ExportResource


class AuditEntryResource(ExportResource):
    class Meta:
        model = AuditEntry
        fields = export_order = (
            "id",
            "at",
            "actor_kind",
            "actor_id",
            "actor_email",
            "action",
            "target_type",
            "target_id",
            "target_label",
            "tenant_id",
            "data",
            "request_id",
        )


@admin.register(AuditEntry)
class AuditEntryAdmin(AuditedExport, ReadOnlyAdmin):
    resource_classes = [AuditEntryResource]
    list_display = ("at", "action", "actor_email", "shown_kind", "target_label", "tenant_id", "shown_data")
    list_filter = ("action", "actor_kind", "target_type")
    search_fields = ("actor_email", "actor_id", "target_label", "target_id", "tenant_id", "request_id")
    search_help_text = _("E-mail address, name, or the id of a person, a row, a tenant or a request")
    date_hierarchy = "at"
    ordering = ("-at", "-id")
    show_full_result_count = False

    @display(description=_("as"), ordering="actor_kind", label={"staff": "warning", "system": "info"})  # type: ignore[untyped-decorator]
    def shown_kind(self, entry: AuditEntry) -> str:
        return entry.actor_kind

    @admin.display(description=_("details"))
    def shown_data(self, entry: AuditEntry) -> str:
        return json.dumps(entry.data, ensure_ascii=False)[:80] if entry.data else ""
