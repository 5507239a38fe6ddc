"""Row-level security and keys within the tenant for its tables."""

from django.db import migrations

from core.tenancy import row_level_security, tenant_foreign_keys


class Migration(migrations.Migration):
    dependencies = [("messaging", "0001_initial")]

    operations = [
        *row_level_security(
            "messaging_message", "messaging_messagetry", "messaging_deliveryreport", "messaging_budget"
        ),
        *tenant_foreign_keys(
            ("messaging_message", "repeats_id", "messaging_message"),
            ("messaging_messagetry", "message_id", "messaging_message"),
            ("messaging_deliveryreport", "message_id", "messaging_message"),
        ),
    ]
