"""System checks of `manage.py check --deploy`."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Info, Warning
from django.db import DatabaseError, connection

from core.database_roles import HOW, wall_faults


def check_walls(**_kwargs: Any) -> list[CheckMessage]:
    """Whether row-level security holds the role that the application connects as."""
    if connection.vendor != "postgresql":
        return []  # production refuses SQLite anyway
    try:
        faults = wall_faults(connection)
    except DatabaseError as error:
        told = f"The second wall between tenants could not be looked at: {type(error).__name__}."
        # Not a fault of the settings, which are what is checked here.
        return [Info(told, hint="Repeat the check where the database answers.", id="faraja.I002")]
    if not faults:
        return []
    told = f"The second wall between tenants is not standing: {'; '.join(faults)}."
    return [Warning(told, hint=HOW, id="faraja.W001")]


def check_admin_needs_second_factor(**_kwargs: Any) -> list[CheckMessage]:
    """Whether a stolen password is enough to work in the admin, which looks across tenants."""
    if settings.ADMIN_REQUIRES_MFA:
        return []
    told = "Staff may sign in to the admin, which sees every tenant, by a password alone."
    hint = "Set ADMIN_REQUIRES_MFA=true; staff get a second factor by: manage.py mfa set-up <e-mail>"
    return [Warning(told, hint=hint, id="faraja.W003")]
