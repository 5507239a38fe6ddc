"""Row-level security and keys within the tenant for its tables, and a history that nobody can rewrite."""

from __future__ import annotations

from typing import Any

from django.db import migrations

from core.tenancy import row_level_security, tenant_foreign_keys

APPEND_ONLY = ("payments_observation", "payments_paymentevent")


def forbid_changes(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(
            "CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
            params=None,
        )
        for table in APPEND_ONLY:
            schema_editor.execute(
                f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
                "FOR EACH ROW EXECUTE FUNCTION refuse_change()"
            )
    else:
        for table in APPEND_ONLY:
            for change in ("UPDATE", "DELETE"):
                schema_editor.execute(
                    f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
                    f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
                )


def allow_changes(apps: Any, schema_editor: Any) -> None:
    for table in APPEND_ONLY:
        if schema_editor.connection.vendor == "postgresql":
            schema_editor.execute(f"DROP TRIGGER {table}_append_only ON {table}")
        else:
            for change in ("update", "delete"):
                schema_editor.execute(f"DROP TRIGGER {table}_no_{change}")
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("DROP FUNCTION refuse_change()")


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
        migrations.RunPython(forbid_changes, allow_changes),
    ]
