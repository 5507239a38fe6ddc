"""Payments for operators: look, search, follow the story of one payment. Nothing here writes."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import display

from apps.payments.derivation import PaymentStatus
from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.payments import Attempt, Observation, Payment, PaymentEvent
from core.admin import TenantAdmin, TenantInline

COLOURS = {
    PaymentStatus.SETTLED: "success",
    PaymentStatus.FAILED: "danger",
    PaymentStatus.EXPIRED: "warning",
    PaymentStatus.REVIEW: "danger",
    PaymentStatus.PROCESSING: "info",
}


class AttemptInline(TenantInline):
    model = Attempt
    fields = ("number", "gateway", "reference", "provider_reference", "status", "submitted_at", "polls", "next_poll_at")


class PaymentEventInline(TenantInline):
    model = PaymentEvent
    fields = ("seq", "at", "kind", "from_status", "to_status", "cause", "actor")
    ordering = ("seq",)


class ObservationInline(TenantInline):
    model = Observation
    fields = ("received_at", "source", "status", "amount", "currency", "provider_reference", "reason")
    ordering = ("received_at",)


@admin.register(Payment)
class PaymentAdmin(TenantAdmin):
    list_display = ("created_at", "shown_amount", "shown_status", "gateway", "phone", "client_reference", "tenant")
    list_filter = ("status", "gateway", "tenant")
    search_fields = ("id", "phone", "client_reference", "attempts__reference", "attempts__provider_reference")
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    inlines = (AttemptInline, PaymentEventInline)
    fieldsets = (
        (
            None,
            {"fields": ("id", "shown_status", "shown_amount", "shown_captured", "shown_concerns", "phone", "gateway")},
        ),
        ("What it is for", {"fields": ("description", "client_reference", "started_by", "tenant")}),
        ("Times", {"fields": ("created_at", "expires_at", "settled_at")}),
    )
    readonly_fields = ("id", "shown_status", "shown_amount", "shown_captured", "shown_concerns", "tenant", "created_at")

    @admin.display(description="amount", ordering="amount")
    def shown_amount(self, payment: Payment) -> str:
        return payment.money.display

    @admin.display(description="captured")
    def shown_captured(self, payment: Payment) -> str:
        return payment.captured_money.display

    @admin.display(description="to look at")
    def shown_concerns(self, payment: Payment) -> str:
        late = ["settled after we had given up"] if payment.is_late_settlement else []
        return ", ".join([*payment.anomalies, *late]) or "nothing"

    @display(description="status", ordering="status", label=COLOURS)  # type: ignore[untyped-decorator]
    def shown_status(self, payment: Payment) -> str:
        return payment.status


@admin.register(Attempt)
class AttemptAdmin(TenantAdmin):
    list_display = ("created_at", "gateway", "reference", "status", "polls", "next_poll_at", "tenant")
    list_filter = ("status", "gateway", "tenant")
    search_fields = ("reference", "provider_reference")
    ordering = ("-created_at", "-id")
    inlines = (ObservationInline,)


@admin.register(InboxDelivery)
class InboxDeliveryAdmin(ModelAdmin):  # type: ignore[misc]
    list_display = ("received_at", "gateway", "seen", "outcome", "processed_at")
    list_filter = ("gateway", "outcome")
    search_fields = ("id", "event_key")
    ordering = ("-received_at",)
    exclude = ("body",)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # it proves what the gateway said

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboxDelivery]:
        return super().get_queryset(request).defer("body")  # type: ignore[no-any-return]
