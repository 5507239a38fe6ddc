"""Use cases for payments: start one, give one up."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.payments.derivation import IN_FLIGHT, AttemptStatus, PaymentStatus
from apps.payments.models.accounts import GatewayReference
from apps.payments.models.payments import Attempt, Observation, Payment
from apps.payments.references import new_reference
from apps.payments.services.accounts import choose_account
from apps.payments.services.progress import advance_payment, observe_attempt
from apps.payments.services.references import remember_reference
from core.exceptions import Conflict
from core.money import AmountNotRepresentable, Money
from core.outbox.publisher import publish
from core.tenancy import tenant_atomic, tenant_transaction
from services.payments.base import ChargeRequest, CurrencyNotSupported, Method, PhoneNotSupported
from services.payments.registry import GatewayNotEnabled


class ClientReferenceTaken(Conflict):
    """Another payment of this tenant carries the same `client_reference`. This rule never expires."""

    code = "client_reference_taken"
    message = _("A payment with this reference exists already.")


# How `start_payment` can refuse, for the schema.
START_REFUSALS = (
    GatewayNotEnabled,
    AmountNotRepresentable,
    CurrencyNotSupported,
    PhoneNotSupported,
    ClientReferenceTaken,
)


@tenant_atomic
def start_payment(
    *,
    actor_id: UUID,
    money: Money,
    phone: str,
    gateway: str,
    description: str = "",
    client_reference: str = "",
) -> Payment:
    """Record the wish to be paid. The gateway hears of it once the row is safe.

    Raises `GatewayNotEnabled`, the gateway's own refusals (`AmountNotRepresentable`, `PhoneNotSupported`, ...), or
    `ClientReferenceTaken`; then nothing is stored.
    """
    payment: Payment
    reference = new_reference()
    account = choose_account(gateway)
    account.gateway.check(ChargeRequest(reference=reference, money=money, phone=phone))
    try:
        with tenant_transaction():
            payment = Payment.objects.create(
                started_by_id=actor_id,
                amount=money.amount,
                currency=money.currency,
                phone=phone,
                gateway=gateway,
                description=description,
                client_reference=client_reference,
                expires_at=timezone.now() + settings.PAYMENT_EXPIRY,
            )
    except IntegrityError:
        if not client_reference:
            raise
        raise ClientReferenceTaken(errors={"client_reference": [ClientReferenceTaken.message]}) from None
    attempt = Attempt.objects.create(
        payment=payment,
        number=1,
        gateway=gateway,
        account_id=account.id,
        method=Method.PUSH,
        phone=phone,
        reference=reference,
    )
    remember_reference(account, reference, kind=GatewayReference.Kind.CHARGE, subject_id=attempt.pk)
    advance_payment(payment, kind="started", cause=f"attempt {attempt.number}", actor=str(actor_id))
    publish("payment.started", {"attempt_id": str(attempt.pk)}, aggregate=f"attempt:{attempt.pk}")
    publish("payment.expiring", {"payment_id": str(payment.pk)}, delay=settings.PAYMENT_EXPIRY)
    return payment


@tenant_atomic
def expire_payment(*, payment_id: UUID) -> None:
    """Stop waiting for the customer. Our opinion only: polling goes on, and money that comes later still settles."""
    payment: Payment = Payment.objects.select_for_update().get(pk=payment_id)
    if payment.status not in {PaymentStatus.CREATED, PaymentStatus.PROCESSING}:
        return
    for attempt in Attempt.objects.filter(payment=payment, status__in=IN_FLIGHT).order_by("pk"):
        observe_attempt(attempt, source=Observation.Source.SYSTEM, status=AttemptStatus.EXPIRED)
    advance_payment(payment, kind="observed", cause="system: expired")
