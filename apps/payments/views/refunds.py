"""The HTTP face of refunds."""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.payments.selectors.refunds import get_refund, list_refunds, list_refunds_of
from apps.payments.serializers.refunds import (
    CompleteRefundInput,
    RefundFilterInput,
    RefundOutput,
    RejectRefundInput,
    RequestRefundInput,
)
from apps.payments.services.refunds import (
    DECIDE_REFUSALS,
    REQUEST_REFUSALS,
    complete_refund,
    reject_refund,
    request_refund,
)
from apps.tenants.permissions import (
    HasScope,
    IsTenantAdmin,
    IsTenantAdminToWrite,
    IsTenantMember,
    NotAMember,
    ScopeMissing,
    TenantSuspended,
)
from apps.tenants.services.api_keys import ApiKeyInvalid
from apps.tenants.services.members import AdminsOnly
from core.idempotency.decorator import idempotent
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.serializers import FilterInput
from core.throttling.decorator import by_person, limited
from core.views import APIView

REFUND_EXAMPLE = {
    "id": "7d0c5b1e-0f4e-4a7a-9f3a-0b6f2f3c8d21",
    "payment": "0f8d1a52-3f6b-4d0e-8a53-6a5e4f0f2b77",
    "attempt": 1,
    "status": "processing",
    "amount": {"amount": 200000, "currency": "TZS", "display": "TZS 2,000"},
    "gateway": "polar",
    "reason": "Two of the cups were broken.",
    "evidence": "",
    "refusal": "",
    "requested_by": "6f1c1b1e-6f0e-4b39-9d5a-0a8d3f5f1c11",
    "created_at": "2026-11-20T09:10:00Z",
    "ended_at": None,
}
DONE_EXAMPLE = REFUND_EXAMPLE | {"status": "succeeded", "ended_at": "2026-11-20T09:10:20Z"}
BY_HAND = {"gateway": "clickpesa", "evidence": "M-Pesa QK27X8Y1"}
READ_ERRORS = [NotAMember, TenantSuspended, ScopeMissing, ApiKeyInvalid]


class PaymentRefundListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope, IsTenantAdminToWrite)
    key_scopes = {"GET": "payments:read", "POST": "payments:write"}

    @operation(
        id="payments_refunds_list",
        tag="refunds",
        summary="List the refunds of a payment, newest first",
        response=RefundOutput,
        is_page=True,
        message=_("Refunds."),
        example=DONE_EXAMPLE,
        errors=READ_ERRORS,
    )
    def get(self, request: Request, payment_id: UUID) -> Response:
        FilterInput.parse(request.query_params)
        refunds = list_refunds_of(payment_id=payment_id)
        return paginated_response(request, refunds, RefundOutput, message=_("Refunds."))

    @operation(
        id="payments_refund",
        tag="refunds",
        summary="Refund a payment, in full or in part",
        description=(
            "Owners and admins send money back to the customer. All refunds of a payment together never exceed what "
            "came in. Where the payment method cannot refund, the answer is `manual`: somebody sends the money by hand "
            "and says so with `complete`. Without an `amount`, all that is left of the attempt that counts for the "
            "payment; a second capture is refunded by its own number, as `attempt`."
        ),
        request=RequestRefundInput,
        request_examples={
            "A part": {"amount": {"amount": 200000, "currency": "TZS"}, "reason": "Two of the cups were broken."},
            "All of it": {"reason": "The shop is closed."},
        },
        response=RefundOutput,
        status=201,
        message=_("Refund on its way."),
        example=REFUND_EXAMPLE,
        errors=[*READ_ERRORS, AdminsOnly, *REQUEST_REFUSALS],
    )
    @limited("refunds_person", by=by_person)
    @idempotent
    def post(self, request: Request, payment_id: UUID) -> Response:
        data = RequestRefundInput.parse(request.data)
        money = data.pop("amount", None)
        refund = request_refund(actor_id=request.auth.user.pk, payment_id=payment_id, money=money, **data)
        return success_response(RefundOutput(refund).data, message=_("Refund on its way."), status=201)


class RefundListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"GET": "payments:read"}

    @operation(
        id="refunds_list",
        tag="refunds",
        summary="List refunds, newest first",
        parameters=[RefundFilterInput],
        response=RefundOutput,
        is_page=True,
        message=_("Refunds."),
        example=DONE_EXAMPLE,
        errors=READ_ERRORS,
    )
    def get(self, request: Request) -> Response:
        filters = RefundFilterInput.parse(request.query_params)
        return paginated_response(request, list_refunds(**filters), RefundOutput, message=_("Refunds."))


class RefundDetailView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"GET": "payments:read"}

    @operation(
        id="refunds_get",
        tag="refunds",
        summary="Get one refund",
        response=RefundOutput,
        message=_("Refund."),
        example=DONE_EXAMPLE,
        errors=READ_ERRORS,
    )
    def get(self, request: Request, refund_id: UUID) -> Response:
        return success_response(RefundOutput(get_refund(refund_id=refund_id)).data, message=_("Refund."))


class RefundCompleteView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="refunds_complete",
        tag="refunds",
        summary="Say that a refund was sent by hand",
        description=(
            "For owners and admins, not for keys. The payment method could not send it, or never said what became of "
            "it. It stands in the audit log."
        ),
        request=CompleteRefundInput,
        request_examples={"By mobile money": {"evidence": "M-Pesa QK27X8Y1"}},
        response=RefundOutput,
        message=_("Refund completed."),
        example=DONE_EXAMPLE | BY_HAND,
        errors=[NotAMember, TenantSuspended, AdminsOnly, *DECIDE_REFUSALS],
    )
    @limited("refunds_person", by=by_person)
    def post(self, request: Request, refund_id: UUID) -> Response:
        data = CompleteRefundInput.parse(request.data)
        refund = complete_refund(actor_id=request.auth.user.pk, refund_id=refund_id, **data)
        return success_response(RefundOutput(refund).data, message=_("Refund completed."))


class RefundRejectView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="refunds_reject",
        tag="refunds",
        summary="Say that a refund will not be sent by hand",
        description="For owners and admins, not for keys. What was reserved for it may be refunded anew.",
        request=RejectRefundInput,
        request_examples={"Kept": {"evidence": "The customer took new cups instead."}},
        response=RefundOutput,
        message=_("Refund rejected."),
        example=REFUND_EXAMPLE
        | {"status": "failed", "refusal": "rejected", "gateway": "clickpesa", "ended_at": "2026-11-20T10:00:00Z"},
        errors=[NotAMember, TenantSuspended, AdminsOnly, *DECIDE_REFUSALS],
    )
    @limited("refunds_person", by=by_person)
    def post(self, request: Request, refund_id: UUID) -> Response:
        data = RejectRefundInput.parse(request.data)
        refund = reject_refund(actor_id=request.auth.user.pk, refund_id=refund_id, **data)
        return success_response(RefundOutput(refund).data, message=_("Refund rejected."))
