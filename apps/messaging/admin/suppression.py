"""Addresses that get no mail, for operators."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib import admin
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.messaging.models.suppression import EmailSuppression
from apps.messaging.services.suppression import lift_suppression
from core.admin import ReadOnlyAdmin, asked_actions


def _lift(request: HttpRequest, row: EmailSuppression, reason: str) -> bool:
    return lift_suppression(operator_id=cast(UUID, request.user.pk), suppression_id=row.pk, reason=reason)


@admin.register(EmailSuppression)
class EmailSuppressionAdmin(ReadOnlyAdmin):
    list_display = ("address", "reason", "provider", "raw_status", "reported_at", "lifted_at")
    list_filter = ("reason", "provider")
    search_fields = ("address",)
    date_hierarchy = "reported_at"
    ordering = ("-reported_at", "-id")
    show_full_result_count = False

    lift, lift_one = asked_actions(
        "lift",
        use_case=_lift,
        permission="lift",
        needs_reason=True,
        title=_("Send mail to it again"),
        warning=_("If the mailbox still does not exist, or its owner complains again, every sender's mail suffers."),
        done=_("Mail goes there again."),
        icon="mark_email_read",
    )
    actions = ("lift",)
    actions_detail = ("lift_one",)

    def has_lift_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("messaging.change_emailsuppression"))
