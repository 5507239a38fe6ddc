"""Use cases for people who decide: does money count that nobody can confirm, or that is not the amount asked for?"""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext_lazy as _

from apps.payments.derivation import AttemptStatus, PaymentStatus, ReviewDecision
from apps.payments.models.payments import Attempt, Observation, Payment
from apps.payments.services.progress import advance_payment, lock_payment, observe_attempt, view_of
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import Conflict, NotFound
from core.money import Money
from core.tenancy import current_tenant_id, tenant_atomic


class NothingToReview(Conflict):
    """The payment waits for nobody's decision."""

    code = "nothing_to_review"
    message = _("There is nothing to decide about this payment.")


REVIEW_REFUSALS = (NotFound, NothingToReview)


@tenant_atomic
def review_payment(*, payment_id: UUID, actor_id: UUID, decision: str, note: str) -> Payment:
    """Decide about a payment in review, for good: `accepted` settles it, `rejected` ends it without money.

    A claim that nobody can confirm becomes a payment, or none, by this person's word. Money that is not the amount
    asked for counts as if it were, or does not; it stays in the books either way. Raises `NothingToReview`.
    """
    payment = lock_payment(payment_id)
    if payment.status != PaymentStatus.REVIEW:
        raise NothingToReview
    is_accepted = decision == ReviewDecision.ACCEPTED
    for attempt in Attempt.objects.filter(payment=payment, status=AttemptStatus.CLAIMED).order_by("pk"):
        observe_attempt(
            attempt,
            source=Observation.Source.MANUAL,
            status=AttemptStatus.SETTLED if is_accepted else AttemptStatus.FAILED,
            money=_claimed_money(attempt, payment.money) if is_accepted else None,
            actor=str(actor_id),
            reason=note,
        )
    attempts = Attempt.objects.filter(payment=payment).prefetch_related("observations")
    if any(view_of(attempt).is_odd(payment.money) for attempt in attempts):
        payment.review_decision = decision
    advance_payment(payment, kind="reviewed", cause=f"manual: {decision}", actor=str(actor_id), data={"note": note})
    record(
        Action.PAYMENT_REVIEWED,
        actor=actor_id,
        target=payment,
        tenant_id=current_tenant_id(),
        data={"decision": decision, "note": note},
    )
    return payment


def _claimed_money(attempt: Attempt, asked: Money) -> Money:
    """What the claim was about: the asked amount if any claim named it or none named one, else the smallest."""
    claimed = [each.money for each in attempt.observations.filter(status=AttemptStatus.CLAIMED) if each.money]
    if not claimed or asked in claimed:
        return asked
    return min(claimed, key=lambda money: (money.currency != asked.currency, money.currency, money.amount))
