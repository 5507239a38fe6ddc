"""The HTTP face of payouts."""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.payments.selectors.payouts import get_payout, list_payouts
from apps.payments.serializers.payouts import PayoutFilterInput, PayoutOutput, RequestPayoutInput
from apps.payments.services.payouts import REQUEST_REFUSALS, request_payout
from apps.tenants.permissions import (
    HasScope,
    IsTenantAdminToWrite,
    IsTenantMember,
    NotAMember,
    ScopeMissing,
    TenantSuspended,
)
from apps.tenants.services.api_keys import ApiKeyInvalid
from apps.tenants.services.members import AdminsOnly
from core.conditional import conditional_response
from core.idempotency.decorator import idempotent
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.views import APIView

PAYOUT_EXAMPLE = {
    "id": "b3a9c6de-51c8-4a0b-8f0e-6f2a0c9d7e13",
    "status": "processing",
    "amount": {"amount": 3000000, "currency": "TZS", "display": "TZS 30,000"},
    "gateway": "clickpesa",
    "phone": "+255712345678",
    "bank": None,
    "name": "Asha Mushi",
    "narration": "Wages of November",
    "client_reference": "wages-2026-11-17",
    "metadata": {"department": "kitchen"},
    "refusal": "",
    "requested_by": "6f1c1b1e-6f0e-4b39-9d5a-0a8d3f5f1c11",
    "created_at": "2026-11-20T09:00:00Z",
    "ended_at": None,
}
SENT_EXAMPLE = PAYOUT_EXAMPLE | {"status": "succeeded", "ended_at": "2026-11-20T09:00:12Z"}
READ_ERRORS = [NotAMember, TenantSuspended, ScopeMissing, ApiKeyInvalid]


class PayoutListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope, IsTenantAdminToWrite)
    key_scopes = {"GET": "payments:read", "POST": "payouts:write"}

    @operation(
        id="payouts_list",
        tag="payouts",
        summary="List payouts, newest first",
        parameters=[PayoutFilterInput],
        response=PayoutOutput,
        is_page=True,
        message=_("Payouts."),
        example=SENT_EXAMPLE,
        errors=READ_ERRORS,
    )
    def get(self, request: Request) -> Response:
        filters = PayoutFilterInput.parse(request.query_params)
        return paginated_response(request, list_payouts(**filters), PayoutOutput, message=_("Payouts."))

    @operation(
        id="payouts_request",
        tag="payouts",
        summary="Send money to a phone or a bank account",
        description=(
            "For owners and admins, and for keys of theirs with `payouts:write`. The answer is `processing`; ask for "
            "the payout until it is `succeeded` or `failed`. One that had succeeded may still become `returned`. An "
            "organisation without an account of its own pays out at most what its payments brought in, unless the "
            "installation says otherwise."
        ),
        request=RequestPayoutInput,
        request_examples={
            "To a phone": {
                "gateway": "clickpesa",
                "amount": {"amount": 3000000, "currency": "TZS"},
                "phone": "+255712345678",
                "name": "Asha Mushi",
                "narration": "Wages of November",
                "client_reference": "wages-2026-11-17",
                "metadata": {"department": "kitchen"},
            },
            "To a bank account": {
                "gateway": "clickpesa",
                "amount": {"amount": 3000000, "currency": "TZS"},
                "bank": {"bank": "CORUTZTZ", "number": "0150123456789", "name": "Asha Mushi"},
            },
        },
        response=PayoutOutput,
        status=201,
        message=_("Payout on its way."),
        example=PAYOUT_EXAMPLE,
        errors=[*READ_ERRORS, AdminsOnly, *REQUEST_REFUSALS],
    )
    @limited("payouts_person", by=by_person)
    @idempotent
    def post(self, request: Request) -> Response:
        data = RequestPayoutInput.parse(request.data)
        payout = request_payout(actor_id=request.auth.user.pk, money=data.pop("amount"), **data)
        return success_response(PayoutOutput(payout).data, message=_("Payout on its way."), status=201)


class PayoutDetailView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"GET": "payments:read"}

    @operation(
        id="payouts_get",
        tag="payouts",
        summary="Get one payout",
        description="`ETag` names this state of it: sent back as `If-None-Match`, it is answered 304 until news comes.",
        response=PayoutOutput,
        message=_("Payout."),
        example=SENT_EXAMPLE,
        errors=READ_ERRORS,
        is_conditional=True,
    )
    def get(self, request: Request, payout_id: UUID) -> Response:
        data = PayoutOutput(get_payout(payout_id=payout_id)).data
        return conditional_response(request, data, message=_("Payout."))
