"""The HTTP face of budgets."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.messaging.selectors.spend import summarise_spend
from apps.messaging.serializers.spend import SpendOutput
from apps.tenants.permissions import (
    HasScope,
    IsTenantAdminOrKey,
    IsTenantMember,
    NotAMember,
    ScopeMissing,
    TenantSuspended,
)
from apps.tenants.services.api_keys import ApiKeyInvalid
from apps.tenants.services.members import AdminsOnly
from core.openapi import operation
from core.response_wrapper import success_response
from core.views import APIView


def _tzs(amount: int) -> dict[str, Any]:
    return {"amount": amount * 100, "currency": "TZS", "display": f"TZS {amount:,}"}


SPEND_EXAMPLE = {
    "day": {"period": "2026-11-20", "limit": _tzs(50_000), "used": _tzs(1_200), "left": _tzs(48_800)},
    "month": {"period": "2026-11", "limit": _tzs(1_000_000), "used": _tzs(96_000), "left": _tzs(904_000)},
    "countries": [{"country": "TZ", "texts": 2_900, "parts": 3_200, "price": _tzs(96_000)}],
    "days": [{"day": "2026-11-20", "texts": 38, "parts": 40, "price": _tzs(1_200)}],
}


class SpendView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope, IsTenantAdminOrKey)
    key_scopes = {"GET": "messages:read"}

    @operation(
        id="messaging_spend",
        tag="messaging",
        summary="See what your texts may cost and have cost",
        description="Budgets and what is left of them, this month by country, and the last 30 days. Days are UTC's.",
        response=SpendOutput,
        message=_("Spend."),
        example=SPEND_EXAMPLE,
        errors=[NotAMember, TenantSuspended, AdminsOnly, ScopeMissing, ApiKeyInvalid],
    )
    def get(self, request: Request) -> Response:
        return success_response(SpendOutput(summarise_spend()).data, message=_("Spend."))
