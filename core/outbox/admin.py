"""The outbox for operators: what waits, what died, and giving the dead another life."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from core.admin import ReadOnlyAdmin
from core.audit.actions import Action
from core.audit.record import record
from core.outbox.models import OutboxEvent
from core.outbox.relay import replay


@admin.register(OutboxEvent)
class OutboxEventAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "name", "shown_subscriber", "shown_state", "attempts", "shown_error")
    list_filter = ("name", ("dead_at", admin.EmptyFieldListFilter), ("done_at", admin.EmptyFieldListFilter))
    search_fields = ("event_id", "aggregate", "tenant_id")
    ordering = ("-id",)
    actions = ("replay_dead",)

    @admin.display(description="subscriber", ordering="subscriber")
    def shown_subscriber(self, event: OutboxEvent) -> str:
        return event.subscriber.rpartition(".")[2]

    @display(  # type: ignore[untyped-decorator]
        description="state", label={"delivered": "success", "dead": "danger", "retrying": "warning", "waiting": "info"}
    )
    def shown_state(self, event: OutboxEvent) -> str:
        if event.done_at is not None:
            return "delivered" if event.attempts else "withdrawn"
        if event.dead_at is not None:
            return "dead"
        return "retrying" if event.last_error else "waiting"

    @admin.display(description="last error")
    def shown_error(self, event: OutboxEvent) -> str:
        return event.last_error[:80]

    @admin.action(description=_("Deliver dead events again"), permissions=["replay"])
    def replay_dead(self, request: HttpRequest, queryset: QuerySet[OutboxEvent]) -> None:
        with transaction.atomic():
            count = replay(list(queryset.values_list("pk", flat=True)))
            if count:
                record(Action.EVENTS_REPLAYED, actor=request.user.pk, data={"events": count})
        self.message_user(
            request, _("%(count)d dead events will be delivered again.") % {"count": count}, messages.SUCCESS
        )

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("outbox.change_outboxevent")
