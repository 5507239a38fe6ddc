"""Use cases for payouts: money to a phone's wallet or a bank account."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.db.models import Sum
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.payments.models.accounts import GatewayReference
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.transfers import Payout, Refund
from apps.payments.references import new_reference
from apps.payments.selectors.payouts import get_payout
from apps.payments.services.accounts import Account, choose_account
from apps.payments.services.history import append_event
from apps.payments.services.ledger import record_line
from apps.payments.services.payments import ClientReferenceTaken
from apps.payments.services.references import remember_reference
from apps.payments.services.transfers import (
    Desk,
    ask_transfer,
    decide_transfer,
    poll_transfer,
    record_transfer,
    submit_transfer,
)
from apps.payments.transfers import ENDED, RELEASED, SENT, TransferStatus
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import RuleViolated
from core.locks import lock_name
from core.money import AmountNotRepresentable, Money
from core.tenancy import current_tenant_id, tenant_atomic, tenant_transaction
from services.payments.base import (
    AmountOutOfRange,
    BankAccount,
    Capability,
    CurrencyNotSupported,
    PaymentGateway,
    PayoutNotSupported,
    PayoutRequest,
    PhoneNotSupported,
    TransferId,
    TransferResult,
)
from services.payments.registry import GatewayNotEnabled

Kind = LedgerLine.Kind
DAY = timedelta(hours=24)


class PayoutLimitExceeded(RuleViolated):
    """More than one payout may be (`PAYOUT_MAX`), or than an organisation may pay out in 24 hours (`PAYOUT_DAILY`)."""

    code = "payout_limit_exceeded"
    message = _("This is more than may be paid out. Wait, or ask the operator of this installation.")


class PayoutExceedsEarnings(RuleViolated):
    """Through the installation's account an organisation pays out no more than it brought in there."""

    code = "payout_exceeds_earnings"
    message = _("Your payments through this payment method have not brought in that much.")


class AccountNotYours(RuleViolated):
    """The organisation has no account of its own at this gateway, and the installation's is not for this."""

    code = "account_not_yours"
    message = _("This needs an account of your own with this payment method.")


# How `request_payout` can refuse, for the schema.
REQUEST_REFUSALS = (
    GatewayNotEnabled,
    PayoutNotSupported,
    CurrencyNotSupported,
    PhoneNotSupported,
    AmountNotRepresentable,
    AmountOutOfRange,
    AccountNotYours,
    PayoutExceedsEarnings,
    PayoutLimitExceeded,
    ClientReferenceTaken,
)


class _PayoutDesk(Desk[Payout]):
    name = "payout"

    def get(self, transfer_id: UUID) -> Payout:
        return get_payout(payout_id=transfer_id)

    def lock(self, transfer_id: UUID) -> Payout:
        payout: Payout = Payout.objects.select_for_update().get(pk=transfer_id)
        return payout

    def send(self, gateway: PaymentGateway, transfer: Payout) -> TransferResult:
        return gateway.payout(_request_of(transfer))

    def ask(self, gateway: PaymentGateway, transfer: Payout) -> TransferResult:
        return gateway.query_payout(
            TransferId(reference=transfer.reference, provider_reference=transfer.provider_reference)
        )

    def can_ask(self, gateway: PaymentGateway) -> bool:
        return Capability.PAYOUT_QUERY in gateway.capabilities

    def may_send_again(self, gateway: PaymentGateway) -> bool:
        return Capability.IDEMPOTENT_PAYOUT in gateway.capabilities

    def moved(self, transfer: Payout, *, before: TransferStatus, cause: str, actor: str) -> None:
        if transfer.status in SENT:
            _write_line(Kind.PAYOUT, -transfer.amount, transfer)
        if transfer.status == TransferStatus.RETURNED:
            _write_line(Kind.RETURN, transfer.amount, transfer)
        _tell(transfer, kind="observed", before=before, cause=cause, actor=actor)


_desk = _PayoutDesk()


@tenant_atomic
def request_payout(
    *,
    actor_id: UUID,
    gateway: str,
    money: Money,
    phone: str = "",
    bank: Mapping[str, str] | None = None,
    name: str = "",
    narration: str = "",
    client_reference: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Payout:
    """Record the wish to send `money` to `phone`, or to `bank` (a `BankAccount`'s fields).

    The gateway hears of it once the row is safe.
    Refuses as `REQUEST_REFUSALS` say, and then stores nothing. `metadata` is the caller's own and never looked at.
    """
    payout: Payout
    account, reference = choose_account(gateway), new_reference()
    to = BankAccount(**bank) if bank else None
    name = to.name if to else name
    account.gateway.check_payout(
        PayoutRequest(reference=reference, money=money, phone=phone, bank=to, name=name, narration=narration)
    )
    # One after the other, or two would both find room under a limit that has room for one.
    lock_name(f"payouts:{current_tenant_id()}")
    _refuse_over_limits(money)
    _refuse_others_money(account, money)
    try:
        with tenant_transaction():
            payout = Payout.objects.create(
                gateway=gateway,
                account_id=account.id,
                reference=reference,
                amount=money.amount,
                currency=money.currency,
                phone=phone,
                bank=to.bank if to else "",
                bank_account=to.number if to else "",
                name=name,
                narration=narration,
                client_reference=client_reference,
                metadata=dict(metadata or {}),
                requested_by_id=actor_id,
            )
    except IntegrityError:
        if not client_reference:
            raise
        taken = _("A payout with this reference exists already.")
        raise ClientReferenceTaken(taken, errors={"client_reference": [taken]}) from None
    remember_reference(account, reference, kind=GatewayReference.Kind.PAYOUT, subject_id=payout.pk)
    _tell(payout, kind="requested", before=TransferStatus.QUEUED, cause="request", actor=str(actor_id))
    told = {"gateway": gateway, "amount": money.display}
    record(Action.PAYOUT_REQUESTED, actor=actor_id, target=payout, tenant_id=current_tenant_id(), data=told)
    _desk.announce(payout, "requested")
    return payout


def submit_payout(*, payout_id: UUID) -> None:
    """Have the gateway send a payout; see `submit_transfer`."""
    submit_transfer(_desk, payout_id)


def record_payout(*, payout_id: UUID, source: str, result: TransferResult, actor: str = "") -> None:
    """Take one piece of news about a payout. The same news again changes nothing."""
    record_transfer(_desk, payout_id, source=source, result=result, actor=actor)


def ask_payout(*, payout_id: UUID) -> None:
    """Ask the gateway about a payout, now, and record its answer. Raises what the call raises."""
    ask_transfer(_desk, payout_id)


def poll_payout(*, payout_id: UUID, poll: int) -> None:
    """The question number `poll` about a payout that has not ended."""
    poll_transfer(_desk, payout_id, poll)


def decide_payout(
    *, actor_id: UUID, payout_id: UUID, is_sent: bool, evidence: str, is_platform: bool = False
) -> Payout:
    """A person has found out what became of a payout of which the gateway said nothing for a week.

    `NotFound`, or `NotWaitingForAPerson` for any other.
    """
    get_payout(payout_id=payout_id)
    return decide_transfer(_desk, payout_id, is_sent=is_sent, actor_id=actor_id, told=evidence, is_platform=is_platform)


def _refuse_over_limits(money: Money) -> None:
    most, daily = (limits.get(money.currency) for limits in (settings.PAYOUT_MAX, settings.PAYOUT_DAILY))
    if most is not None and money.amount > most:
        raise PayoutLimitExceeded(errors={"amount": [PayoutLimitExceeded.message]})
    if daily is None:
        return
    lately = Payout.objects.filter(currency=money.currency, created_at__gt=timezone.now() - DAY)
    spent = lately.exclude(status__in=RELEASED).aggregate(total=Sum("amount"))["total"] or 0
    if spent + money.amount > daily:
        raise PayoutLimitExceeded(errors={"amount": [PayoutLimitExceeded.message]})


def _refuse_others_money(account: Account, money: Money) -> None:
    """Through the installation's account flows the money of every tenant: each has what it brought in, no more."""
    if account.id is not None or settings.PAYOUTS_FROM_SHARED_ACCOUNT == "free":
        return
    if settings.PAYOUTS_FROM_SHARED_ACCOUNT != "earned":
        raise AccountNotYours
    here = {"gateway": account.code, "account": None, "currency": money.currency}
    earned = LedgerLine.objects.filter(**here).aggregate(total=Sum("amount"))["total"] or 0
    under_way = 0
    for model in (Payout, Refund):
        under_way += model.objects.filter(**here).exclude(status__in=ENDED).aggregate(total=Sum("amount"))["total"] or 0
    if earned - under_way < money.amount:
        raise PayoutExceedsEarnings(errors={"amount": [PayoutExceedsEarnings.message]})


def _request_of(payout: Payout) -> PayoutRequest:
    bank = None
    if payout.bank_account:
        bank = BankAccount(bank=payout.bank, number=payout.bank_account, name=payout.name)
    return PayoutRequest(
        reference=payout.reference,
        money=payout.money,
        phone=payout.phone,
        bank=bank,
        name=payout.name,
        narration=payout.narration,
    )


def _write_line(kind: str, amount: int, payout: Payout) -> None:
    record_line(
        kind,
        Money(amount, payout.currency),
        key=f"{kind}:{payout.pk}",
        gateway=payout.gateway,
        account_id=payout.account_id,
        payout=payout,
    )


def _tell(payout: Payout, *, kind: str, before: str, cause: str, actor: str) -> None:
    """A line in the payout's own history."""
    payout.version += 1
    payout.save(update_fields=["version", "updated_at"])
    data: dict[str, Any] = {"anomalies": payout.anomalies} if payout.anomalies else {}
    append_event(payout, kind=kind, before=before, cause=cause, actor=actor, at=timezone.now(), data=data)
