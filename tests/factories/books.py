"""Rows of payments as operators meet them, of kinds that no use case of one test makes all together."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Model
from django.utils import timezone

from apps.payments.derivation import AttemptStatus
from apps.payments.models.accounts import GatewayAccount, GatewayHealth
from apps.payments.models.inbox import InboxDelivery
from apps.payments.models.ledger import LedgerLine
from apps.payments.models.payments import Observation, Payment
from apps.payments.models.reconciliation import ReconciliationBreak, ReconciliationRun
from apps.payments.models.transfers import Payout, Refund
from apps.payments.references import new_reference
from apps.payments.transfers import TransferStatus
from core.sealing import seal
from tests.factories.payments import only_attempt

# What may never be shown. As a gateway's key looks.
CREDENTIAL = "sk-live-9f8e7d6c5b4a39281706"


def make_line(payment: Payment, amount: int = 500_000, **changes: Any) -> LedgerLine:
    """A movement of `payment`'s money. Call inside its tenant's scope."""
    told = {
        "key": f"capture:{new_reference()}",
        "kind": LedgerLine.Kind.CAPTURE,
        "amount": amount,
        "currency": payment.currency,
        "gateway": payment.gateway,
        "payment": payment,
    }
    made: LedgerLine = LedgerLine.objects.create(**(told | changes))
    return made


def make_refund(payment: Payment, **changes: Any) -> Refund:
    """A refund of `payment` that waits for a person. Call inside its tenant's scope."""
    told = {
        "payment": payment,
        "attempt": changes.get("attempt") or only_attempt(payment),
        "gateway": payment.gateway,
        "reference": new_reference(),
        "amount": 100_000,
        "currency": payment.currency,
        "own_mark": TransferStatus.MANUAL,
        "status": TransferStatus.MANUAL,
        "reason": "Sold out",
        "requested_by": payment.started_by,
    }
    made: Refund = Refund.objects.create(**(told | changes))
    return made


def make_payout(user_id: UUID, **changes: Any) -> Payout:
    """A payout that is under way. Call inside the tenant's scope."""
    told = {
        "gateway": "clickpesa",
        "reference": new_reference(),
        "amount": 200_000,
        "currency": "TZS",
        "status": TransferStatus.PENDING,
        "phone": "+255712345678",
        "name": "Asha Juma",
        "requested_by_id": user_id,
        "submitted_at": timezone.now(),
    }
    made: Payout = Payout.objects.create(**(told | changes))
    return made


def make_observation(payment: Payment, **changes: Any) -> Observation:
    """News about the only attempt of `payment`. Call inside its tenant's scope."""
    told = {
        "attempt": changes.get("attempt") or only_attempt(payment),
        "source": Observation.Source.WEBHOOK,
        "status": AttemptStatus.SETTLED,
        "amount": payment.amount,
        "currency": payment.currency,
        "provider_reference": "LCPPAY9",
        "fingerprint": new_reference(),
    }
    made: Observation = Observation.objects.create(**(told | changes))
    return made


def make_gateway_account(**changes: Any) -> GatewayAccount:
    """The tenant's own account at a gateway. Call inside the tenant's scope."""
    told = {"gateway": "clickpesa", "credentials": seal(f'{{"api_key": "{CREDENTIAL}"}}')}
    made: GatewayAccount = GatewayAccount.objects.create(**(told | changes))
    return made


def make_delivery(**changes: Any) -> InboxDelivery:
    """A stored callback."""
    told = {"gateway": "clickpesa", "event_key": new_reference(), "body": b"{}", "headers": {}, "trust": "hint"}
    return InboxDelivery.objects.create(**(told | changes))


def make_break(**changes: Any) -> ReconciliationBreak:
    """A difference that nobody has explained."""
    told = {
        "kind": ReconciliationBreak.Kind.AMOUNT,
        "gateway": "clickpesa",
        "reference": new_reference(),
        "ours": {"status": "settled", "amount": "TZS 5,000"},
        "theirs": {"status": "settled", "amount": "TZS 4,500"},
    }
    return ReconciliationBreak.objects.create(**(told | changes))


def make_books(payment: Payment) -> list[Model]:
    """One row of every kind that hangs on a payment or stands beside it. Call inside its tenant's scope."""
    now = timezone.now()
    payout = make_payout(payment.started_by_id)
    return [
        make_line(payment),
        make_refund(payment),
        payout,
        make_gateway_account(),
        GatewayHealth.objects.create(gateway="clickpesa", window_started_at=now),
        make_delivery(subject_id=only_attempt(payment).pk),
        ReconciliationRun.objects.create(gateway="clickpesa", day=now.date(), finished_at=now),
        make_break(payment_id=payment.pk, tenant_id=payment.tenant_id),
    ]
