"""What the tests of the engine say again and again: a gateway's words, and where a payment stands."""

from __future__ import annotations

import uuid
from typing import Any

from rest_framework.test import APIClient

from apps.payments.models.payments import Attempt, Payment
from apps.payments.services.attempts import record_charge
from apps.payments.services.payments import retry_payment
from core.money import Money
from core.tenancy import tenant_scope, tenant_transaction
from services.payments.base import ChargeResult, ChargeStatus, Trust
from tests.factories.accounts import Member
from tests.factories.payments import a_wish_to_pay

URL = "/api/v1/payments/"
ASKED = Money(500_000, "TZS")
PAGE = "https://pay.example.com/p/1"
PENDING = ChargeResult(status=ChargeStatus.PENDING, provider_reference="P1")
OPEN_PAGE = ChargeResult(status=ChargeStatus.REQUIRES_ACTION, provider_reference="P1", checkout_url=PAGE)
PAID = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=ASKED)
DECLINED = ChargeResult(status=ChargeStatus.DECLINED, provider_reference="P1", reason="no money")
CANCELLED = ChargeResult(status=ChargeStatus.CANCELLED, provider_reference="P1")


def paid(amount: int, currency: str = "TZS", **more: Any) -> ChargeResult:
    return ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=Money(amount, currency), **more)


def hear(payment: Payment, result: ChargeResult, *, number: int = 1, trust: Trust = Trust.SIGNED) -> Payment:
    """One piece of news about an attempt of the payment, which is returned as it is then."""
    attempt = Attempt.objects.get(payment=payment, number=number)
    record_charge(attempt_id=attempt.pk, source="webhook", result=result, trust=trust)
    return fresh(payment)


def rows(member: Member, model: type[Any] = Payment) -> list[Any]:
    """All of a model's rows in the member's tenant."""
    with tenant_scope(member.tenant_id), tenant_transaction():
        return list(model.objects.order_by("pk"))


def fresh(payment: Payment) -> Payment:
    found: Payment = Payment.objects.get(pk=payment.pk)
    return found


def tried_again(payment: Payment, member: Member, **changes: Any) -> Attempt:
    """A second attempt of a payment that has failed."""
    retry_payment(payment_id=payment.pk, actor_id=member.user.pk, **changes)
    found: Attempt = Attempt.objects.filter(payment=payment).latest("number")
    return found


def post(client: APIClient, path: str = "", body: dict[str, Any] | None = None, key: str = "") -> Any:
    """POST to a path under /payments/ with an Idempotency-Key."""
    return client.post(f"{URL}{path}", body or {}, format="json", headers={"Idempotency-Key": key or uuid.uuid4().hex})


def a_page(**changes: Any) -> dict[str, Any]:
    """A body for POST /payments/ that asks for a page of the scripted gateway."""
    wish = a_wish_to_pay(gateway="scripted", method="checkout") | changes
    return {name: value for name, value in wish.items() if value is not None}
