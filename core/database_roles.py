"""Roles for PostgreSQL, so that the second wall between tenants holds whatever the application does.

`faraja_app` is for web and workers: it owns nothing and sees rows through row-level security only. `faraja_system` is
for the admin (DATABASE_SYSTEM_URL): it looks across tenants. Neither can rewrite history or empty a table, and neither
runs migrations: the owner of the tables does.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.db import DatabaseError, connection
from django.db.backends.base.base import BaseDatabaseWrapper

from core.append_only import APPEND_ONLY_FUNCTION
from core.tenancy import TenantModel

logger = logging.getLogger("faraja.walls")

APP_ROLE, SYSTEM_ROLE = "faraja_app", "faraja_system"
HOW = "Make roles with `manage.py database_roles` as a superuser, and give the application the URL of faraja_app."


class RolesRefused(Exception):
    """The roles cannot be made as things stand. Says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """One role to make. `password` None leaves the one it has."""

    name: str
    password: str | None
    may_bypass: bool


def missing_roles(database: BaseDatabaseWrapper, names: Sequence[str]) -> set[str]:
    """Which of `names` are no roles yet."""
    with database.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", [list(names)])
        return set(names) - {row[0] for row in cursor.fetchall()}


def make_roles(database: BaseDatabaseWrapper, *, app: Role, system: Role) -> None:
    """Create both roles or bring them in line; safe to repeat, and to be repeated after migrations.

    `database` is a connection of a superuser. `RolesRefused` when a role owns tables here.
    """
    with database.cursor() as cursor:
        for role in (app, system):
            _make_role(cursor, role)
            _grant(cursor, role.name, database)


def _make_role(cursor: Any, role: Role) -> None:
    from psycopg import sql

    name = sql.Identifier(role.name)
    cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", [role.name])
    if cursor.fetchone() is None:
        cursor.execute(sql.SQL("CREATE ROLE {}").format(name))
    bypass = sql.SQL("BYPASSRLS" if role.may_bypass else "NOBYPASSRLS")
    cursor.execute(
        sql.SQL("ALTER ROLE {} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION {}").format(name, bypass)
    )
    if role.password is not None:
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(role.password)))
    cursor.execute(
        "SELECT owner.rolname FROM pg_auth_members m JOIN pg_roles member ON member.oid = m.member"
        " JOIN pg_roles owner ON owner.oid = m.roleid WHERE member.rolname = %s",
        [role.name],
    )
    for (group,) in cursor.fetchall():  # a member of the owner's role could do what the owner can
        cursor.execute(sql.SQL("REVOKE {} FROM {}").format(sql.Identifier(group), name))
    cursor.execute("SELECT tablename FROM pg_tables WHERE tableowner = %s", [role.name])
    owned = [row[0] for row in cursor.fetchall()]
    if owned:
        raise RolesRefused(
            f"{role.name} owns tables ({', '.join(sorted(owned)[:3])}, ...), and an owner can take the walls down. "
            f"Give them to another role first: REASSIGN OWNED BY {role.name} TO ...;"
        )


def _grant(cursor: Any, name: str, database: BaseDatabaseWrapper) -> None:
    from psycopg import sql

    role = sql.Identifier(name)

    def run(text: str, **parts: sql.Composable) -> None:
        cursor.execute(sql.SQL(text).format(role=role, **parts))

    run("GRANT CONNECT ON DATABASE {db} TO {role}", db=sql.Identifier(str(database.settings_dict["NAME"])))
    run("REVOKE CREATE ON SCHEMA public FROM {role}, PUBLIC")
    run("GRANT USAGE ON SCHEMA public TO {role}")
    # From nothing upwards, so that what an earlier version or a person granted does not stay.
    run("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {role}")
    run("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {role}")
    run("GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}")
    cursor.execute(
        "SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid"
        " JOIN pg_class c ON c.oid = t.tgrelid WHERE p.proname = %s",
        [APPEND_ONLY_FUNCTION],
    )
    for (table,) in cursor.fetchall():
        run("REVOKE UPDATE, DELETE ON {table} FROM {role}", table=sql.Identifier(table))
    # Tables of later migrations. Append-only ones among them are told apart by the next run of the command.
    cursor.execute("SELECT tableowner FROM pg_tables WHERE schemaname = 'public' UNION SELECT current_user::text")
    for (owner,) in cursor.fetchall():
        each = sql.Identifier(owner)
        defaults = "ALTER DEFAULT PRIVILEGES FOR ROLE {owner} IN SCHEMA public GRANT "
        run(defaults + "SELECT, INSERT, UPDATE, DELETE ON TABLES TO {role}", owner=each)
        run(defaults + "USAGE, SELECT ON SEQUENCES TO {role}", owner=each)


def tenant_tables() -> list[str]:
    """Every table whose rows belong to a tenant."""
    return sorted(model._meta.db_table for model in apps.get_models() if issubclass(model, TenantModel))


def wall_faults(database: BaseDatabaseWrapper) -> list[str]:
    """Why row-level security does not hold the connected role; empty when it does. PostgreSQL only."""
    faults = []
    with database.cursor() as cursor:
        cursor.execute("SELECT current_user, rolsuper, rolbypassrls FROM pg_roles WHERE rolname = current_user")
        name, is_super, may_bypass = cursor.fetchone()
        if is_super:
            faults.append(f"the database role {name} is a superuser, whom row-level security does not hold")
        elif may_bypass:
            faults.append(f"the database role {name} has BYPASSRLS")
        cursor.execute(
            "SELECT relname, relrowsecurity, relforcerowsecurity, pg_has_role(current_user, relowner, 'USAGE')"
            " FROM pg_class WHERE relname = ANY(%s) AND relkind IN ('r', 'p')",
            [tenant_tables()],
        )
        for table, has_security, is_forced, is_owned in sorted(cursor.fetchall()):
            if not has_security:
                faults.append(f"{table} has no row-level security")
            elif is_owned and not is_forced and not is_super:
                faults.append(f"{name} owns {table}, whose row-level security is not forced on owners")
    return faults


def log_walls() -> None:
    """One line at start: which walls stand between tenants. A database that does not answer is told elsewhere."""
    if connection.vendor != "postgresql":
        logger.info("SQLite has the first wall between tenants (filtered managers), not the second")
        return
    try:
        faults = wall_faults(connection)
    except DatabaseError:
        logger.warning("the second wall between tenants could not be looked at: the database does not answer")
        return
    finally:
        connection.close()
    if faults:
        logger.warning("the second wall between tenants is not standing: %s. %s", "; ".join(faults), HOW)
    else:
        logger.info("both walls between tenants stand")
