"""Messages for operators."""

from __future__ import annotations

from django.contrib import admin

from apps.messaging.models.messages import DeliveryReport, Message
from core.admin import TenantAdmin, TenantInline


class DeliveryReportInline(TenantInline):
    model = DeliveryReport
    fields = ("received_at", "raw_status", "provider_reference")
    ordering = ("received_at",)


@admin.register(Message)
class MessageAdmin(TenantAdmin):
    list_display = ("created_at", "channel", "to", "status", "provider", "tries", "tenant")
    list_filter = ("channel", "status", "provider", "tenant")
    search_fields = ("id", "to", "key", "provider_reference")
    date_hierarchy = "created_at"
    exclude = ("text",)
    readonly_fields = ("shown_text",)
    ordering = ("-created_at", "-id")
    inlines = (DeliveryReportInline,)
