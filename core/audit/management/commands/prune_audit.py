"""`manage.py prune_audit --keep-days 730`: the only way in which audit lines go."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, connection
from django.utils import timezone

from core.append_only import removal_allowed
from core.audit.actions import Action
from core.audit.models import AuditEntry
from core.audit.record import record


class Command(BaseCommand):
    help = (
        "Remove audit lines that are older than --keep-days, and leave one that says so. Run it as the owner of the "
        "tables (the role that migrates): nobody else may take the guard off."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--keep-days", type=int, required=True, help="Whole days, 30 at least.")

    def handle(self, *args: Any, keep_days: int, **options: Any) -> None:
        if keep_days < 30:
            raise CommandError("Keep 30 days at least: what happened last month is still being asked about.")
        table = AuditEntry._meta.db_table
        limit = connection.ops.adapt_datetimefield_value(timezone.now() - timedelta(days=keep_days))
        try:
            with removal_allowed(table), connection.cursor() as cursor:
                cursor.execute(f"DELETE FROM {table} WHERE at < %s", [limit])  # noqa: S608  a table of ours
                removed = cursor.rowcount
                record(Action.AUDIT_PRUNED, data={"rows": removed, "keep_days": keep_days})
        except ProgrammingError as error:
            raise CommandError(f"Run it as the owner of the tables. The database says: {error}") from error
        self.stdout.write(f"{removed} audit lines removed.")
