"""Row-level security for the tenant's tables."""

from django.db import migrations

from core.tenancy import row_level_security


class Migration(migrations.Migration):
    dependencies = [("messaging", "0001_initial")]

    operations = [*row_level_security("messaging_message", "messaging_deliveryreport")]
