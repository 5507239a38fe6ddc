"""Payments, started as the API starts them."""

from __future__ import annotations

from typing import Any

from apps.payments.models.payments import Attempt, Payment
from apps.payments.services.accounts import ShownAccount, save_account
from apps.payments.services.payments import start_payment
from core.money import Money
from core.tenancy import tenant_scope
from tests.factories.accounts import Member

CREDENTIALS = {"client_id": "IDown", "api_key": "SKown", "checksum_key": "CHKown"}


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


def make_account(member: Member, gateway: str = "clickpesa", **credentials: str) -> ShownAccount:
    """An account of `member`'s tenant at a gateway, by default with callbacks that are signed."""
    with tenant_scope(member.tenant_id):
        return save_account(actor_id=member.user.pk, gateway=gateway, credentials=credentials or CREDENTIALS)


def only_attempt(payment: Payment) -> Attempt:
    """The attempt of a payment that has one. Call inside the tenant's scope."""
    attempt: Attempt = Attempt.objects.get(payment=payment)
    return attempt
