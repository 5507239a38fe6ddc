"""Row-level security and keys within the tenant for its tables, and a history that nobody can rewrite."""

from __future__ import annotations

from django.db import migrations

from core.append_only import append_only
from core.tenancy import row_level_security, tenant_foreign_keys


class Migration(migrations.Migration):
    dependencies = [("payments", "0001_initial")]

    operations = [
        *row_level_security("payments_payment", "payments_attempt", "payments_observation", "payments_paymentevent"),
        *tenant_foreign_keys(
            ("payments_payment", "applied_attempt_id", "payments_attempt"),
            ("payments_attempt", "payment_id", "payments_payment"),
            ("payments_observation", "attempt_id", "payments_attempt"),
            ("payments_paymentevent", "payment_id", "payments_payment"),
        ),
        *append_only("payments_observation", "payments_paymentevent"),
    ]
