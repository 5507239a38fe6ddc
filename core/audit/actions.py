"""What can be told in an audit line. The names are for programs and never change; the labels are for people."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _


class ActorKind(models.TextChoices):
    """As what somebody acted."""

    PERSON = "person", _("person")
    STAFF = "staff", _("platform staff")  # in the admin
    API_KEY = "api_key", _("API key")  # of the person named as the actor
    SYSTEM = "system", _("system")


class Action(models.TextChoices):
    """The closed set. A new dangerous action gets its name here first."""

    # Tenants. These lines carry their tenant's id, and its owners and admins read them.
    MEMBER_JOINED = "member.joined", _("joined the organisation")
    MEMBER_ROLE_CHANGED = "member.role_changed", _("changed a member's role")
    MEMBER_REMOVED = "member.removed", _("removed a member")
    MEMBER_LEFT = "member.left", _("left the organisation")
    OWNERSHIP_TRANSFERRED = "tenant.ownership_transferred", _("handed the organisation over")
    TENANT_RENAMED = "tenant.renamed", _("renamed the organisation")
    TENANT_SUSPENDED = "tenant.suspended", _("suspended the organisation")
    TENANT_REINSTATED = "tenant.reinstated", _("ended the suspension of the organisation")
    API_KEY_CREATED = "api_key.created", _("made an API key")
    API_KEY_REVOKED = "api_key.revoked", _("revoked an API key")
    INVITATION_CREATED = "invitation.created", _("invited somebody")
    INVITATION_RESENT = "invitation.resent", _("sent an invitation again")
    INVITATION_REVOKED = "invitation.revoked", _("revoked an invitation")
    PAYMENT_CALLED_OFF = "payment.called_off", _("called a payment off")
    GATEWAY_ASKED = "payment.asked", _("asked a payment gateway again")
    PAYMENT_REVIEWED = "payment.reviewed", _("decided about a payment in review")
    REFUND_REQUESTED = "refund.requested", _("asked for a refund")
    REFUND_COMPLETED = "refund.completed", _("said that a refund was sent by hand")
    REFUND_REJECTED = "refund.rejected", _("said that a refund will not be sent")
    PAYOUT_REQUESTED = "payout.requested", _("asked for a payout")
    PAYOUT_DECIDED = "payout.decided", _("said what became of a payout")
    GATEWAY_ACCOUNT_ADDED = "gateway_account.added", _("added an account at a payment gateway")
    GATEWAY_ACCOUNT_CHANGED = "gateway_account.changed", _("changed an account at a payment gateway")
    GATEWAY_ACCOUNT_RETIRED = "gateway_account.retired", _("gave an account at a payment gateway up")
    GATEWAY_ACCOUNT_ROTATED = "gateway_account.rotated", _("changed the callback address of a payment gateway")
    MESSAGES_REQUESTED = "message.requested", _("had messages sent")
    MESSAGE_REPEATED = "message.repeated", _("had a message sent again")
    MESSAGE_ASKED = "message.asked", _("asked a provider about a message")
    # A person's own account. No tenant reads these.
    PASSWORD_CHANGED = "password.changed", _("changed the password")
    PASSWORD_RESET = "password.reset", _("reset the password by a mailed link")
    PASSWORD_RESET_SENT = "password.reset_sent", _("had a reset link sent")
    EMAIL_CHANGED = "email.changed", _("changed the e-mail address")
    PHONE_CHANGED = "phone.changed", _("changed the phone number")
    SESSIONS_ENDED = "sessions.ended", _("ended all sessions")
    SESSION_ENDED = "session.ended", _("ended a session")
    SESSION_REUSED = "session.reused", _("session ended: an old refresh token came back")
    MFA_ENABLED = "mfa.enabled", _("switched the second factor on")
    MFA_DISABLED = "mfa.disabled", _("switched the second factor off")
    MFA_RECOVERY_CODES_MADE = "mfa.recovery_codes_made", _("made new recovery codes")
    MFA_RECOVERY_CODE_USED = "mfa.recovery_code_used", _("signed in with a recovery code")
    MFA_REMOVED = "mfa.removed", _("removed a second factor that was lost")
    LOGIN_LINKED = "login.linked", _("linked a login provider")
    LOGIN_UNLINKED = "login.unlinked", _("unlinked a login provider")
    ACCOUNT_EXPORTED = "account.exported", _("exported the account's data")
    ACCOUNT_DELETION_REQUESTED = "account.deletion_requested", _("asked for the account to be deleted")
    ACCOUNT_DELETION_CANCELLED = "account.deletion_cancelled", _("took the wish to delete the account back")
    ACCOUNT_DELETED = "account.deleted", _("account deleted")
    # The platform's staff.
    ACCOUNT_CREATED = "account.created", _("made an account")
    ACCOUNT_CHANGED = "account.changed", _("changed an account")
    ACCOUNT_DEACTIVATED = "account.deactivated", _("deactivated an account")
    ACCOUNT_REACTIVATED = "account.reactivated", _("reactivated an account")
    STAFF_RIGHTS_CHANGED = "staff.rights_changed", _("changed the rights of staff")
    DATA_EXPORTED = "data.exported", _("exported data")
    DATA_IMPORTED = "data.imported", _("imported data")
    CALLBACK_REPLAYED = "callback.replayed", _("had a payment gateway's callback processed again")
    RECONCILIATION_REPEATED = "reconciliation.repeated", _("had a day compared again with a payment gateway")
    BREAK_RESOLVED = "reconciliation.resolved", _("explained a difference with a payment gateway")
    TEMPLATE_PUBLISHED = "template.published", _("published the wording of a message")
    BUDGET_CHANGED = "budget.changed", _("changed what an organisation's texts may cost")
    PREFIX_RESUMED = "prefix.resumed", _("let codes go to a paused prefix again")
    OPT_OUT_CHANGED = "opt_out.changed", _("noted that an address wants no messages, or wants them again")
    SUPPRESSION_LIFTED = "suppression.lifted", _("let mail go to an address again that had bounced or complained")
    EVENTS_REPLAYED = "outbox.replayed", _("had dead events delivered again")
    ADMIN_SIGNED_IN = "admin.signed_in", _("signed in to the admin")
    AUDIT_PRUNED = "audit.pruned", _("removed old audit lines")


# What a line about a tenant can tell.
TENANT_ACTIONS = [
    choice
    for choice in Action.choices
    if str(choice[0]).partition(".")[0]
    in {"member", "tenant", "api_key", "invitation", "payment", "refund", "payout", "gateway_account", "message"}
]


def action_choices() -> list[tuple[str, Any]]:
    """For the model. A function, so that a new action is no migration."""
    return list(Action.choices)
