"""Queries whose SQL is made once. Django builds and compiles a queryset anew each time it is used, which costs far more
than running it; a hot selector does that once per process.

    @compiled
    def _session(session_id: Slot) -> QuerySet[AuthSession]:
        return AuthSession.objects.select_related("user").filter(pk=session_id)

    rows = _session(session_id=some_uuid)  # a list of instances, as `list(queryset)` gives

The function is called with a `Slot` for each of its parameters, the first time it is needed. A slot stands where a
value would: on the right of a plain comparison of a field. Anything whose SQL depends on a value (None, an `__in`, an
optional filter) is another query and needs another function. `prefetch_related` is not supported. Rows of tenants are
those of the tenant in scope at each call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import update_wrapper
from threading import Lock
from typing import Any, Generic, TypeVar

from django.conf import settings
from django.core.exceptions import FieldError
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Field, Model, QuerySet
from django.db.models.expressions import Expression
from django.db.models.query import ModelIterable, get_related_populators

from core.tenancy import current_tenant_id, tenant_scope

M = TypeVar("M", bound=Model)


class Slot(Expression):
    """The place of one argument in a compiled query."""

    allowed_default = True
    contains_aggregate = contains_over_clause = False

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def resolve_expression(self, *_args: Any, **_kwargs: Any) -> Slot:
        return self

    def as_sql(self, *_args: Any, **_kwargs: Any) -> Any:
        return "%s", [self]

    def __repr__(self) -> str:
        return f"Slot({self.name})"


# What the managers of tenants' models filter by while a query is compiled.
TENANT = Slot("tenant in scope")


@dataclass(frozen=True, slots=True)
class _Plan(Generic[M]):
    """All that Django works out about a queryset on one database."""

    sql: str
    params: tuple[Any, ...]
    model: type[M]
    start: int
    end: int
    names: list[str]
    populators: list[Any]
    annotations: list[tuple[str, int]]
    converters: dict[int, tuple[list[Any], Any]]


class Compiled(Generic[M]):
    """A queryset with slots, compiled once per database."""

    def __init__(self, build: Callable[..., QuerySet[M]]) -> None:
        update_wrapper(self, build)
        self._build = build
        self._names = tuple(inspect.signature(build).parameters)
        self._plans: dict[str, tuple[_Plan[M], dict[str, Field[Any, Any]]]] = {}
        self._lock = Lock()

    def __call__(self, **arguments: Any) -> list[M]:
        """The rows for these arguments. None is no argument: SQL compares it otherwise (`ValueError`)."""
        alias = "default"
        found = self._plans.get(alias) or self._compile(alias)
        plan, fields = found
        connection = connections[alias]
        values = {
            name: _prepared(fields[name], arguments.pop(name), connection) if name in fields else arguments.pop(name)
            for name in self._names
        }
        if arguments:
            raise TypeError(f"{self._build.__name__} has no {', '.join(arguments)}.")
        if TENANT.name in fields:
            values[TENANT.name] = _prepared(fields[TENANT.name], current_tenant_id(), connection)
        params = [values[each.name] if isinstance(each, Slot) else each for each in plan.params]
        return [_instance(plan, row, alias) for row in _converted(plan, fetch_all(plan.sql, params, connection))]

    def first(self, **arguments: Any) -> M | None:
        """The first of the rows, or None."""
        rows = self(**arguments)
        return rows[0] if rows else None

    def _compile(self, alias: str) -> tuple[_Plan[M], dict[str, Field[Any, Any]]]:
        with self._lock:
            if alias in self._plans:
                return self._plans[alias]
            with tenant_scope(TENANT):  # type: ignore[arg-type]
                queryset = self._build(**{name: Slot(name) for name in self._names})
            if queryset._prefetch_related_lookups or queryset._iterable_class is not ModelIterable:  # type: ignore[attr-defined]
                raise FieldError("A compiled query gives instances, without prefetch_related.")
            compiler = queryset.query.get_compiler(using=alias)
            sql, params = compiler.as_sql()
            shape = compiler.klass_info
            start, end = shape["select_fields"][0], shape["select_fields"][-1] + 1
            plan: _Plan[M] = _Plan(
                sql=sql,
                params=tuple(params),
                model=shape["model"],
                start=start,
                end=end,
                names=[column[0].target.attname for column in compiler.select[start:end]],
                populators=get_related_populators(shape, compiler.select, alias),  # type: ignore[call-arg]
                annotations=list((compiler.annotation_col_map or {}).items()),
                converters=compiler.get_converters([column[0] for column in compiler.select]),
            )
            self._plans[alias] = plan, dict(_fields_of_slots(queryset))
            return self._plans[alias]


def compiled(build: Callable[..., QuerySet[M]]) -> Compiled[M]:
    """Decorator: see the module."""
    return Compiled(build)


def fetch_all(sql: str, params: Sequence[Any], connection: BaseDatabaseWrapper) -> list[Any]:
    """The rows of one statement. On PostgreSQL it is prepared at the server, unless somebody is looking on.

    Django's own cursor puts the values into the text and has it parsed each time.
    """
    is_watched = connection.execute_wrappers or connection.queries_logged
    if connection.vendor != "postgresql" or is_watched or not settings.DATABASE_PREPARES:
        with connection.cursor() as cursor:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
    import psycopg

    connection.close_if_health_check_failed()
    connection.ensure_connection()
    connection.validate_no_broken_transaction()
    with connection.wrap_database_errors, psycopg.Cursor(connection.connection) as cursor:
        return cursor.execute(sql, params, prepare=True).fetchall()


def _fields_of_slots(queryset: QuerySet[Any]) -> Iterator[tuple[str, Field[Any, Any]]]:
    """Which field each slot is compared with: it knows how the database wants the value."""
    nodes: list[Any] = [queryset.query.where]
    while nodes:
        node = nodes.pop()
        nodes += getattr(node, "children", [])
        sides = getattr(node, "rhs", None)
        for side in sides if isinstance(sides, list | tuple) else [sides]:
            if isinstance(side, Slot):
                yield side.name, node.lhs.output_field


def _prepared(field: Field[Any, Any], value: Any, connection: BaseDatabaseWrapper) -> Any:
    if value is None:
        raise ValueError("None is no argument of a compiled query.")
    return field.get_db_prep_value(value, connection, prepared=False)


def _converted(plan: _Plan[Any], rows: list[Any]) -> list[Any]:
    if not plan.converters:
        return rows
    connection, changed = connections["default"], []
    for row in rows:
        values = list(row)
        for place, (converters, expression) in plan.converters.items():
            for convert in converters:
                values[place] = convert(values[place], expression, connection)
        changed.append(values)
    return changed


def _instance(plan: _Plan[M], row: Any, alias: str) -> M:
    """As `django.db.models.query.ModelIterable` makes it."""
    instance = plan.model.from_db(alias, plan.names, row[plan.start : plan.end])
    for populator in plan.populators:
        populator.populate(row, instance)
    for name, place in plan.annotations:
        setattr(instance, name, row[place])
    return instance
