"""Planned serializers print exactly what DRF prints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.test import override_settings
from django.utils import timezone as clock
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import serializers

import config.urls  # noqa: F401  so that every serializer of the API exists
from core import output
from core.output import OutputModelSerializer, OutputSerializer

ZONES = [UTC, timezone(timedelta(hours=3)), ZoneInfo("UTC"), ZoneInfo("Africa/Dar_es_Salaam")]
times = st.datetimes() | st.datetimes(timezones=st.sampled_from(ZONES))
texts = st.text(max_size=20)
things = st.fixed_dictionaries(
    {
        "id": st.uuids() | st.none(),
        "name": texts | st.integers() | st.none() | st.just(lambda: "called"),
        "count": st.integers() | st.booleans() | st.sampled_from(["7", Decimal(3)]) | st.none(),
        "is_on": st.booleans() | st.sampled_from(["true", "no", 1, None]),
        "state": st.sampled_from(["open", "shut", "", None, "other"]),
        "at": times | st.none(),
        "day": st.dates() | st.none(),
        "price": st.decimals(min_value=-999, max_value=999, places=2) | st.none(),
        "tags": st.lists(texts, max_size=3) | st.none(),
        "notes": st.dictionaries(texts, st.integers(), max_size=3),
        "inner": st.builds(SimpleNamespace, name=texts, at=times) | st.none(),
        "parts": st.lists(st.builds(SimpleNamespace, name=texts, at=times), max_size=3),
    }
)


class Inner:
    name = serializers.CharField()
    at = serializers.DateTimeField()


class Outer:
    id = serializers.UUIDField()
    short = serializers.UUIDField(source="id", format="hex")
    name = serializers.CharField()
    count = serializers.IntegerField()
    is_on = serializers.BooleanField()
    state = serializers.ChoiceField(choices=["open", "shut"], allow_blank=True)
    at = serializers.DateTimeField()
    year = serializers.DateTimeField(source="at", format="%Y")
    raw = serializers.ReadOnlyField(source="at")
    day = serializers.DateField()
    price = serializers.DecimalField(max_digits=6, decimal_places=2)
    tags = serializers.ListField(child=serializers.CharField())
    notes = serializers.DictField(child=serializers.IntegerField())
    deep = serializers.CharField(source="inner.name", required=False)
    deeper = serializers.CharField(source="inner.name.nothing", default="-")


def serializer_of(base: Any, declared: type, **more: Any) -> Any:
    fields = {name: value for name, value in vars(declared).items() if isinstance(value, serializers.Field)}
    return type(f"{base.__name__}{declared.__name__}", (base,), fields | more)


StockInner = serializer_of(serializers.Serializer, Inner)
PlannedInner = serializer_of(OutputSerializer, Inner)
Stock = serializer_of(serializers.Serializer, Outer, inner=StockInner(), parts=StockInner(many=True))
Planned = serializer_of(OutputSerializer, Outer, inner=PlannedInner(), parts=PlannedInner(many=True))
assert output._plan_of(Planned) is not None


def told(make: Any) -> Any:
    """What comes out, or what is raised."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001
        return type(error), str(error).replace("Planned", "").replace("OutputSerializer", "").replace("Serializer", "")


@given(things)
def test_every_kind_of_field_prints_as_drf_prints_it(thing):
    found = told(lambda: dict(Planned(SimpleNamespace(**thing)).data))

    assert found == told(lambda: dict(Stock(SimpleNamespace(**thing)).data))
    assert told(lambda: dict(Planned(thing).data)) == told(lambda: dict(Stock(thing).data))


@given(st.lists(things, max_size=3), st.sampled_from(["UTC", "Africa/Dar_es_Salaam"]))
def test_a_list_prints_as_drf_prints_it_in_any_time_zone(rows, zone):
    objects = [SimpleNamespace(**row) for row in rows]
    with clock.override(zone):
        found = told(lambda: [dict(row) for row in Planned(objects, many=True).data])

        assert found == told(lambda: [dict(row) for row in Stock(objects, many=True).data])


def test_an_object_that_is_not_there_any_more_prints_as_null():
    class Torn:
        name = "x"

        @property
        def at(self) -> datetime:
            raise ObjectDoesNotExist

    assert PlannedInner(Torn()).data == StockInner(Torn()).data == {"name": "x", "at": None}


def test_a_field_that_may_ask_its_serializer_leaves_everything_to_drf():
    class Told(OutputSerializer[Any]):
        name = serializers.CharField()
        who = serializers.SerializerMethodField()

        def get_who(self, _thing: Any) -> str:
            return str(self.context["who"])

    assert output._plan_of(Told) is None
    for who in ("Asha", "Juma"):
        assert Told(SimpleNamespace(name="x"), context={"who": who}).data == {"name": "x", "who": who}


def test_a_field_kind_nobody_vouched_for_leaves_everything_to_drf():
    class Odd(serializers.CharField):
        def to_representation(self, value: Any) -> str:
            return f"<{value}>"

    kind = type("OddOutput", (OutputSerializer,), {"name": Odd()})

    assert output._plan_of(kind) is None
    assert kind(SimpleNamespace(name="x")).data == {"name": "<x>"}


def planned_of_the_api() -> list[type]:
    found, open_ = set(), [OutputSerializer, OutputModelSerializer]
    while open_:
        for kind in open_.pop().__subclasses__():
            open_.append(kind)
            found |= {kind} if kind.__module__.startswith("apps.") else set()
    return sorted(found, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", planned_of_the_api(), ids=lambda kind: kind.__name__)
def test_the_plan_of_each_serializer_has_exactly_its_fields(kind):
    plan = output._plan_of(kind)

    assert plan is None or [name for name, *_ in plan] == [field.field_name for field in kind()._readable_fields]


def test_hot_lists_are_planned():
    planned = {kind.__name__ for kind in planned_of_the_api() if output._plan_of(kind) is not None}

    assert {"PaymentOutput", "AttemptOutput", "RefundOutput", "UserOutput", "TenantOutput"} <= planned


def test_a_time_in_another_zone_prints_in_ours():
    with override_settings(TIME_ZONE="UTC"):
        there = datetime(2026, 11, 20, 12, tzinfo=ZoneInfo("Africa/Dar_es_Salaam"))

        assert PlannedInner(SimpleNamespace(name="x", at=there)).data["at"] == "2026-11-20T09:00:00Z"
