"""Row-level security and keys within the tenant for its tables, and a history that nobody can rewrite."""

from __future__ import annotations

from django.db import migrations

from core.append_only import append_only
from core.tenancy import row_level_security, tenant_foreign_keys


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [
        *row_level_security(
            "payments_gatewayaccount",
            "payments_payment",
            "payments_attempt",
            "payments_observation",
            "payments_paymentevent",
            "payments_ledgerline",
            "payments_refund",
            "payments_payout",
        ),
        *tenant_foreign_keys(
            ("payments_payment", "applied_attempt_id", "payments_attempt"),
            ("payments_attempt", "payment_id", "payments_payment"),
            ("payments_attempt", "account_id", "payments_gatewayaccount"),
            ("payments_observation", "attempt_id", "payments_attempt"),
            ("payments_observation", "refund_id", "payments_refund"),
            ("payments_observation", "payout_id", "payments_payout"),
            ("payments_paymentevent", "payment_id", "payments_payment"),
            ("payments_paymentevent", "payout_id", "payments_payout"),
            ("payments_refund", "payment_id", "payments_payment"),
            ("payments_refund", "attempt_id", "payments_attempt"),
            ("payments_refund", "account_id", "payments_gatewayaccount"),
            ("payments_payout", "account_id", "payments_gatewayaccount"),
            ("payments_ledgerline", "account_id", "payments_gatewayaccount"),
            ("payments_ledgerline", "payment_id", "payments_payment"),
            ("payments_ledgerline", "attempt_id", "payments_attempt"),
            ("payments_ledgerline", "refund_id", "payments_refund"),
            ("payments_ledgerline", "payout_id", "payments_payout"),
        ),
        *append_only("payments_observation", "payments_paymentevent", "payments_ledgerline"),
    ]
