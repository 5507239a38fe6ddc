"""The outbox for operators: what waits, what died, and giving the dead another life."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin

from core.outbox.models import OutboxEvent
from core.outbox.relay import replay


@admin.register(OutboxEvent)
class OutboxEventAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("created_at", "name", "attempts", "next_at", "done_at", "dead_at", "last_error")
    list_filter = ("name", ("dead_at", admin.EmptyFieldListFilter), ("done_at", admin.EmptyFieldListFilter))
    search_fields = ("event_id", "aggregate", "tenant_id")
    ordering = ("-id",)
    actions = ("replay_dead",)

    @admin.action(description="Deliver dead events again")
    def replay_dead(self, request: HttpRequest, queryset: QuerySet[OutboxEvent]) -> None:
        count = replay(list(queryset.values_list("pk", flat=True)))
        self.message_user(request, f"{count} dead events will be delivered again.", messages.SUCCESS)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
