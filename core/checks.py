"""System checks of `manage.py check --deploy`."""

from __future__ import annotations

from typing import Any

from django.core.checks import CheckMessage, Warning
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
        return [Warning(told, hint="Repeat the check where the database answers.", id="faraja.W002")]
    if not faults:
        return []
    told = f"The second wall between tenants is not standing: {'; '.join(faults)}."
    return [Warning(told, hint=HOW, id="faraja.W001")]
