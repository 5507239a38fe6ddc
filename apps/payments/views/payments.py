"""The HTTP face of payments."""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.payments.selectors.payments import get_payment, list_payments
from apps.payments.serializers.payments import PaymentFilterInput, PaymentOutput, StartPaymentInput
from apps.payments.services.payments import START_REFUSALS, start_payment
from apps.tenants.permissions import HasScope, IsTenantMember, NotAMember, ScopeMissing, TenantSuspended
from apps.tenants.services.api_keys import ApiKeyInvalid
from core.idempotency.decorator import idempotent
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.throttling.decorator import by_person, limited
from core.views import APIView

PAYMENT_EXAMPLE = {
    "id": "0f8d1a52-3f6b-4d0e-8a53-6a5e4f0f2b77",
    "status": "processing",
    "amount": {"amount": 500000, "currency": "TZS", "display": "TZS 5,000"},
    "captured": {"amount": 0, "currency": "TZS", "display": "TZS 0"},
    "phone": "+255712345678",
    "gateway": "clickpesa",
    "description": "Order 1024",
    "client_reference": "order-1024",
    "created_at": "2026-11-20T09:00:00Z",
    "expires_at": "2026-11-20T09:30:00Z",
    "settled_at": None,
}
SETTLED_EXAMPLE = PAYMENT_EXAMPLE | {
    "status": "settled",
    "captured": PAYMENT_EXAMPLE["amount"],
    "settled_at": "2026-11-20T09:00:12Z",
}


class PaymentListView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"GET": "payments:read", "POST": "payments:write"}

    @operation(
        id="payments_list",
        tag="payments",
        summary="List payments, newest first",
        parameters=[PaymentFilterInput],
        response=PaymentOutput,
        is_page=True,
        message=_("Payments."),
        example=SETTLED_EXAMPLE,
        errors=[NotAMember, TenantSuspended, ScopeMissing, ApiKeyInvalid],
    )
    def get(self, request: Request) -> Response:
        filters = PaymentFilterInput.parse(request.query_params)
        return paginated_response(request, list_payments(**filters), PaymentOutput, message=_("Payments."))

    @operation(
        id="payments_start",
        tag="payments",
        summary="Start a payment",
        description=(
            "Asks the customer's phone for the money (a mobile-money push). The answer is `processing`; ask for the "
            "payment until its status is `settled`, `failed`, `expired` or `review`."
        ),
        request=StartPaymentInput,
        request_examples={
            "Mobile money push": {
                "amount": {"amount": 500000, "currency": "TZS"},
                "phone": "+255712345678",
                "gateway": "clickpesa",
                "description": "Order 1024",
                "client_reference": "order-1024",
            }
        },
        response=PaymentOutput,
        status=201,
        message=_("Payment started."),
        example=PAYMENT_EXAMPLE,
        errors=[NotAMember, TenantSuspended, ScopeMissing, ApiKeyInvalid, *START_REFUSALS],
    )
    @limited("payments_person", by=by_person)
    @idempotent
    def post(self, request: Request) -> Response:
        data = StartPaymentInput.parse(request.data)
        payment = start_payment(actor_id=request.auth.user.pk, money=data.pop("amount"), **data)
        return success_response(PaymentOutput(payment).data, message=_("Payment started."), status=201)


class PaymentDetailView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"GET": "payments:read"}

    @operation(
        id="payments_get",
        tag="payments",
        summary="Get one payment",
        response=PaymentOutput,
        message=_("Payment."),
        example=SETTLED_EXAMPLE,
        errors=[NotAMember, TenantSuspended, ScopeMissing, ApiKeyInvalid],
    )
    def get(self, request: Request, payment_id: UUID) -> Response:
        return success_response(PaymentOutput(get_payment(payment_id=payment_id)).data, message=_("Payment."))
