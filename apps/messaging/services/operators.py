"""Use cases of platform staff about messages: send again, ask, resume codes, set a budget. Each is an audit line."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Model

from apps.messaging.models.limits import Budget, PrefixPause
from apps.messaging.models.messages import Message
from apps.messaging.selectors.messages import get_message
from apps.messaging.services.budgets import set_budget
from apps.messaging.services.guard import lift_pause
from apps.messaging.services.messages import resend_message
from apps.messaging.services.polling import ask_about
from core.audit.actions import Action
from core.audit.record import record
from core.exceptions import NotFound
from core.tenancy import current_tenant_id, tenant_atomic


@tenant_atomic
def repeat_message(*, operator_id: UUID, message_id: UUID, reason: str) -> Message:
    """Send a message again, as a new one. Refuses as `resend_message` does."""
    message = resend_message(message_id=message_id)
    told = {"message": str(message.pk), "reason": reason}
    _note(Action.MESSAGE_REPEATED, operator_id, get_message(message_id=message_id), **told)
    return message


def ask_about_message(*, operator_id: UUID, message_id: UUID) -> bool:
    """Ask the provider now what became of a text, and record what it says.

    `NotFound`, `NothingToAsk`, `AnswerRefused`, or that the provider cannot be reached. Not in a transaction.
    """
    ask_about(message_id=message_id)
    _note_asked(operator_id, message_id)
    return True


@tenant_atomic
def end_pause(*, operator_id: UUID, pause_id: UUID, reason: str) -> bool:
    """Let codes go to a paused prefix again; whether that is news."""
    pause = PrefixPause.objects.filter(pk=pause_id).first()
    if pause is None:
        raise NotFound
    if pause.lifted_at is not None:
        return False
    lift_pause(pause_id=pause_id, actor_id=operator_id)
    record(Action.PREFIX_RESUMED, actor=operator_id, target=pause, data={"reason": reason})
    return True


@tenant_atomic
def change_budget(*, operator_id: UUID, daily: int | None, monthly: int | None, note: str) -> Budget:
    """What texts of the tenant in scope may cost, in the smallest unit of SMS_CURRENCY. None: as the settings say."""
    budget = set_budget(tenant_id=current_tenant_id(), daily=daily, monthly=monthly, note=note)
    told = {"tenant": str(budget.tenant_id), "daily": daily, "monthly": monthly, "note": note}
    record(Action.BUDGET_CHANGED, actor=operator_id, target=budget, data=told)
    return budget


@tenant_atomic
def _note_asked(operator_id: UUID, message_id: UUID) -> None:
    message = get_message(message_id=message_id)
    _note(Action.MESSAGE_ASKED, operator_id, message, status=message.status)


def _note(action: Action, operator_id: UUID, target: Model, **data: object) -> None:
    record(action, actor=operator_id, target=target, tenant_id=current_tenant_id(), data=data)
