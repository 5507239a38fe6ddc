"""The HTTP face of the ledger, its totals, and balances."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.payments.selectors.ledger import list_ledger_lines, list_totals
from apps.payments.serializers.ledger import (
    BalanceOutput,
    LedgerFilterInput,
    LedgerLineOutput,
    TotalsFilterInput,
    TotalsOutput,
)
from apps.payments.services.balances import BALANCE_REFUSALS, read_balances
from apps.tenants.permissions import (
    HasScope,
    IsTenantAdmin,
    IsTenantMember,
    NotAMember,
    ScopeMissing,
    TenantSuspended,
)
from apps.tenants.services.api_keys import ApiKeyInvalid
from apps.tenants.services.members import AdminsOnly
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.views import APIView

LINE_EXAMPLE = {
    "id": "4f1f2a52-7f6b-4c0e-8b53-1a5e4f0f2c10",
    "kind": "capture",
    "amount": {"amount": 500000, "currency": "TZS", "display": "TZS 5,000"},
    "gateway": "clickpesa",
    "payment": "0f8d1a52-3f6b-4d0e-8a53-6a5e4f0f2b77",
    "refund": None,
    "payout": None,
    "at": "2026-11-20T09:00:12Z",
}
TOTAL_EXAMPLE = {
    "currency": "TZS",
    "gateway": "clickpesa",
    "captured": {"amount": 92000000, "currency": "TZS", "display": "TZS 920,000"},
    "refunded": {"amount": 2000000, "currency": "TZS", "display": "TZS 20,000"},
    "paid_out": {"amount": 30000000, "currency": "TZS", "display": "TZS 300,000"},
    "net": {"amount": 60000000, "currency": "TZS", "display": "TZS 600,000"},
}
BALANCE_EXAMPLE = {
    "gateway": "clickpesa",
    "balances": [{"amount": 60000000, "currency": "TZS", "display": "TZS 600,000"}],
}
READ_ERRORS = [NotAMember, TenantSuspended, ScopeMissing, ApiKeyInvalid]


class LedgerView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"GET": "payments:read"}

    @operation(
        id="payments_ledger",
        tag="ledger",
        summary="List movements of money, newest first",
        description="One line for each movement at a gateway. Lines are never changed and never removed.",
        parameters=[LedgerFilterInput],
        response=LedgerLineOutput,
        is_page=True,
        message=_("Ledger."),
        example=LINE_EXAMPLE,
        errors=READ_ERRORS,
    )
    def get(self, request: Request) -> Response:
        lines = list_ledger_lines(**LedgerFilterInput.parse(request.query_params))
        return paginated_response(request, lines, LedgerLineOutput, message=_("Ledger."), position=("at", "id"))


class TotalsView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"GET": "payments:read"}

    @operation(
        id="payments_totals",
        tag="ledger",
        summary="Sum up what moved, by currency and gateway",
        parameters=[TotalsFilterInput],
        response=TotalsOutput,
        message=_("Totals."),
        example={"totals": [TOTAL_EXAMPLE]},
        errors=READ_ERRORS,
    )
    def get(self, request: Request) -> Response:
        totals = list_totals(**TotalsFilterInput.parse(request.query_params))
        return success_response(TotalsOutput({"totals": totals}).data, message=_("Totals."))


class BalanceView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)
    is_atomic = False  # the gateway is asked, which may take its time

    @operation(
        id="payments_balance",
        tag="ledger",
        summary="Ask a gateway what your account there holds",
        description="For owners and admins, not for keys. At most ten seconds old.",
        response=BalanceOutput,
        message=_("Balance."),
        example=BALANCE_EXAMPLE,
        errors=[NotAMember, TenantSuspended, AdminsOnly, *BALANCE_REFUSALS],
    )
    @limited("balance_person", by=by_person)
    def get(self, request: Request, gateway: str) -> Response:
        told = {"gateway": gateway, "balances": read_balances(gateway=gateway)}
        return success_response(BalanceOutput(told).data, message=_("Balance."))
