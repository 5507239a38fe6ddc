"""What people were told in the app, for operators."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from apps.messaging.models.notifications import Notification
from core.admin import TenantAdmin, TenantFilter


@admin.register(Notification)
class NotificationAdmin(TenantAdmin):
    list_display = ("created_at", "user", "kind", "title", "read_at", "tenant")
    list_display_links = ("created_at", "title")
    list_filter = ("kind", ("read_at", admin.EmptyFieldListFilter), ("tenant", TenantFilter))
    list_select_related = ("tenant", "user")
    search_fields = ("id", "key", "user__email", "title")
    search_help_text = _("Id, e-mail address of the person, or title")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    show_full_result_count = False
