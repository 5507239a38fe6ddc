"""Payments, refunds and payouts, begun as the API begins them."""

from __future__ import annotations

from typing import Any

from django.core.cache import cache

from apps.payments.models.accounts import OWN_ACCOUNT
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Attempt, Payment
from apps.payments.models.transfers import Payout, Refund
from apps.payments.references import new_reference
from apps.payments.services.accounts import ShownAccount, save_account
from apps.payments.services.attempts import record_charge
from apps.payments.services.balances import CACHE_SECONDS, balance_key
from apps.payments.services.payments import start_payment
from apps.payments.services.payouts import request_payout
from apps.payments.services.refunds import request_refund
from core.money import Money
from core.tenancy import tenant_scope, tenant_transaction
from services.payments.base import ChargeResult, ChargeStatus
from tests.factories.accounts import Member
from tests.fakes import GenerousScriptedGateway, scripted_gateway

CREDENTIALS = {"client_id": "IDown", "api_key": "SKown", "checksum_key": "CHKown"}


def a_wish_to_pay(**changes: Any) -> dict[str, Any]:
    """A body for POST /payments/ that is accepted."""
    return {
        "amount": {"amount": 500_000, "currency": "TZS"},
        "phone": "+255712345678",
        "gateway": "clickpesa",
    } | changes


def a_wish_to_pay_out(**changes: Any) -> dict[str, Any]:
    """A body for POST /payouts/ that is accepted where the gateway pays out."""
    return {
        "amount": {"amount": 300_000, "currency": "TZS"},
        "phone": "+255712345678",
        "gateway": "clickpesa",
        "name": "Asha Mushi",
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


def make_settled_payment(member: Member, **changes: Any) -> Payment:
    """A payment of `member`'s tenant whose money has come in."""
    payment = make_payment(member, **changes)
    with tenant_scope(member.tenant_id):
        with tenant_transaction():
            attempt = only_attempt(payment)
        paid = ChargeResult(status=ChargeStatus.PAID, provider_reference="P1", money=payment.money)
        record_charge(attempt_id=attempt.pk, source="poll", result=paid)
        with tenant_transaction():
            payment.refresh_from_db()
    return payment


def pay_again(member: Member, payment: Payment) -> Attempt:
    """A second attempt of a payment, whose money has come in too. Without the use cases: they would not have it."""
    with tenant_scope(member.tenant_id), tenant_transaction():
        first = Attempt.objects.filter(payment=payment).order_by("number")[0]
        second: Attempt = Attempt.objects.create(
            payment=payment,
            number=first.number + 1,
            gateway=first.gateway,
            account_id=first.account_id,
            method=first.method,
            reference=new_reference(),
        )
        paid = ChargeResult(status=ChargeStatus.PAID, provider_reference="P2", money=payment.money)
        record_charge(attempt_id=second.pk, source="poll", result=paid)
    return second


def make_refund(member: Member, payment: Payment | None = None, **changes: Any) -> Refund:
    """A refund in `member`'s tenant; at ClickPesa, which cannot refund, one that a person sends."""
    payment = payment or make_settled_payment(member)
    with tenant_scope(member.tenant_id):
        return request_refund(actor_id=member.user.pk, payment_id=payment.pk, **changes)


def make_payout(member: Member, **changes: Any) -> Payout:
    """A payout of `member`'s tenant, not yet sent; call with a scripted gateway installed."""
    wish: dict[str, Any] = {"money": Money(300_000, "TZS"), "phone": "+255712345678", "gateway": "scripted"}
    with tenant_scope(member.tenant_id):
        return request_payout(actor_id=member.user.pk, **(wish | changes))


def make_payout_anywhere(member: Member, **changes: Any) -> Payout:
    """The same where no scripted gateway is installed."""
    with scripted_gateway(GenerousScriptedGateway):
        return make_payout(member, **changes)


def with_known_balance(member: Member) -> dict[str, str]:
    """A gateway that was asked a moment ago by `member`'s tenant what it holds: it is not asked again."""
    with tenant_scope(member.tenant_id):
        cache.set(balance_key("clickpesa", str(OWN_ACCOUNT)), [(500_000, "TZS")], CACHE_SECONDS)
    return {"gateway": "clickpesa"}


def lines_of(member: Member) -> list[tuple[str, int]]:
    """The ledger of `member`'s tenant: kinds and amounts, oldest first."""
    with tenant_scope(member.tenant_id), tenant_transaction():
        return list(LedgerLine.objects.order_by("at", "pk").values_list("kind", "amount"))


def count_of(member: Member, model: type[Payment] | type[Payout] | type[Refund]) -> int:
    """How many rows `member`'s tenant has."""
    with tenant_scope(member.tenant_id), tenant_transaction():
        return int(model.objects.count())
