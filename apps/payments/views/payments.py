"""The HTTP face of payments."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import UUID

from django.utils.translation import gettext_lazy as _
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response

from apps.payments.selectors.payments import Watched, get_payment, list_payments
from apps.payments.serializers.payments import (
    PaymentFilterInput,
    PaymentOutput,
    PaymentWaitInput,
    RetryPaymentInput,
    ReviewPaymentInput,
    StartPaymentInput,
)
from apps.payments.services.cancellations import (
    CANCEL_REFUSALS,
    cancel_payment,
    has_something_to_withdraw,
    withdraw_at_once,
)
from apps.payments.services.payments import (
    RETRY_REFUSALS,
    START_REFUSALS,
    needs_page,
    retry_payment,
    start_payment,
    submit_at_once,
)
from apps.payments.services.reviews import REVIEW_REFUSALS, review_payment
from apps.payments.services.waiting import UNDER_WAY, await_news
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
from core.conditional import conditional_response, etag_of, is_known
from core.idempotency.decorator import idempotent
from core.later import Later, Unfinished
from core.openapi import operation
from core.pagination import paginated_response
from core.response_wrapper import success_response
from core.tenancy import joined_transaction
from core.throttling.decorator import by_person, limited
from core.views import APIView

PAYMENT_EXAMPLE: dict[str, Any] = {
    "id": "0f8d1a52-3f6b-4d0e-8a53-6a5e4f0f2b77",
    "status": "processing",
    "failure_code": None,
    "amount": {"amount": 500000, "currency": "TZS", "display": "TZS 5,000"},
    "captured": {"amount": 0, "currency": "TZS", "display": "TZS 0"},
    "refunded": {"amount": 0, "currency": "TZS", "display": "TZS 0"},
    "phone": "+255712345678",
    "gateway": "clickpesa",
    "method": "push",
    "checkout_url": None,
    "description": "Order 1024",
    "client_reference": "order-1024",
    "metadata": {"order": "1024"},
    "attempts": [
        {"number": 1, "gateway": "clickpesa", "method": "push", "status": "pending", "checkout_url": None},
    ],
    "created_at": "2026-11-20T09:00:00Z",
    "expires_at": "2026-11-20T09:30:00Z",
    "settled_at": None,
    "is_late_settlement": False,
    "cancel_asked_at": None,
}


def _changed(status: str, attempt: str, **changes: Any) -> dict[str, Any]:
    """The example in another state."""
    return (
        PAYMENT_EXAMPLE
        | {"status": status, "attempts": [PAYMENT_EXAMPLE["attempts"][0] | {"status": attempt}]}
        | changes
    )


SETTLED_EXAMPLE = _changed("settled", "settled", captured=PAYMENT_EXAMPLE["amount"], settled_at="2026-11-20T09:00:12Z")
CANCELLED_EXAMPLE = _changed("cancelled", "cancelled", failure_code="cancelled", cancel_asked_at="2026-11-20T09:05:00Z")
KEY_REFUSALS = (NotAMember, TenantSuspended, ScopeMissing, ApiKeyInvalid)


def _shown(payment_id: UUID) -> Any:
    with joined_transaction():
        return PaymentOutput(get_payment(payment_id=payment_id)).data


def _answer(payment_id: UUID, *, message: Any, status: int = 200) -> Response:
    return success_response(_shown(payment_id), message=message, status=status)


def _answer_with_page(message: Any, status: int, resource: str, still_here: Callable[[], object]) -> Response:
    """The second step of starting a page: ask the gateway for its address, and answer with what is known then."""
    payment_id = UUID(resource)
    submit_at_once(payment_id=payment_id, still_here=still_here)
    return _answer(payment_id, message=message, status=status)


def _answer_withdrawn(resource: str, still_here: Callable[[], object]) -> Response:
    """The second step of a cancellation: tell the gateway, and answer with what is known then."""
    payment_id = UUID(resource)
    withdraw_at_once(payment_id=payment_id, still_here=still_here)
    return _answer(payment_id, message=CANCEL_MESSAGE)


STARTED, RETRIED, CANCEL_MESSAGE = _("Payment started."), _("Payment started again."), _("Cancellation noted.")


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
        errors=KEY_REFUSALS,
    )
    def get(self, request: Request) -> Response:
        filters = PaymentFilterInput.parse(request.query_params)
        return paginated_response(request, list_payments(**filters), PaymentOutput, message=_("Payments."))

    @operation(
        id="payments_start",
        tag="payments",
        summary="Start a payment",
        description=(
            "With `push` the customer's phone is asked for the money; the answer is `processing`. With `checkout` or "
            "`card` the gateway gives a page: the answer is `requires_action`, and `checkout_url` is where to send the "
            "customer. A gateway that takes longer than five seconds for that leaves the answer at `processing`, and "
            "the address comes with the payment a little later. Ask for the payment (`?wait=20`) until its status is "
            "`settled`, `failed`, `expired`, `cancelled` or `review`; that a customer comes back proves nothing."
        ),
        request=StartPaymentInput,
        request_examples={
            "Mobile money push": {
                "amount": {"amount": 500000, "currency": "TZS"},
                "phone": "+255712345678",
                "gateway": "clickpesa",
                "description": "Order 1024",
                "client_reference": "order-1024",
            },
            "A page of the gateway": {
                "amount": {"amount": 500000, "currency": "TZS"},
                "gateway": "selcom",
                "method": "checkout",
                "customer": {"name": "Asha Juma", "email": "asha@example.com"},
                "return_url": "https://shop.example.com/paid?payment={payment_id}",
                "metadata": {"order": "1024"},
            },
        },
        response=PaymentOutput,
        status=201,
        message=STARTED,
        example=PAYMENT_EXAMPLE,
        errors=[*KEY_REFUSALS, *START_REFUSALS],
    )
    @limited("payments_person", by=by_person)
    @idempotent(then=partial(_answer_with_page, STARTED, 201))
    def post(self, request: Request) -> Response:
        data = StartPaymentInput.parse(request.data)
        payment = start_payment(actor_id=request.auth.user.pk, money=data.pop("amount"), **data)
        if needs_page(payment):
            return Unfinished(str(payment.pk))
        return _answer(payment.pk, message=STARTED, status=201)


class PaymentDetailView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"GET": "payments:read"}

    @operation(
        id="payments_get",
        tag="payments",
        summary="Get one payment, or wait for news of it",
        description=(
            "With `wait` the answer comes when there is news, or after so many seconds: when the status is other than "
            "`status`, when the payment is not what `If-None-Match` says, or, without either, when anything changes. A "
            "payment that is not under way any more is answered at once."
        ),
        parameters=[PaymentWaitInput],
        response=PaymentOutput,
        message=_("Payment."),
        example=SETTLED_EXAMPLE,
        errors=KEY_REFUSALS,
        is_conditional=True,
    )
    def get(self, request: Request, payment_id: UUID) -> Response:
        asked = PaymentWaitInput.parse(request.query_params)
        payment = get_payment(payment_id=payment_id)
        data = PaymentOutput(payment).data
        known: str = asked.get("status", payment.status)
        is_news = known != payment.status or (
            "If-None-Match" in request.headers and not is_known(request, etag_of(data))
        )
        if is_news or not asked["wait"] or payment.status not in UNDER_WAY:
            return conditional_response(request, data, message=_("Payment."))

        def has_changed(seen: Watched) -> bool:
            return seen.status != known if "status" in asked else seen.version != payment.version

        def answer() -> Response:
            await_news(payment_id=payment_id, seconds=asked["wait"], is_news=has_changed)
            return conditional_response(request, _shown(payment_id), message=_("Payment."))

        return Later(answer)


class PaymentCancelView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"POST": "payments:write"}

    @operation(
        id="payments_cancel",
        tag="payments",
        summary="Call a payment off",
        description=(
            "What has not reached the customer ends at once, and so does a page. A push that the gateway cannot call "
            "back goes on: the payment is `cancelled` when the customer declines or lets it pass, and `settled` when "
            "they pay, for money always wins. `cancel_asked_at` tells that it was called off. Repeating it is harmless."
        ),
        response=PaymentOutput,
        message=CANCEL_MESSAGE,
        example=CANCELLED_EXAMPLE,
        errors=[*KEY_REFUSALS, *CANCEL_REFUSALS],
    )
    @limited("payments_person", by=by_person)
    @idempotent(then=_answer_withdrawn)
    def post(self, request: Request, payment_id: UUID) -> Response:
        cancel_payment(payment_id=payment_id, actor_id=request.auth.user.pk)
        if has_something_to_withdraw(payment_id=payment_id):
            return Unfinished(str(payment_id))
        return _answer(payment_id, message=CANCEL_MESSAGE)


class PaymentRetryView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, HasScope)
    key_scopes = {"POST": "payments:write"}

    @operation(
        id="payments_retry",
        tag="payments",
        summary="Try a payment again",
        description=(
            "A new attempt with a new expiry, at the same gateway or another, for a payment that is `failed` or "
            "`expired`. Never while an attempt is under way."
        ),
        request=RetryPaymentInput,
        request_examples={"Another phone": {"phone": "+255754000111"}, "Another gateway": {"gateway": "selcom"}},
        response=PaymentOutput,
        message=RETRIED,
        example=PAYMENT_EXAMPLE,
        errors=[*KEY_REFUSALS, *RETRY_REFUSALS],
    )
    @limited("payments_person", by=by_person)
    @idempotent(then=partial(_answer_with_page, RETRIED, 200))
    def post(self, request: Request, payment_id: UUID) -> Response:
        data = RetryPaymentInput.parse(request.data)
        payment = retry_payment(payment_id=payment_id, actor_id=request.auth.user.pk, **data)
        if needs_page(payment):
            return Unfinished(str(payment_id))
        return _answer(payment_id, message=RETRIED)


class PaymentReviewView(APIView):
    permission_classes = (IsAuthenticated, IsTenantMember, IsTenantAdmin)

    @operation(
        id="payments_review",
        tag="payments",
        summary="Decide about a payment in review",
        description=(
            "For owners and admins. A payment is in `review` when money came that is not the amount asked for, or when "
            "its gateway cannot confirm it. The decision is final and stands in the audit log."
        ),
        request=ReviewPaymentInput,
        request_examples={"Accept": {"decision": "accept", "note": "Seen on the account statement."}},
        response=PaymentOutput,
        message=_("Decided."),
        example=SETTLED_EXAMPLE,
        errors=[NotAMember, TenantSuspended, AdminsOnly, *REVIEW_REFUSALS],
    )
    @limited("payments_person", by=by_person)
    @idempotent
    def post(self, request: Request, payment_id: UUID) -> Response:
        data = ReviewPaymentInput.parse(request.data)
        review_payment(payment_id=payment_id, actor_id=request.auth.user.pk, **data)
        return _answer(payment_id, message=_("Decided."))
