"""Refunds and payouts: what became of money that goes out, and the word of whoever sent it by hand."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from unfold.enums import ActionVariant

from apps.payments.admin.exports import PayoutExport, RefundExport
from apps.payments.admin.filters import GatewayFilter, TransferAnomalyFilter, status_filter
from apps.payments.admin.forms import EvidenceForm
from apps.payments.admin.pages import StoryAdmin, alarms, tenant_card
from apps.payments.admin.timeline import shown_money
from apps.payments.admin.words import plain
from apps.payments.models.transfers import Payout, Refund
from apps.payments.selectors.search import spelled
from apps.payments.selectors.stories import Story, get_story_of_payout, get_story_of_refund
from apps.payments.services.operators import ask_about_payout, ask_about_refund, decide_about_payout
from apps.payments.services.refunds import complete_refund, reject_refund
from apps.payments.transfers import ENDED, TransferStatus
from core.admin import TenantFilter, UseCase, asked_actions, in_its_room
from core.admin_story import Card, Detail, Figure, code, link_to, operator_id_of
from core.exports import AuditedExport

# Each is a call that may take long, and all of them are one request.
MAX_ASKED = 10


def _offers(row: Refund | Payout, decisions: Collection[str]) -> Collection[str]:
    """A question about what was sent, and a decision where nobody else can make it."""
    is_waiting = row.status not in ENDED and (row.status == TransferStatus.MANUAL or "unanswered" in row.anomalies)
    return [*(["ask_again"] if row.submitted_at else []), *(decisions if is_waiting else [])]


def _decide(request: HttpRequest, payout: Payout, said: dict[str, Any], *, is_sent: bool) -> bool:
    decide_about_payout(
        operator_id=operator_id_of(request), payout_id=payout.pk, is_sent=is_sent, evidence=said["evidence"]
    )
    return True


class TransferAdmin(AuditedExport, StoryAdmin):
    """What the lists and pages of refunds and of payouts have in common."""

    list_display_links = ("created_at", "shown_amount")
    list_filter = (status_filter(TransferStatus), TransferAnomalyFilter, GatewayFilter, ("tenant", TenantFilter))
    date_hierarchy = "created_at"
    ordering = ("-created_at", "-id")

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        found: tuple[QuerySet[Any], bool] = super().get_search_results(request, queryset, spelled(search_term))
        return found

    def get_export_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_export_queryset(request)
        return rows.select_related("tenant")

    def get_figures(self, row: Any, story: Story) -> Iterable[Figure]:
        moved = -sum(line.amount for line in story.lines if line.currency == row.currency)
        yield Figure(title=_("Asked for"), text=row.money.display)
        yield Figure(
            title=_("Went out"), text=shown_money(moved, row.currency), tone="success" if moved == row.amount else ""
        )

    def get_cards(self, request: HttpRequest, row: Any, story: Story) -> Iterable[Card]:
        next_poll = f"{row.next_poll_at:%Y-%m-%d %H:%M:%S}" if row.next_poll_at else ""
        yield Card(
            title=_("At the gateway"),
            details=(
                Detail(name=_("Gateway"), text=row.gateway),
                Detail(name=_("Our reference"), text=row.reference, is_code=True),
                Detail(name=_("The gateway's reference"), text=row.provider_reference, is_code=True),
                Detail(name=_("Refused"), text=plain(row.refusal)),
                Detail(name=_("Asked about"), text=_("%(count)d times") % {"count": row.polls}),
                Detail(name=_("Next question"), text=next_poll),
            ),
        )
        yield tenant_card(
            request,
            row,
            Detail(name=_("Asked for by"), text=str(row.requested_by), link=link_to(request, row.requested_by)),
        )

    @admin.display(description=gettext_lazy("amount"), ordering="amount")
    def shown_amount(self, row: Any) -> str:
        return str(row.money.display)

    @admin.display(description=gettext_lazy("to look at"))
    def shown_anomalies(self, row: Any) -> str:
        return alarms(row)

    @admin.display(description=gettext_lazy("our reference"), ordering="reference")
    def shown_reference(self, row: Any) -> str:
        return code(row.reference)


def _asked_again(ask: UseCase) -> tuple[Any, Any]:
    return asked_actions(
        "ask_again",
        use_case=in_its_room(ask),
        permission="act",
        title=gettext_lazy("Ask the gateway again"),
        warning=gettext_lazy("The gateway is asked what became of these transfers, and its answer counts."),
        done=gettext_lazy("The gateway was asked."),
        max_chosen=MAX_ASKED,
        icon="sync",
    )


@admin.register(Refund)
class RefundAdmin(TransferAdmin):
    resource_classes = [RefundExport]
    list_display = (
        "created_at",
        "shown_amount",
        "shown_status",
        "shown_anomalies",
        "gateway",
        "shown_reference",
        "reason",
        "tenant",
    )
    search_fields = ("id", "reference", "provider_reference", "payment__id", "payment__phone", "tenant__name")
    search_help_text = gettext_lazy("Id or reference of the refund, id of the payment, or phone number")

    actions = ("ask_again", "complete", "reject")
    actions_detail = ("ask_again_one", "complete_one", "reject_one")

    ask_again, ask_again_one = _asked_again(
        lambda request, refund, _reason: ask_about_refund(operator_id=operator_id_of(request), refund_id=refund.pk)
    )
    complete, complete_one = asked_actions(
        "complete",
        use_case=in_its_room(
            lambda request, refund, said: bool(
                complete_refund(
                    actor_id=operator_id_of(request), refund_id=refund.pk, evidence=said["evidence"], is_platform=True
                )
            )
        ),
        permission="act",
        title=gettext_lazy("The money was sent"),
        warning=gettext_lazy("Say so only when the customer has the money: it is written into the ledger. For good."),
        done=gettext_lazy("Written down as sent."),
        form_class=EvidenceForm,
        icon="check",
        variant=ActionVariant.SUCCESS,
    )
    reject, reject_one = asked_actions(
        "reject",
        use_case=in_its_room(
            lambda request, refund, reason: bool(
                reject_refund(actor_id=operator_id_of(request), refund_id=refund.pk, evidence=reason, is_platform=True)
            )
        ),
        permission="act",
        title=gettext_lazy("It will not be sent"),
        warning=gettext_lazy("Only when the money was not sent: it may then be refunded anew. For good."),
        done=gettext_lazy("Rejected."),
        needs_reason=True,
        icon="block",
        variant=ActionVariant.DANGER,
    )

    def offers(self, row: Refund) -> Collection[str]:
        return _offers(row, ("complete", "reject"))

    def get_story(self, row: Refund) -> Story:
        return get_story_of_refund(row)

    def get_cards(self, request: HttpRequest, row: Refund, story: Story) -> Iterable[Card]:
        yield Card(
            title=_("Refund"),
            details=(
                Detail(name=_("Id"), text=str(row.pk), is_code=True),
                Detail(name=_("Of the payment"), text=str(row.payment), link=link_to(request, row.payment)),
                Detail(name=_("Phone"), text=row.payment.phone),
                Detail(name=_("Reason"), text=row.reason),
                Detail(name=_("How it was sent by hand"), text=row.evidence),
                Detail(name=_("Asked for"), text=f"{row.created_at:%Y-%m-%d %H:%M:%S}"),
                Detail(name=_("Ended"), text=f"{row.ended_at:%Y-%m-%d %H:%M:%S}" if row.ended_at else ""),
            ),
        )
        yield from super().get_cards(request, row, story)


@admin.register(Payout)
class PayoutAdmin(TransferAdmin):
    resource_classes = [PayoutExport]
    list_display = (
        "created_at",
        "shown_amount",
        "shown_status",
        "shown_anomalies",
        "gateway",
        "shown_recipient",
        "shown_reference",
        "client_reference",
        "tenant",
    )
    search_fields = (
        "id",
        "reference",
        "provider_reference",
        "client_reference",
        "phone",
        "bank_account",
        "name",
        "tenant__name",
    )
    search_help_text = gettext_lazy("Id, reference, phone number, bank account or name of the recipient")

    actions = ("ask_again", "was_sent", "was_not_sent")
    actions_detail = ("ask_again_one", "was_sent_one", "was_not_sent_one")

    ask_again, ask_again_one = _asked_again(
        lambda request, payout, _reason: ask_about_payout(operator_id=operator_id_of(request), payout_id=payout.pk)
    )
    was_sent, was_sent_one = asked_actions(
        "was_sent",
        use_case=in_its_room(lambda request, payout, said: _decide(request, payout, said, is_sent=True)),
        permission="act",
        title=gettext_lazy("The money was sent"),
        warning=gettext_lazy("Say so only when the recipient has the money: it is written into the ledger. For good."),
        done=gettext_lazy("Written down as sent."),
        form_class=EvidenceForm,
        icon="check",
        variant=ActionVariant.SUCCESS,
    )
    was_not_sent, was_not_sent_one = asked_actions(
        "was_not_sent",
        use_case=in_its_room(lambda request, payout, said: _decide(request, payout, said, is_sent=False)),
        permission="act",
        title=gettext_lazy("The money was not sent"),
        warning=gettext_lazy(
            "Only when you know that it never went out: the merchant may then pay it again. For good."
        ),
        done=gettext_lazy("Written down as failed."),
        form_class=EvidenceForm,
        icon="block",
        variant=ActionVariant.DANGER,
    )

    def offers(self, row: Payout) -> Collection[str]:
        return _offers(row, ("was_sent", "was_not_sent"))

    def get_story(self, row: Payout) -> Story:
        return get_story_of_payout(row)

    def get_cards(self, request: HttpRequest, row: Payout, story: Story) -> Iterable[Card]:
        yield Card(
            title=_("Payout"),
            details=(
                Detail(name=_("Id"), text=str(row.pk), is_code=True),
                Detail(name=_("Phone"), text=row.phone),
                Detail(name=_("Bank"), text=row.bank),
                Detail(name=_("Bank account"), text=row.bank_account, is_code=True),
                Detail(name=_("Recipient"), text=row.name),
                Detail(name=_("For"), text=row.narration),
                Detail(name=_("The merchant's reference"), text=row.client_reference, is_code=True),
                Detail(name=_("Asked for"), text=f"{row.created_at:%Y-%m-%d %H:%M:%S}"),
                Detail(name=_("Ended"), text=f"{row.ended_at:%Y-%m-%d %H:%M:%S}" if row.ended_at else ""),
            ),
        )
        yield from super().get_cards(request, row, story)

    @admin.display(description=gettext_lazy("recipient"))
    def shown_recipient(self, payout: Payout) -> str:
        return payout.phone or f"{payout.bank} {payout.bank_account}"
