"""The HTTP face of the in-app inbox: one's own notifications in the tenant that one is in."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.messaging.selectors.notifications import count_unread, get_notification, list_notifications
from apps.messaging.serializers.notifications import (
    NotificationFilterInput,
    NotificationOutput,
    ReadAllInput,
    ReadAllOutput,
    UnreadOutput,
)
from apps.messaging.services.notifications import delete_notification, read_all, read_notification
from apps.tenants.permissions import IsTenantMember, NotAMember, TenantSuspended
from core.conditional import conditional_response
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.views import APIView

NOTIFICATION_EXAMPLE: dict[str, Any] = {
    "id": "7c0d5f0e-5a7b-4d43-9a55-6f0f7f7f2a10",
    "kind": "service",
    "title": "TZS 5,000 received",
    "text": "The payment order-1024 has been paid.",
    "data": {"payment": "0f8d1a52-3f6b-4d0e-8a53-6a5e4f0f2b77"},
    "created_at": "2026-11-20T09:00:12Z",
    "read_at": None,
}
READ_EXAMPLE = NOTIFICATION_EXAMPLE | {"read_at": "2026-11-20T09:05:00Z"}
ERRORS = [NotAMember, TenantSuspended]


class NotificationListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="notifications_list",
        tag="notifications",
        summary="List your notifications, newest first",
        description="With `If-None-Match` an unchanged page costs no body: ask again as often as every few seconds.",
        parameters=[NotificationFilterInput],
        response=NotificationOutput,
        is_page=True,
        message=_("Notifications."),
        example=NOTIFICATION_EXAMPLE,
        errors=ERRORS,
        is_conditional=True,
    )
    def get(self, request: Request) -> Response:
        filters = NotificationFilterInput.parse(request.query_params)
        found = list_notifications(user_id=request.auth.user.pk, **filters)
        page = paginated_response(request, found, NotificationOutput)
        return conditional_response(request, page.data["data"], message=_("Notifications."))


class UnreadCountView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="notifications_unread_count",
        tag="notifications",
        summary="Count what you have not read",
        description="For the number on a bell. Cheap: ask every few seconds, with `If-None-Match`.",
        response=UnreadOutput,
        message=_("Unread notifications."),
        example={"unread": 3},
        errors=ERRORS,
        is_conditional=True,
    )
    def get(self, request: Request) -> Response:
        told = {"unread": count_unread(user_id=request.auth.user.pk)}
        return conditional_response(request, UnreadOutput(told).data, message=_("Unread notifications."))


class NotificationDetailView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="notifications_get",
        tag="notifications",
        summary="Get one notification",
        response=NotificationOutput,
        message=_("Notification."),
        example=NOTIFICATION_EXAMPLE,
        errors=ERRORS,
    )
    def get(self, request: Request, notification_id: UUID) -> Response:
        found = get_notification(user_id=request.auth.user.pk, notification_id=notification_id)
        return success_response(NotificationOutput(found).data, message=_("Notification."))

    @operation(
        id="notifications_delete",
        tag="notifications",
        summary="Remove one notification",
        response=None,
        message=_("Notification removed."),
        errors=ERRORS,
    )
    def delete(self, request: Request, notification_id: UUID) -> Response:
        delete_notification(user_id=request.auth.user.pk, notification_id=notification_id)
        return success_response(message=_("Notification removed."))


class NotificationReadView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="notifications_read",
        tag="notifications",
        summary="Mark one notification as read",
        description="Repeating it is harmless.",
        response=NotificationOutput,
        message=_("Notification read."),
        example=READ_EXAMPLE,
        errors=ERRORS,
    )
    def post(self, request: Request, notification_id: UUID) -> Response:
        found = read_notification(user_id=request.auth.user.pk, notification_id=notification_id)
        return success_response(NotificationOutput(found).data, message=_("Notification read."))


class NotificationReadAllView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember)

    @operation(
        id="notifications_read_all",
        tag="notifications",
        summary="Mark all your notifications as read",
        description="Or those that were there at `until`, so that one that came meanwhile is not missed.",
        request=ReadAllInput,
        request_examples={"All": {}, "Those that were shown": {"until": "2026-11-20T09:00:12Z"}},
        response=ReadAllOutput,
        message=_("Notifications read."),
        example={"read": 3, "unread": 0},
        errors=ERRORS,
    )
    def post(self, request: Request) -> Response:
        asked = ReadAllInput.parse(request.data)
        read = read_all(user_id=request.auth.user.pk, **asked)
        told = {"read": read, "unread": count_unread(user_id=request.auth.user.pk)}
        return success_response(ReadAllOutput(told).data, message=_("Notifications read."))
