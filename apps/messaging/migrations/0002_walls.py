"""Row-level security and keys within the tenant for its tables, and versions that nobody can rewrite."""

from django.db import migrations

from core.append_only import append_only
from core.tenancy import row_level_security, tenant_foreign_keys


class Migration(migrations.Migration):
    dependencies = [("messaging", "0001_initial")]

    operations = [
        *row_level_security(
            "messaging_message",
            "messaging_messagetry",
            "messaging_deliveryreport",
            "messaging_budget",
            "messaging_notification",
        ),
        *tenant_foreign_keys(
            ("messaging_message", "repeats_id", "messaging_message"),
            ("messaging_messagetry", "message_id", "messaging_message"),
            ("messaging_deliveryreport", "message_id", "messaging_message"),
        ),
        *append_only("messaging_templateversion"),
    ]
