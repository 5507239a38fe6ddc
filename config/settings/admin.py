"""How the admin looks: its names and its sidebar."""

from __future__ import annotations

from typing import Any

from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _


def _admin_link(title: Any, icon: str, model: str) -> dict[str, Any]:
    """A line of the sidebar, for those who may see the list."""
    app, _dot, name = model.partition("_")

    def may_see(request: Any) -> bool:
        return any(request.user.has_perm(f"{app}.{verb}_{name}") for verb in ("view", "change"))

    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{model}_changelist"), "permission": may_see}


UNFOLD = {
    "SITE_TITLE": "Faraja",
    "SITE_HEADER": "Faraja",
    "SITE_SUBHEADER": _("Payments, people and messages"),
    "SITE_SYMBOL": "payments",
    "DASHBOARD_CALLBACK": "config.dashboard.add_figures",
    "SIDEBAR": {
        "navigation": [
            {
                "title": _("Payments"),
                "items": [
                    _admin_link(_("Payments"), "payments", "payments_payment"),
                    _admin_link(_("Refunds"), "undo", "payments_refund"),
                    _admin_link(_("Payouts"), "outbound", "payments_payout"),
                    _admin_link(_("Ledger"), "account_balance", "payments_ledgerline"),
                    _admin_link(_("Attempts"), "sync_alt", "payments_attempt"),
                ],
            },
            {
                "title": _("Gateways"),
                "items": [
                    _admin_link(_("Callbacks"), "inbox", "payments_inboxdelivery"),
                    _admin_link(_("Differences"), "difference", "payments_reconciliationbreak"),
                    _admin_link(_("Comparisons"), "fact_check", "payments_reconciliationrun"),
                    _admin_link(_("Accounts at gateways"), "key", "payments_gatewayaccount"),
                    _admin_link(_("Health"), "monitor_heart", "payments_gatewayhealth"),
                ],
            },
            {
                "title": _("Messages"),
                "items": [
                    _admin_link(_("Messages"), "sms", "messaging_message"),
                    _admin_link(_("Budgets"), "savings", "messaging_budget"),
                    _admin_link(_("Paused prefixes"), "block", "messaging_prefixpause"),
                    _admin_link(_("In the app"), "notifications", "messaging_notification"),
                    _admin_link(_("Wordings"), "edit_note", "messaging_templateversion"),
                    _admin_link(_("Said stop"), "notifications_off", "messaging_optout"),
                    _admin_link(_("Preferences"), "tune", "messaging_messagepreference"),
                ],
            },
            {
                "title": _("People"),
                "items": [
                    _admin_link(_("Users"), "person", "accounts_user"),
                    _admin_link(_("Sessions"), "devices", "accounts_authsession"),
                    _admin_link(_("Codes"), "pin", "accounts_verificationcode"),
                    _admin_link(_("Connected accounts"), "link", "socialaccount_socialaccount"),
                ],
            },
            {
                "title": _("Organisations"),
                "items": [
                    _admin_link(_("Organisations"), "apartment", "tenants_tenant"),
                    _admin_link(_("Memberships"), "group", "tenants_membership"),
                    _admin_link(_("Invitations"), "mail", "tenants_invitation"),
                    _admin_link(_("API keys"), "key", "tenants_apikey"),
                ],
            },
            {
                "title": _("Operation"),
                "items": [
                    _admin_link(_("Outbox"), "outbox", "outbox_outboxevent"),
                    _admin_link(_("Audit log"), "history", "audit_auditentry"),
                ],
            },
        ]
    },
}
