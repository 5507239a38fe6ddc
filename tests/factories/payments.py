"""Payments, started as the API starts them."""

from __future__ import annotations

from typing import Any

from apps.payments.models.payments import Attempt, Payment
from apps.payments.services.attempts import record_charge
from apps.payments.services.payments import start_payment
from core.money import Money
from core.tenancy import tenant_scope, tenant_transaction
from services.payments.base import ChargeResult, ChargeStatus
from tests.factories.accounts import Member


def a_wish_to_pay(**changes: Any) -> dict[str, Any]:
    """A body for POST /payments/ that is accepted."""
    return {
        "amount": {"amount": 500_000, "currency": "TZS"},
        "phone": "+255712345678",
        "gateway": "clickpesa",
    } | changes


def make_payment(member: Member, **changes: Any) -> Payment:
    """A payment of `member`'s tenant, not yet sent to its gateway."""
    wish: dict[str, Any] = {"money": Money(500_000, "TZS"), "phone": "+255712345678", "gateway": "clickpesa"}
    with tenant_scope(member.tenant_id):
        return start_payment(actor_id=member.user.pk, **(wish | changes))


def only_attempt(payment: Payment) -> Attempt:
    """The attempt of a payment that has one. Call inside the tenant's scope."""
    attempt: Attempt = Attempt.objects.get(payment=payment)
    return attempt


def make_failed_payment(member: Member, **changes: Any) -> Payment:
    """A payment that the customer has declined."""
    return _with_news(member, ChargeResult(status=ChargeStatus.DECLINED), **changes)


def make_payment_in_review(member: Member, **changes: Any) -> Payment:
    """A payment of which less came in than was asked for."""
    less = ChargeResult(status=ChargeStatus.PAID, money=Money(400_000, "TZS"))
    return _with_news(member, less, **changes)


def _with_news(member: Member, news: ChargeResult, **changes: Any) -> Payment:
    payment = make_payment(member, **changes)
    with tenant_scope(member.tenant_id), tenant_transaction():
        record_charge(attempt_id=only_attempt(payment).pk, source="webhook", result=news)
    return payment
