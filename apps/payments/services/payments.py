"""Use cases for payments: start one, try again, give one up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from apps.payments.derivation import IN_FLIGHT, AttemptStatus, PaymentStatus, can_try_again
from apps.payments.models.accounts import GatewayReference
from apps.payments.models.payments import Attempt, Observation, Payment
from apps.payments.references import new_reference
from apps.payments.services.accounts import Account, choose_account
from apps.payments.services.attempts import begin_submission, end_submission, expiry_of, request_of
from apps.payments.services.breaker import GatewayResting
from apps.payments.services.inline import call_patiently
from apps.payments.services.progress import advance_payment, lock_payment, observe_attempt
from apps.payments.services.references import remember_reference
from core.exceptions import Conflict, NotFound, RuleViolated
from core.money import AmountNotRepresentable, Money
from core.outbox.publisher import hasten, publish
from core.tenancy import tenant_atomic
from services.http import GatewayUnavailable
from services.payments.base import (
    AmountOutOfRange,
    Capability,
    ChargeResult,
    CurrencyNotSupported,
    CustomerDetailsMissing,
    Method,
    MethodNotSupported,
    PaymentGateway,
    PhoneNotSupported,
)
from services.payments.registry import GatewayNotEnabled


class ClientReferenceTaken(Conflict):
    """Another payment of this tenant carries the same `client_reference`. This rule never expires."""

    code = "client_reference_taken"
    message = _("A payment with this reference exists already.")


class PhoneRequired(RuleViolated):
    """A push needs a phone to go to."""

    code = "phone_required"
    message = _("This way to pay needs the customer's phone number.")


class PaymentSettled(Conflict):
    """The money is there: nothing is left to cancel or to try again."""

    code = "payment_settled"
    message = _("This payment is settled already.")


class PaymentInFlight(Conflict):
    """An attempt is under way: a second one could take the money twice."""

    code = "payment_in_flight"
    message = _("An attempt of this payment is still under way.")


class PaymentInReview(Conflict):
    """A person has to look at what came in first."""

    code = "payment_in_review"
    message = _("This payment is waiting for somebody to look at it.")


class PaymentCancelled(Conflict):
    """It was called off; start a new payment instead."""

    code = "payment_cancelled"
    message = _("This payment was cancelled.")


_GATEWAY_REFUSALS = (
    GatewayNotEnabled,
    MethodNotSupported,
    PhoneRequired,
    AmountNotRepresentable,
    AmountOutOfRange,
    CurrencyNotSupported,
    PhoneNotSupported,
    CustomerDetailsMissing,
)
# How `start_payment` and `retry_payment` can refuse, for the schema.
START_REFUSALS = (*_GATEWAY_REFUSALS, ClientReferenceTaken)
RETRY_REFUSALS = (
    NotFound,
    PaymentInFlight,
    PaymentSettled,
    PaymentInReview,
    PaymentCancelled,
    *_GATEWAY_REFUSALS,
)
# In the addresses to which a page sends the customer back.
PAYMENT_ID = "{payment_id}"
# A page's address is wanted at once, so the request asks for it itself. The worker takes over from a request that died:
# later than any call to a gateway lasts.
WORKER_TAKES_OVER_AFTER = timedelta(seconds=20)


@tenant_atomic
def start_payment(
    *,
    actor_id: UUID,
    money: Money,
    gateway: str,
    phone: str = "",
    method: str = "",
    description: str = "",
    client_reference: str = "",
    customer: Mapping[str, Any] | None = None,
    return_url: str = "",
    cancel_url: str = "",
    metadata: Mapping[str, Any] | None = None,
    expires_in: int | None = None,
) -> Payment:
    """Record the wish to be paid. The gateway hears of it once the row is safe.

    Without `method` it is a push where there is a phone and the gateway can, else a page. `{payment_id}` in the
    addresses is replaced. `expires_in` is in seconds.

    Raises `GatewayNotEnabled`, `MethodNotSupported`, `PhoneRequired`, the gateway's own refusals
    (`AmountNotRepresentable`, `PhoneNotSupported`, ...), or `ClientReferenceTaken`; then nothing is stored.
    """
    account = choose_account(gateway)
    chosen = choose_method(account.gateway, method=method, phone=phone)
    lifetime = lifetime_of(chosen) if expires_in is None else timedelta(seconds=expires_in)
    payment = Payment(
        started_by_id=actor_id,
        amount=money.amount,
        currency=money.currency,
        phone=phone,
        customer=dict(customer or {}),
        metadata=dict(metadata or {}),
        gateway=gateway,
        method=chosen,
        description=description,
        client_reference=client_reference,
        expires_at=timezone.now() + lifetime,
    )
    payment.return_url, payment.cancel_url = (
        url.replace(PAYMENT_ID, str(payment.pk)) for url in (return_url, cancel_url)
    )
    attempt = _plan_attempt(payment, account, number=1)
    try:
        payment.save(force_insert=True)
    except IntegrityError:
        if not client_reference:
            raise
        raise ClientReferenceTaken(errors={"client_reference": [ClientReferenceTaken.message]}) from None
    _begin_attempt(payment, account, attempt, kind="started", actor=str(actor_id), lifetime=lifetime)
    return payment


@tenant_atomic
def retry_payment(*, payment_id: UUID, actor_id: UUID, gateway: str = "", method: str = "", phone: str = "") -> Payment:
    """Try again, under a new reference and with a new expiry: here or at another gateway, with this phone or another.

    Only when nothing is in flight and nothing was paid: else `PaymentInFlight`, `PaymentSettled`, `PaymentInReview` or
    `PaymentCancelled`. Raises what `start_payment` raises of a gateway.
    """
    payment = lock_payment(payment_id)
    _refuse_retry(payment)
    account = choose_account(gateway or payment.gateway)
    phone = phone or payment.phone
    before = payment.method if account.code == payment.gateway and phone == payment.phone else ""
    chosen = choose_method(account.gateway, method=method or before, phone=phone)
    lifetime = lifetime_of(chosen)
    payment.gateway, payment.method, payment.phone = account.code, chosen, phone
    payment.expires_at = timezone.now() + lifetime
    number = payment.attempts.count() + 1
    attempt = _plan_attempt(payment, account, number=number)
    _begin_attempt(payment, account, attempt, kind="retried", actor=str(actor_id), lifetime=lifetime)
    return payment


@tenant_atomic
def expire_payment(*, payment_id: UUID, attempt: int | None = None) -> None:
    """Stop waiting for the customer. Our opinion only: polling goes on, and money that comes later still settles.

    `attempt` is the number of the attempt that this is about: one that was begun later has its own time.
    """
    payment = lock_payment(payment_id)
    if payment.status not in {PaymentStatus.CREATED, PaymentStatus.PROCESSING, PaymentStatus.REQUIRES_ACTION}:
        return
    waiting = Attempt.objects.filter(payment=payment, status__in=IN_FLIGHT).order_by("pk")
    if attempt is not None:
        waiting = waiting.filter(number__lte=attempt)
    for each in waiting:
        observe_attempt(each, source=Observation.Source.SYSTEM, status=AttemptStatus.EXPIRED)
    if waiting:
        advance_payment(payment, kind="observed", cause="system: expired")


def submit_at_once(*, payment_id: UUID, still_here: Callable[[], object]) -> None:
    """Ask the gateway for the page of a payment's newest attempt now, and wait a few seconds for it.

    Not in a transaction. Only where the attempt has not been sent yet, or nobody knows whether it was. Whatever does
    not come to an end here, the worker ends.
    """
    attempt = _newest_attempt(payment_id)
    try:
        submission = begin_submission(attempt_id=attempt.pk)
    except GatewayResting:
        return  # the worker sends it once the gateway answers again
    if submission is None:
        return

    def conclude(answer: Callable[[], ChargeResult]) -> None:
        try:
            end_submission(submission, answer)
        except GatewayUnavailable:
            hasten(aggregate_of(attempt))  # nothing was sent, so the worker need not wait
            raise

    if not call_patiently(submission.call, conclude, still_here=still_here):
        with suppress(GatewayUnavailable):
            conclude(_nothing_was_sent)


def needs_page(payment: Payment) -> bool:
    """Whether the caller waits for the address of a page."""
    return payment.method != Method.PUSH


def choose_method(gateway: PaymentGateway, *, method: str, phone: str) -> Method:
    """How to pay, or `MethodNotSupported` or `PhoneRequired`. Without a wish: a push where one can go, else a page."""
    offered = [each for each in Method if Capability(each.value) in gateway.capabilities]
    if method:
        chosen = Method(method)
        if chosen not in offered:
            raise MethodNotSupported
    else:
        wanted = [each for each in offered if phone or each is not Method.PUSH] or offered
        if not wanted:
            raise MethodNotSupported
        chosen = wanted[0]
    if chosen is Method.PUSH and not phone:
        raise PhoneRequired(errors={"phone": [PhoneRequired.message]})
    return chosen


def lifetime_of(method: Method) -> timedelta:
    """How long a customer has, unless the merchant says otherwise."""
    lifetime: timedelta = settings.PAYMENT_EXPIRY if method is Method.PUSH else settings.PAYMENT_PAGE_EXPIRY
    return lifetime


def aggregate_of(attempt: Attempt) -> str:
    """Under what name the outbox keeps the submission of an attempt."""
    return f"attempt:{attempt.pk}"


def _nothing_was_sent() -> ChargeResult:
    raise GatewayUnavailable


def _refuse_retry(payment: Payment) -> None:
    refusals: dict[str, type[Conflict]] = {
        PaymentStatus.SETTLED: PaymentSettled,
        PaymentStatus.REVIEW: PaymentInReview,
        PaymentStatus.CANCELLED: PaymentCancelled,
    }
    if refusal := refusals.get(payment.status):
        raise refusal
    if payment.cancel_asked_at is not None:
        raise PaymentCancelled
    is_in_flight = payment.attempts.filter(status__in=IN_FLIGHT).exists()
    if is_in_flight or not can_try_again(PaymentStatus(payment.status)):
        raise PaymentInFlight


def _plan_attempt(payment: Payment, account: Account, *, number: int) -> Attempt:
    """The attempt as it will be, if its gateway can make it at all; else the gateway's refusal."""
    attempt = Attempt(
        payment=payment,
        number=number,
        gateway=account.code,
        account_id=account.id,
        method=payment.method,
        phone=payment.phone,
        reference=new_reference(),
    )
    account.gateway.check(request_of(attempt, account))
    return attempt


def _begin_attempt(
    payment: Payment, account: Account, attempt: Attempt, *, kind: str, actor: str, lifetime: timedelta
) -> None:
    attempt.save(force_insert=True)
    remember_reference(account, attempt.reference, kind=GatewayReference.Kind.CHARGE, subject_id=attempt.pk)
    first = attempt if attempt.number == 1 else None
    advance_payment(payment, kind=kind, cause=f"attempt {attempt.number}", actor=actor, begins_with=first)
    delay = None if attempt.method == Method.PUSH else WORKER_TAKES_OVER_AFTER
    publish("payment.started", {"attempt_id": str(attempt.pk)}, aggregate=aggregate_of(attempt), delay=delay)
    told = {"payment_id": str(payment.pk), "attempt": attempt.number}
    publish("payment.expiring", told, aggregate=expiry_of(attempt), delay=lifetime)


@tenant_atomic
def _newest_attempt(payment_id: UUID) -> Attempt:
    attempt: Attempt = Attempt.objects.filter(payment_id=payment_id).order_by("-number")[:1].get()
    return attempt
