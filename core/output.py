"""Output serializers that find out once per class how to print an object, where DRF does it for every instance.

A serializer below is declared, documented and used as any other of DRF. The first time one of its class prints, the
plan is made: a reader and a printer for each field. Ordinary fields get short ones that give what DRF's give; whatever
is unusual (a field of another kind, a value that is not there) is left to the field itself. A class with a field that
could depend on the serializer it stands in (`SerializerMethodField`, a field that is not `is_pure`) has no plan and
prints as DRF does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Generic, TypeVar
from uuid import UUID

from django.db.models import Model
from django.utils import timezone
from rest_framework import fields, serializers
from rest_framework.fields import SkipField
from rest_framework.relations import PKOnlyObject
from rest_framework.settings import api_settings

T = TypeVar("T")
M = TypeVar("M", bound=Model)
Reader = Callable[[Any], Any]
Printer = Callable[[Any], Any]
Step = tuple[str, "fields.Field[Any, Any, Any, Any]", Reader | None, Printer]

# Of DRF, and known to look at nothing but the value and their own options.
PURE = frozenset(
    {
        fields.BooleanField,
        fields.CharField,
        fields.ChoiceField,
        fields.DateField,
        fields.DateTimeField,
        fields.DecimalField,
        fields.DictField,
        fields.EmailField,
        fields.IntegerField,
        fields.JSONField,
        fields.ListField,
        fields.ReadOnlyField,
        fields.SlugField,
        fields.URLField,
        fields.UUIDField,
    }
)


class _Planned:
    """What both bases share."""

    _plans: dict[type, list[Step] | None] = {}

    def to_representation(self, instance: Any) -> dict[str, Any]:
        kind = type(self)
        try:
            plan = _Planned._plans[kind]
        except KeyError:
            plan = _Planned._plans[kind] = _plan_of(kind)
        if plan is None or isinstance(instance, Mapping):
            return super().to_representation(instance)  # type: ignore[misc,no-any-return]
        printed: dict[str, Any] = {}
        for name, field, read, show in plan:
            try:
                value = read(instance) if read is not None else field.get_attribute(instance)
            except SkipField:
                continue
            except Exception:  # noqa: BLE001  the field knows what a missing value means
                try:
                    value = field.get_attribute(instance)
                except SkipField:
                    continue
            else:
                if callable(value):
                    value = field.get_attribute(instance)
            if value is None or (isinstance(value, PKOnlyObject) and value.pk is None):
                printed[name] = None
            else:
                printed[name] = show(value)
        return printed


class OutputSerializer(_Planned, serializers.Serializer[T], Generic[T]):
    """Prints any object. Never parses."""


class OutputModelSerializer(_Planned, serializers.ModelSerializer[M], Generic[M]):
    """Prints rows of one model. Never parses."""


def _plan_of(kind: type[Any]) -> list[Step] | None:
    # A prototype: the fields belong to it, and are asked by every instance of the class.
    readable = list(kind()._readable_fields)
    if not all(_is_pure(field) for field in readable):
        return None
    return [(str(field.field_name), field, _reader(field), _printer(field)) for field in readable]


def _is_pure(field: Any) -> bool:
    if isinstance(field, fields.ListField | fields.DictField) and type(field) in PURE:
        return _is_pure(field.child) or type(field.child) is fields._UnvalidatedField
    if isinstance(field, serializers.ListSerializer):
        return type(field) is serializers.ListSerializer and isinstance(field.child, _Planned)
    if isinstance(field, serializers.BaseSerializer):
        return isinstance(field, _Planned)
    return type(field) in PURE or getattr(type(field), "is_pure", False)


def _reader(field: Any) -> Reader | None:
    if type(field).get_attribute is not fields.Field.get_attribute or not field.source_attrs:
        return None
    return attrgetter(field.source)


def _printer(field: Any) -> Printer:
    own: Printer = field.to_representation
    return {
        fields.CharField.to_representation: _print_text,
        fields.UUIDField.to_representation: lambda value: str(value) if type(value) is UUID else own(value),
        fields.IntegerField.to_representation: lambda value: value if type(value) is int else own(value),
        fields.BooleanField.to_representation: lambda value: value if value is True or value is False else own(value),
        fields.ReadOnlyField.to_representation: lambda value: value,
        fields.DateTimeField.to_representation: _time_printer(field, own),
    }.get(_plainly(field), own)


def _plainly(field: Any) -> Any:
    """The method that prints for this field, where its options leave nothing special to do."""
    is_special = isinstance(field, fields.UUIDField) and field.uuid_format != "hex_verbose"
    return None if is_special else type(field).to_representation


def _print_text(value: Any) -> str:
    return value if type(value) is str else str(value)


def _time_printer(field: Any, own: Printer) -> Printer:
    wanted = getattr(field, "format", api_settings.DATETIME_FORMAT)
    if str(wanted).lower() != "iso-8601":
        return own

    def show(value: Any) -> Any:
        if type(value) is datetime and value.tzinfo is UTC and timezone.get_current_timezone_name() == "UTC":
            return value.isoformat()[:-6] + "Z"
        return own(value)

    return show
