"""Filters of the lists of payments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.contrib import admin
from django.db.models import CharField, Q, QuerySet
from django.db.models.functions import Cast
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from apps.payments.admin.words import ANOMALY_NAMES, STATUSES
from core.admin import WordFilter

if TYPE_CHECKING:
    from django.utils.functional import _StrPromise

ANY = "any"


class GatewayFilter(WordFilter):
    """By the gateways of the settings: the words of a large table are not asked for."""

    title, column = _("gateway"), "gateway"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, Any]]:
        return [(code, code) for code in sorted(settings.PAYMENT_GATEWAYS)]


class MethodFilter(WordFilter):
    title, column = _("method"), "method"
    words = {"push": _("prompt on the phone"), "checkout": _("page"), "card": _("card")}


def status_filter(choices: Any) -> type[WordFilter]:
    """A filter by the statuses of an enumeration, in words."""

    class StatusFilter(WordFilter):
        title, column = _("status"), "status"
        words = {status.value: STATUSES.get(status.value, status.value) for status in choices}

    return StatusFilter


class AnomalyFilter(admin.SimpleListFilter):
    """What a person should look at."""

    title, parameter_name = _("to look at"), "anomaly"
    names: Sequence[str] = tuple(ANOMALY_NAMES)

    def lookups(self, request: HttpRequest, model_admin: Any) -> Sequence[tuple[str, _StrPromise]]:
        return [(ANY, _("anything")), *((name, ANOMALY_NAMES[name]) for name in self.names)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        wanted = self.value()
        if wanted not in {ANY, *self.names}:
            return queryset
        late = Q(is_late_settlement=True) if "late_settlement" in self.names else Q(pk__in=[])
        if wanted == ANY:
            return queryset.filter(late | ~Q(anomalies=[]))
        if wanted == "late_settlement":
            return queryset.filter(late)
        # As text: SQLite has no question about what a list of JSON contains.
        told = queryset.annotate(told_anomalies=Cast("anomalies", CharField()))
        matching: QuerySet[Any] = told.filter(told_anomalies__contains=f'"{wanted}"')
        return matching


class PaymentAnomalyFilter(AnomalyFilter):
    names = (
        "duplicate_capture",
        "amount_mismatch",
        "conflicting_amounts",
        "unconfirmed_payment",
        "refunded_elsewhere",
        "late_settlement",
    )


class TransferAnomalyFilter(AnomalyFilter):
    names = ("unanswered", "success_and_failure", "amount_mismatch")
