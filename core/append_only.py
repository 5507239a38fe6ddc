"""Tables whose rows are written once: the database itself refuses to change or to remove them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

# The trigger function on PostgreSQL; `core.database_roles` knows append-only tables by it.
APPEND_ONLY_FUNCTION = "refuse_change"


def append_only(*tables: str) -> Sequence[Any]:
    """Migration operations that make the database refuse UPDATE and DELETE on `tables`."""
    from django.db import migrations

    def up(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            # One function for the tables of every app, whichever is migrated first; so none takes it down again.
            schema_editor.execute(
                f"CREATE OR REPLACE FUNCTION {APPEND_ONLY_FUNCTION}() RETURNS trigger LANGUAGE plpgsql AS "
                "$$ BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME; END $$",
                params=None,
            )
        for table in tables:
            for statement in _raise(schema_editor.connection, table):
                schema_editor.execute(statement)

    def down(apps: Any, schema_editor: Any) -> None:
        for table in tables:
            for statement in _drop(schema_editor.connection, table):
                schema_editor.execute(statement)

    return [migrations.RunPython(up, down)]


@contextmanager
def removal_allowed(table: str) -> Iterator[None]:
    """Take the guard off `table` inside the block, in one transaction. Only the owner of the table may.

    For pruning by an operator; nothing that serves requests connects as the owner where the roles are made.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        for statement in _drop(connection, table):
            cursor.execute(statement)
        yield
        for statement in _raise(connection, table):
            cursor.execute(statement)


def _raise(database: BaseDatabaseWrapper, table: str) -> list[str]:
    if database.vendor == "postgresql":
        return [
            f"CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {APPEND_ONLY_FUNCTION}()"
        ]
    return [
        f"CREATE TRIGGER {table}_no_{change.lower()} BEFORE {change} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for change in ("UPDATE", "DELETE")
    ]


def _drop(database: BaseDatabaseWrapper, table: str) -> list[str]:
    if database.vendor == "postgresql":
        return [f"DROP TRIGGER {table}_append_only ON {table}"]
    return [f"DROP TRIGGER {table}_no_{change}" for change in ("update", "delete")]
