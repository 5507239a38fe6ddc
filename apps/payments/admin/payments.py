"""Payments and their attempts: find one, read its story, act where a person has to."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.decorators import display
from unfold.enums import ActionVariant

from apps.payments.admin.exports import PaymentExport
from apps.payments.admin.filters import GatewayFilter, MethodFilter, PaymentAnomalyFilter, status_filter
from apps.payments.admin.forms import RefundForm
from apps.payments.admin.pages import STATUS_LABELS, StoryAdmin, alarms, shown_status_of, tenant_card
from apps.payments.admin.timeline import shown_money
from apps.payments.admin.words import plain, status_word
from apps.payments.derivation import AttemptStatus, PaymentStatus, ReviewDecision
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Observation, Payment
from apps.payments.selectors.search import search_payments, spelled
from apps.payments.selectors.stories import Story, get_story_of_payment
from apps.payments.services.operators import ask_about_payment, call_payment_off, refund_as_seen
from apps.payments.services.reviews import review_payment
from core.admin import TenantAdmin, TenantFilter, TenantInline, asked_actions, in_its_room
from core.admin_story import Card, Detail, Figure, Styles, code, link_to, operator_id_of
from core.exports import AuditedExport

Kind = LedgerLine.Kind
# Each is a call that may take long, and all of them are one request.
MAX_ASKED = 10
OPEN = frozenset({PaymentStatus.CREATED, PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION})
CAME_IN = frozenset({Kind.CAPTURE, Kind.ADJUSTMENT})


@admin.register(Payment)
class PaymentAdmin(AuditedExport, StoryAdmin):
    resource_classes = [PaymentExport]
    list_display = (
        "created_at",
        "shown_amount",
        "shown_status",
        "shown_anomalies",
        "shown_gateway",
        "phone",
        "client_reference",
        "tenant",
    )
    list_display_links = ("created_at", "shown_amount")
    list_filter = (
        status_filter(PaymentStatus),
        PaymentAnomalyFilter,
        GatewayFilter,
        MethodFilter,
        ("tenant", TenantFilter),
    )
    search_fields = ("id",)  # that there is a search; `search_payments` says how
    search_help_text = gettext_lazy(
        "Id, phone number, a reference of the merchant's, ours or the gateway's, or the organisation's name"
    )
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")
    actions = ("ask_again", "refund", "accept", "reject", "call_off")
    actions_detail = ("ask_again_one", "refund_one", "accept_one", "reject_one", "call_off_one")

    ask_again, ask_again_one = asked_actions(
        "ask_again",
        use_case=in_its_room(
            lambda request, payment, _reason: ask_about_payment(
                operator_id=operator_id_of(request), payment_id=payment.pk
            )
        ),
        permission="act",
        title=gettext_lazy("Ask the gateway again"),
        warning=gettext_lazy("The gateway is asked what became of these payments, and its answer counts."),
        done=gettext_lazy("The gateway was asked."),
        max_chosen=MAX_ASKED,
        icon="sync",
    )
    refund, refund_one = asked_actions(
        "refund",
        use_case=in_its_room(lambda request, payment, said: _refund(request, payment, said)),
        permission="act",
        title=gettext_lazy("Send money back"),
        warning=gettext_lazy(
            "The money goes back to whoever paid. Where the gateway cannot send it, a person does by hand."
        ),
        done=gettext_lazy("Refund asked for."),
        form_class=RefundForm,
        icon="undo",
    )
    accept, accept_one = asked_actions(
        "accept",
        use_case=in_its_room(
            lambda request, payment, reason: _review(request, payment, ReviewDecision.ACCEPTED, reason)
        ),
        permission="act",
        title=gettext_lazy("Accept in review"),
        warning=gettext_lazy("The money that came in counts as the payment, and the merchant is told so. For good."),
        done=gettext_lazy("Accepted."),
        needs_reason=True,
        icon="check",
        variant=ActionVariant.SUCCESS,
    )
    reject, reject_one = asked_actions(
        "reject",
        use_case=in_its_room(
            lambda request, payment, reason: _review(request, payment, ReviewDecision.REJECTED, reason)
        ),
        permission="act",
        title=gettext_lazy("Reject in review"),
        warning=gettext_lazy("The payment fails. What came in stays in the books, to be sent back. For good."),
        done=gettext_lazy("Rejected."),
        needs_reason=True,
        icon="block",
        variant=ActionVariant.DANGER,
    )
    call_off, call_off_one = asked_actions(
        "call_off",
        use_case=in_its_room(
            lambda request, payment, reason: call_payment_off(
                operator_id=operator_id_of(request), payment_id=payment.pk, reason=reason
            )
        ),
        permission="act",
        title=gettext_lazy("Cancel the payment"),
        warning=gettext_lazy(
            "Nothing more is asked of these customers. What a gateway cannot call back may still be paid, and counts."
        ),
        done=gettext_lazy("Called off."),
        needs_reason=True,
        icon="cancel",
    )

    def offers(self, row: Payment) -> Collection[str]:
        offered = ["ask_again"]
        if row.captured > row.refund_reserved:
            offered.append("refund")
        if row.status == PaymentStatus.REVIEW:
            offered += ["accept", "reject"]
        if row.status in OPEN and row.cancel_asked_at is None:
            offered.append("call_off")
        return offered

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Payment], search_term: str
    ) -> tuple[QuerySet[Payment], bool]:
        return search_payments(queryset, search_term), False

    def get_export_queryset(self, request: HttpRequest) -> QuerySet[Payment]:
        payments: QuerySet[Payment] = super().get_export_queryset(request)
        return payments.select_related("tenant", "applied_attempt")

    def get_story(self, row: Payment) -> Story:
        return get_story_of_payment(row)

    def get_figures(self, row: Payment, story: Story) -> Iterable[Figure]:
        lines = [line for line in story.lines if line.currency == row.currency]
        captured = sum(line.amount for line in lines if line.kind in CAME_IN)
        refunded = -sum(line.amount for line in lines if line.kind not in CAME_IN)
        yield Figure(title=_("Asked for"), text=row.money.display)
        yield Figure(
            title=_("Came in"),
            text=shown_money(captured, row.currency),
            note=_("The books say %(amount)s.") % {"amount": row.captured_money.display}
            if captured != row.captured
            else "",
            tone=_tone_of_capture(row, captured),
        )
        yield Figure(
            title=_("Sent back"),
            text=shown_money(refunded, row.currency),
            note=_("The books say %(amount)s.") % {"amount": row.refunded_money.display}
            if refunded != row.refunded
            else "",
            tone="danger" if refunded != row.refunded else "",
        )
        yield Figure(
            title=_("Promised back"),
            text=shown_money(row.refund_reserved, row.currency),
            note=_("Refunds that have not failed, sent or not."),
        )
        yield Figure(title=_("May still go back"), text=shown_money(captured - row.refund_reserved, row.currency))
        for currency in sorted({line.currency for line in story.lines} - {row.currency}):
            other = sum(line.amount for line in story.lines if line.currency == currency)
            yield Figure(title=_("In another currency"), text=shown_money(other, currency), tone="danger")

    def get_cards(self, request: HttpRequest, row: Payment, story: Story) -> Iterable[Card]:
        yield Card(
            title=_("Payment"),
            details=(
                Detail(name=_("Id"), text=str(row.pk), is_code=True),
                Detail(name=_("Gateway"), text=f"{row.gateway} ({row.method})"),
                Detail(name=_("Phone"), text=row.phone),
                Detail(name=_("Why it failed"), text=plain(row.failure_code)),
                Detail(name=_("For"), text=row.description),
                Detail(name=_("The merchant's reference"), text=row.client_reference, is_code=True),
                Detail(name=_("Started"), text=f"{row.created_at:%Y-%m-%d %H:%M:%S}"),
                Detail(name=_("Waits until"), text=f"{row.expires_at:%Y-%m-%d %H:%M:%S}"),
                Detail(name=_("Settled"), text=f"{row.settled_at:%Y-%m-%d %H:%M:%S}" if row.settled_at else ""),
            ),
        )
        for attempt in story.attempts:
            next_poll = f"{attempt.next_poll_at:%Y-%m-%d %H:%M:%S}" if attempt.next_poll_at else ""
            yield Card(
                title=_("Attempt %(number)d") % {"number": attempt.number},
                details=(
                    Detail(name=_("Gateway"), text=f"{attempt.gateway} ({attempt.method})"),
                    Detail(name=_("Status"), text=status_word(attempt.status)),
                    Detail(
                        name=_("Our reference"),
                        text=attempt.reference,
                        link=link_to(request, attempt),
                        is_code=True,
                    ),
                    Detail(name=_("The gateway's reference"), text=attempt.provider_reference, is_code=True),
                    Detail(name=_("Refused"), text=plain(attempt.refusal)),
                    Detail(name=_("Asked about"), text=_("%(count)d times") % {"count": attempt.polls}),
                    Detail(name=_("Next question"), text=next_poll),
                ),
            )
        for refund in story.refunds:
            yield Card(
                title=_("Refund"),
                details=(
                    Detail(name=_("Amount"), text=refund.money.display, link=link_to(request, refund)),
                    Detail(name=_("Status"), text=status_word(refund.status)),
                    Detail(name=_("Our reference"), text=refund.reference, is_code=True),
                    Detail(name=_("Reason"), text=refund.reason),
                ),
            )
        yield tenant_card(
            request,
            row,
            Detail(name=_("Started by"), text=str(row.started_by), link=link_to(request, row.started_by)),
        )

    @admin.display(description=gettext_lazy("amount"), ordering="amount")
    def shown_amount(self, payment: Payment) -> str:
        return payment.money.display

    @admin.display(description=gettext_lazy("gateway"), ordering="gateway")
    def shown_gateway(self, payment: Payment) -> str:
        return f"{payment.gateway} ({payment.method})"

    @admin.display(description=gettext_lazy("to look at"))
    def shown_anomalies(self, payment: Payment) -> str:
        return alarms(payment)


def _refund(request: HttpRequest, payment: Payment, said: dict[str, Any]) -> bool:
    refund_as_seen(
        operator_id=operator_id_of(request),
        payment_id=payment.pk,
        version=said["seen"].get(str(payment.pk), -1),
        money=said["amount"],
        reason=said["reason"],
    )
    return True


def _review(request: HttpRequest, payment: Payment, decision: ReviewDecision, note: str) -> bool:
    review_payment(payment_id=payment.pk, actor_id=operator_id_of(request), decision=decision, note=note)
    return True


def _tone_of_capture(payment: Payment, captured: int) -> str:
    if captured != payment.captured:
        return "danger"
    if captured == 0:
        return ""
    return "success" if captured == payment.amount else "warning"


class ObservationInline(TenantInline):
    model = Observation
    fields = ("received_at", "source", "status", "amount", "currency", "provider_reference", "reason")
    ordering = ("received_at", "id")
    show_change_link = False


@admin.register(Attempt)
class AttemptAdmin(TenantAdmin):
    list_display = (
        "created_at",
        "gateway",
        "method",
        "shown_reference",
        "provider_reference",
        "shown_status",
        "polls",
        "next_poll_at",
        "tenant",
    )
    list_filter = (status_filter(AttemptStatus), GatewayFilter, MethodFilter, ("tenant", TenantFilter))
    search_fields = ("id", "reference", "provider_reference", "phone")
    search_help_text = gettext_lazy("Id, phone number, or a reference of ours or of the gateway")
    ordering = ("-created_at", "-id")
    show_full_result_count = False
    list_per_page = 50
    Media = Styles
    inlines = (ObservationInline,)

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Attempt], search_term: str
    ) -> tuple[QuerySet[Attempt], bool]:
        found: tuple[QuerySet[Attempt], bool] = super().get_search_results(request, queryset, spelled(search_term))
        return found

    @admin.display(description=gettext_lazy("our reference"), ordering="reference")
    def shown_reference(self, attempt: Attempt) -> str:
        return code(attempt.reference)

    @display(description=gettext_lazy("status"), ordering="status", label=STATUS_LABELS)  # type: ignore[untyped-decorator]
    def shown_status(self, attempt: Attempt) -> tuple[str, str]:
        return shown_status_of(attempt)
