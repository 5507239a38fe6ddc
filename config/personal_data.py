"""Who stores something about a person. An app that begins to adds its functions here, and nothing else changes."""

from __future__ import annotations

from apps.accounts.selectors import (
    export_codes,
    export_email_links,
    export_factors,
    export_sessions,
    export_social_accounts,
)
from apps.accounts.services.deletion import redact_person
from apps.messaging.selectors.messages import export_messages
from apps.messaging.selectors.notifications import export_notifications
from apps.messaging.selectors.people import export_opt_outs, export_preferences
from apps.messaging.selectors.suppression import export_suppressions
from apps.messaging.services.deletion import erase_choices, erase_messages, erase_notifications
from apps.messaging.services.suppression import erase_suppressions
from apps.payments.selectors.personal import export_payments, export_payouts, export_refunds
from apps.tenants.selectors.exports import export_api_keys, export_invitations, export_memberships
from apps.tenants.services.deletion import erase_from_tenants
from core.personal_data import PersonalData

PERSONAL_DATA = PersonalData(
    exports={
        "sessions": export_sessions,
        "email_links": export_email_links,
        "phone_codes": export_codes,
        "second_factors": export_factors,
        "login_providers": export_social_accounts,
        "memberships": export_memberships,
        "invitations": export_invitations,
        "api_keys": export_api_keys,
        "payments": export_payments,
        "refunds": export_refunds,
        "payouts": export_payouts,
        "messages": export_messages,
        "notifications": export_notifications,
        "message_preferences": export_preferences,
        "message_opt_outs": export_opt_outs,
        "mail_suppressions": export_suppressions,
    },
    # Payments are the books of the tenant and stay: see docs/people.md. Memberships end after what is found through
    # them, and the account itself comes last.
    erasers=[
        erase_messages,
        erase_notifications,
        erase_choices,
        erase_suppressions,
        erase_from_tenants,
        redact_person,
    ],
)
