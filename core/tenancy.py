"""Whose room it is. Two walls between tenants:

1. `TenantModel` managers filter by the tenant in scope, and raise outside one;
2. on PostgreSQL, row-level security compares `tenant_id` with `app.tenant_id`, which `tenant_atomic` sets at the start
   of each transaction (never for the session: that would leak through persistent connections).

The authenticator or the outbox relay opens the scope. Headers, paths and bodies never do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec, TypeVar
from uuid import UUID

from django.conf import settings
from django.db import connection, models, transaction

from core import context

P = ParamSpec("P")
R = TypeVar("R")
M = TypeVar("M", bound="TenantModel")

_current = context.tenant_id
# What `tenant_transaction` has told PostgreSQL in this thread's transaction, so that it need not be told again.
_told = threading.local()


class TenantContextMissing(RuntimeError):
    """Tenant rows were touched outside a tenant scope: a defect, never a client's fault."""


def find_current_tenant_id() -> UUID | None:
    """The tenant in scope, or None."""
    return _current.get()


def current_tenant_id() -> UUID:
    """The tenant in scope, or `TenantContextMissing`."""
    tenant_id = _current.get()
    if tenant_id is None:
        raise TenantContextMissing("No tenant is in scope here.")
    return tenant_id


def enter_tenant(tenant_id: UUID | None) -> None:
    """Open a tenant's room until the surrounding `outside_tenants` ends. For authenticators and the relay."""
    _current.set(tenant_id)


@contextmanager
def outside_tenants() -> Iterator[None]:
    """Begin in no room, and whatever is entered inside the block is left at its end. One request, or one event."""
    token = _current.set(None)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def tenant_scope(tenant_id: UUID) -> Iterator[None]:
    """Work in `tenant_id`'s room inside the block, then return to wherever we were before."""
    token = _current.set(tenant_id)
    try:
        yield
    finally:
        _current.reset(token)


@contextmanager
def tenant_transaction() -> Iterator[None]:
    """A transaction (or savepoint) that PostgreSQL's row-level security knows to be in the tenant's scope.

    Outside any tenant the setting is empty and the policies show nothing.
    """
    is_outermost = not connection.in_atomic_block
    wanted, told = _scope_text(_current.get()), None if is_outermost else _told_scope()
    with transaction.atomic():
        if connection.vendor != "postgresql":
            yield
            return
        before = wanted if told == wanted else _set_row_scope(wanted)
        _told.scope = wanted
        try:
            yield
        finally:
            _told.scope = told
        # The end of the outermost transaction forgets the setting, and a rollback restores it; only a finished
        # inner block has to put it back.
        if not is_outermost and before != wanted:
            _set_row_scope(before)


@contextmanager
def joined_transaction() -> Iterator[None]:
    """Nothing inside a transaction of this tenant's, else a `tenant_transaction`.

    It saves the savepoint. For what only reads, and for what nobody goes on after in the same transaction if it fails.
    """
    is_inside = connection.vendor != "postgresql" or _told_scope() == _scope_text(_current.get())
    if connection.in_atomic_block and is_inside:
        yield
        return
    with tenant_transaction():
        yield


def _told_scope() -> str | None:
    scope: str | None = getattr(_told, "scope", None)
    return scope


def _scope_text(tenant_id: UUID | None) -> str:
    return str(tenant_id) if tenant_id else ""


def _set_row_scope(scope: str) -> str:
    """Set `app.tenant_id` for this transaction; return what it was."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH before AS MATERIALIZED (SELECT COALESCE(current_setting('app.tenant_id', true), '') AS tenant)"
            " SELECT before.tenant, set_config('app.tenant_id', %s, true) FROM before",
            [scope],
        )
        return str(cursor.fetchone()[0])


def tenant_atomic(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: run a use case in `tenant_transaction`. A bare `transaction.atomic` would skip the second wall."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with tenant_transaction():
            return function(*args, **kwargs)

    return inside


def tenant_joined(function: Callable[P, R]) -> Callable[P, R]:
    """Decorator: run a function that only reads in `joined_transaction`."""

    @wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with joined_transaction():
            return function(*args, **kwargs)

    return inside


class TenantQuerySet(models.QuerySet[M]):
    """New rows belong to the tenant in scope."""

    def bulk_create(self, objs: Iterable[M], *args: Any, **kwargs: Any) -> list[M]:
        rows = list(objs)
        for row in rows:
            row.claim_for_current_tenant()
        return super().bulk_create(rows, *args, **kwargs)


class TenantManager(models.Manager[M]):
    """Rows of the tenant in scope; raises outside one (an empty answer would hide the defect)."""

    def get_queryset(self) -> TenantQuerySet[M]:
        return TenantQuerySet[M](self.model, using=self._db).filter(tenant_id=current_tenant_id())


def rows_of_every_tenant(model: type[M]) -> models.QuerySet[M]:
    """Rows of every tenant, for the platform's staff and nobody else. A test keeps the list of those who say so.

    On PostgreSQL the second wall stands before them too; `DATABASE_SYSTEM_URL` names a role that may look over it.
    """
    rows: models.QuerySet[M] = model.unscoped.using(settings.ADMIN_DATABASE)
    return rows


class TenantModel(models.Model):
    """A row that belongs to one tenant for ever."""

    tenant = models.ForeignKey("tenants.Tenant", on_delete=models.PROTECT, related_name="+", editable=False)

    objects: TenantManager[Any] = TenantManager()
    # For `rows_of_every_tenant` and migrations only; a test keeps the list of modules that say `unscoped`.
    unscoped = models.Manager()

    class Meta:
        abstract = True
        # Related lookups and `refresh_from_db` use the base manager: it must be the filtered one too.
        base_manager_name = "objects"
        default_manager_name = "objects"

    def save(self, *args: Any, **kwargs: Any) -> None:
        self.claim_for_current_tenant()
        super().save(*args, **kwargs)

    def claim_for_current_tenant(self) -> None:
        """Give a new row to the tenant in scope; refuse to touch another tenant's."""
        tenant_id = current_tenant_id()
        owner: UUID | None = self.tenant_id
        if owner is None:
            self.tenant_id = tenant_id
        elif owner != tenant_id:
            raise TenantContextMissing("A row of another tenant cannot be written in this scope.")


def row_level_security(*tables: str) -> Sequence[Any]:
    """Migration operations that put `tables` behind the second wall (PostgreSQL; a no-op elsewhere).

    FORCE, so that the owner of the tables is held too. NULLIF, because the setting is an empty text, not NULL, once a
    connection has used it; the sub-select is evaluated once per statement.
    """
    from django.db import migrations

    scope = "tenant_id = (SELECT NULLIF(current_setting('app.tenant_id', true), '')::uuid)"

    def up(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            for table in tables:
                quoted = schema_editor.quote_name(table)
                schema_editor.execute(f"ALTER TABLE {quoted} ENABLE ROW LEVEL SECURITY")
                schema_editor.execute(f"ALTER TABLE {quoted} FORCE ROW LEVEL SECURITY")
                schema_editor.execute(f"CREATE POLICY tenant ON {quoted} USING ({scope}) WITH CHECK ({scope})")

    def down(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            for table in tables:
                quoted = schema_editor.quote_name(table)
                schema_editor.execute(f"DROP POLICY tenant ON {quoted}")
                schema_editor.execute(f"ALTER TABLE {quoted} NO FORCE ROW LEVEL SECURITY")
                schema_editor.execute(f"ALTER TABLE {quoted} DISABLE ROW LEVEL SECURITY")

    return [migrations.RunPython(up, down)]


def tenant_foreign_keys(*keys: tuple[str, str, str]) -> Sequence[Any]:
    """Migration operations that bind `(child table, column, parent table)` within one tenant (PostgreSQL only).

    The checks of ordinary foreign keys pass row-level security, so they accept another tenant's row. These compare
    `(tenant_id, column)` with the parent's unique `(tenant_id, id)`.
    """
    from django.db import migrations

    def up(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            for child, column, parent in keys:
                quote = schema_editor.quote_name
                schema_editor.execute(
                    f"ALTER TABLE {quote(child)} ADD CONSTRAINT {quote(f'{child}_{column}_in_tenant')}"
                    f" FOREIGN KEY (tenant_id, {quote(column)}) REFERENCES {quote(parent)} (tenant_id, id)"
                    " DEFERRABLE INITIALLY IMMEDIATE"
                )

    def down(apps: Any, schema_editor: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            for child, column, _parent in keys:
                quote = schema_editor.quote_name
                schema_editor.execute(
                    f"ALTER TABLE {quote(child)} DROP CONSTRAINT {quote(f'{child}_{column}_in_tenant')}"
                )

    return [migrations.RunPython(up, down)]
