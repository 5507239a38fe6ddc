"""`manage.py database_roles`: the PostgreSQL roles behind which the second wall between tenants stands."""

from __future__ import annotations

import secrets
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import ProgrammingError, connection, transaction

from core.database_roles import APP_ROLE, SYSTEM_ROLE, Role, RolesRefused, make_roles, missing_roles


class Command(BaseCommand):
    help = (
        "Create or update the application's database roles. Run it with DATABASE_URL naming a superuser, after the "
        "first migrate and again after migrations that add append-only tables."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--app-password", help="Of the application's role; a new role without one gets a random one."
        )
        parser.add_argument("--system-password", help="Of the admin's role; likewise.")
        parser.add_argument("--app-role", default=APP_ROLE, help=f"Its name, if not {APP_ROLE}.")
        parser.add_argument("--system-role", default=SYSTEM_ROLE, help=f"Its name, if not {SYSTEM_ROLE}.")

    def handle(
        self,
        *args: Any,
        app_password: str | None,
        system_password: str | None,
        app_role: str,
        system_role: str,
        **options: Any,
    ) -> None:
        if connection.vendor != "postgresql":
            self.stdout.write("SQLite has no roles: nothing to do.")
            return
        new = missing_roles(connection, [app_role, system_role])
        roles = {
            "app": Role(name=app_role, password=app_password or _generated(app_role in new), may_bypass=False),
            "system": Role(
                name=system_role, password=system_password or _generated(system_role in new), may_bypass=True
            ),
        }
        try:
            with transaction.atomic():
                make_roles(connection, **roles)
        except RolesRefused as refusal:
            raise CommandError(str(refusal)) from None
        except ProgrammingError as error:
            raise CommandError(f"Run it as a superuser of the database. PostgreSQL says: {error}") from error
        given = {"app": app_password, "system": system_password}
        for kind, variable in (("app", "DATABASE_URL"), ("system", "DATABASE_SYSTEM_URL")):
            role = roles[kind]
            told = f"{role.name} is ready, for {variable}"
            if role.password is not None and given[kind] is None:
                told += f". Password, shown this once: {role.password}"
            self.stdout.write(told)


def _generated(is_new: bool) -> str | None:
    """A password for a role that has none; letters and digits, because it goes into an address."""
    return secrets.token_hex(24) if is_new else None
