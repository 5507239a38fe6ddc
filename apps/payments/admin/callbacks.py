"""What gateways told us: search it, read it, have it processed again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from apps.payments.admin.filters import GatewayFilter
from apps.payments.admin.pages import in_words
from apps.payments.admin.redaction import readable_body, readable_headers
from apps.payments.models.accounts import OWN_ACCOUNT
from apps.payments.models.inbox import InboxDelivery
from apps.payments.services.callbacks import replay_delivery
from core.admin import ReadOnlyAdmin, asked_actions
from core.admin_story import Styles, operator_id_of

STATES = {"processed": _("processed"), "waiting": _("waiting"), "parked": _("given up")}


class StateFilter(admin.SimpleListFilter):
    title, parameter_name = _("state"), "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return list(STATES.items())

    def queryset(self, request: HttpRequest, queryset: QuerySet[InboxDelivery]) -> QuerySet[InboxDelivery]:
        if self.value() == "parked":
            return queryset.filter(parked_at__isnull=False)
        if self.value() == "processed":
            return queryset.filter(processed_at__isnull=False)
        if self.value() == "waiting":
            return queryset.filter(processed_at=None, parked_at=None)
        return queryset


def _replay(request: HttpRequest, delivery: InboxDelivery) -> bool:
    replay_delivery(delivery_id=delivery.pk, actor_id=operator_id_of(request))
    return True


@admin.register(InboxDelivery)
class InboxDeliveryAdmin(ReadOnlyAdmin):
    """Nothing here is removed: it proves what the gateway said."""

    list_display = ("received_at", "gateway", "shown_account", "shown_state", "outcome", "seen", "processed_at")
    list_filter = (StateFilter, GatewayFilter, "received_at")
    search_fields = ("id", "event_key", "outcome", "subject_id", "tenant_id")
    search_help_text = _("Id or key of the callback, or id of the attempt, refund or payout that it was about")
    date_hierarchy = "received_at"
    ordering = ("-received_at", "-id")
    show_full_result_count = False
    actions = ("replay",)
    actions_detail = ("replay_one",)

    replay, replay_one = asked_actions(
        "replay",
        use_case=lambda request, delivery, _reason: _replay(request, delivery),
        permission="act",
        title=_("Process again"),
        warning=_("The callback is processed from the start. News that is known already changes nothing."),
        done=_("It will be processed again."),
        icon="replay",
    )

    fields = (
        "id",
        "received_at",
        "gateway",
        "shown_account",
        "state",
        "outcome",
        "trust",
        "seen",
        "tries",
        "error",
        "processed_at",
        "parked_at",
        "subject_id",
        "event_key",
        "shown_headers",
        "shown_body",
    )
    readonly_fields = ("shown_account", "state", "shown_headers", "shown_body")

    Media = Styles

    def has_act_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return bool(request.user.has_perm("payments.change_inboxdelivery"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[InboxDelivery]:
        deliveries: QuerySet[InboxDelivery] = super().get_queryset(request)
        return deliveries.defer("body")

    @display(  # type: ignore[untyped-decorator]
        description=_("state"), label={"processed": "success", "waiting": "info", "parked": "danger"}
    )
    def shown_state(self, delivery: InboxDelivery) -> tuple[str, str]:
        state = "parked" if delivery.parked_at else "processed" if delivery.processed_at else "waiting"
        return state, str(STATES[state])

    state = in_words(shown_state)

    @admin.display(description=_("account"), ordering="account_id")
    def shown_account(self, delivery: InboxDelivery) -> str:
        return str(_("of this installation")) if delivery.account_id == OWN_ACCOUNT else str(delivery.account_id)

    @admin.display(description=_("what it said"))
    def shown_body(self, delivery: InboxDelivery) -> str:
        told = readable_body(bytes(delivery.body), str(delivery.headers.get("content-type", "")))
        return format_html('<pre class="fj-code fj-body">{}</pre>', told)

    @admin.display(description=_("headers"))
    def shown_headers(self, delivery: InboxDelivery) -> str:
        return format_html('<pre class="fj-code fj-body">{}</pre>', readable_headers(delivery.headers))
