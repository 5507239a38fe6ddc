"""Keyset pages: each row once, in both directions, whatever is inserted meanwhile."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.test import APIRequestFactory

from apps.tenants.models import Tenant
from core.pagination import paginated_response
from tests.factories.payments import make_payment

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


class Printer:
    """A serializer that prints ids."""

    def __init__(self, rows: Any, *, many: bool) -> None:
        assert many
        self.data = [str(row.pk) for row in rows]


def page(**query: Any) -> dict[str, Any]:
    request = Request(APIRequestFactory().get("/", {name: value for name, value in query.items() if value is not None}))
    response = paginated_response(request, Tenant.objects.order_by("-created_at", "-pk"), Printer)  # type: ignore[arg-type]
    return dict(response.data["data"])


def walk(size: int, *, towards: str, cursor: str | None = None, between: Any = None) -> list[list[str]]:
    """Pages from `cursor` (the first page without one) following `next` or `previous` to the end."""
    found = []
    while True:
        each = page(page_size=size, cursor=cursor)
        found.append(each["results"])
        cursor = each["pagination"][f"{towards}_cursor"]
        if cursor is None:
            return found
        assert len(found) < 100, "the pages never end"
        if between:
            between()


def in_order() -> list[str]:
    return [str(pk) for pk in Tenant.objects.order_by("-created_at", "-pk").values_list("pk", flat=True)]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    minutes=st.lists(st.integers(min_value=0, max_value=4), max_size=14),
    size=st.integers(min_value=1, max_value=5),
    newer=st.lists(st.integers(min_value=5, max_value=9), max_size=3),
)
def test_walking_the_pages_shows_every_row_exactly_once(db, minutes, size, newer):
    """Many rows share a time, and rows arrive at the top while somebody walks."""
    Tenant.objects.all()._raw_delete(connection.alias)
    Tenant.objects.bulk_create(Tenant(name="x", created_at=NOON + timedelta(minutes=each)) for each in minutes)
    expected, arriving = in_order(), list(newer)

    def arrive() -> None:
        if arriving:
            Tenant.objects.create(name="new", created_at=NOON + timedelta(minutes=arriving.pop()))

    pages = walk(size, towards="next", between=arrive)

    assert [row for each in pages for row in each] == expected
    assert all(len(each) <= size for each in pages)
    if len(pages) > 1:
        _and_back(size, pages)


def _and_back(size: int, pages: list[list[str]]) -> None:
    """From the last page to the top, which by now holds the newcomers too."""
    last, cursor = pages[-1], None
    while True:
        each = page(page_size=size, cursor=cursor)
        if each["results"] == last or each["pagination"]["next_cursor"] is None:
            break
        cursor = each["pagination"]["next_cursor"]
    back = walk(size, towards="previous", cursor=each["pagination"]["previous_cursor"])

    shown = [row for one in reversed(back) for row in one] + each["results"]
    assert shown == in_order()


def test_the_first_page_has_nothing_before_it_and_the_last_nothing_after(db):
    Tenant.objects.bulk_create(Tenant(name="x", created_at=NOON) for _ in range(5))

    first = page(page_size=3)
    second = page(page_size=3, cursor=first["pagination"]["next_cursor"])

    assert first["pagination"]["previous_cursor"] is None
    assert second["pagination"]["next_cursor"] is None
    assert page(page_size=3, cursor=second["pagination"]["previous_cursor"])["results"] == first["results"]
    assert (len(first["results"]), len(second["results"])) == (3, 2)


def test_an_empty_list_is_one_empty_page(db):
    assert page() == {
        "results": [],
        "pagination": {"next_cursor": None, "previous_cursor": None, "page_size": 20},
    }


def test_numbered_pages_count_what_there_is(db):
    Tenant.objects.bulk_create(Tenant(name="x", created_at=NOON + timedelta(minutes=each)) for each in range(5))

    pages = [page(page=number, page_size=2) for number in (1, 2, 3, 4)]

    assert [row for each in pages for row in each["results"]] == in_order()
    assert [each["pagination"] for each in pages] == [
        {"page": number, "pages": 3, "count": 5, "page_size": 2} for number in (1, 2, 3, 4)
    ]


def test_an_empty_list_has_one_numbered_page(db):
    assert page(page=1) == {"results": [], "pagination": {"page": 1, "pages": 1, "count": 0, "page_size": 20}}


@pytest.mark.parametrize("number", ["0", "-1", "x", "", "1.0", "100001", "9" * 5000, "\u0661"])
def test_a_page_number_is_a_whole_number_or_refused(db, number):
    with pytest.raises(ValidationError):
        page(page=number)


def test_a_list_is_not_walked_in_two_ways_at_once(db):
    Tenant.objects.bulk_create(Tenant(name="x", created_at=NOON) for _ in range(3))
    cursor = page(page_size=2)["pagination"]["next_cursor"]

    with pytest.raises(ValidationError):
        page(page=2, cursor=cursor)


def test_a_page_that_is_exactly_full_is_the_last_one(db):
    Tenant.objects.bulk_create(Tenant(name="x", created_at=NOON) for _ in range(3))

    assert page(page_size=3)["pagination"]["next_cursor"] is None


def test_a_page_is_one_query_with_a_limit(db):
    (query,) = queries_of_a_second_page()

    assert "LIMIT 3" in query
    assert "OFFSET" not in query


@pytest.mark.postgresql
def test_the_position_is_one_row_comparison(db):
    """What an index on both columns answers directly. (Django 5.2 writes the OR form on SQLite, whatever one asks.)"""
    (query,) = queries_of_a_second_page()

    assert '("tenants_tenant"."created_at", "tenants_tenant"."id") < (' in query
    assert " OR " not in query


def queries_of_a_second_page() -> list[str]:
    Tenant.objects.bulk_create(Tenant(name="x", created_at=NOON) for _ in range(5))
    cursor = page(page_size=2)["pagination"]["next_cursor"]
    with CaptureQueriesContext(connection) as captured:
        page(page_size=2, cursor=cursor)
    return [query["sql"] for query in captured.captured_queries]


def test_the_size_of_a_page_has_a_default_and_bounds(db):
    Tenant.objects.bulk_create(Tenant(name="x", created_at=NOON) for _ in range(101))

    assert len(page()["results"]) == 20
    assert len(page(page_size=100)["results"]) == 100
    assert len(page(page_size=1)["results"]) == 1


def test_payments_are_paged_through_the_api(member):
    made = [str(make_payment(member).pk) for _ in range(5)]
    client, shown, query = member.client(), [], "page_size=2"

    for _ in range(3):
        data = client.get(f"/api/v1/payments/?{query}").json()["data"]
        shown += [row["id"] for row in data["results"]]
        query = f"page_size=2&cursor={data['pagination']['next_cursor']}"

    assert data["pagination"]["next_cursor"] is None
    assert shown == list(reversed(made))


@pytest.mark.parametrize("filters", [{"status": "processing"}, {"gateway": "clickpesa"}])
def test_a_cursor_keeps_to_its_filter(member, member_client, filters):
    for _ in range(3):
        make_payment(member)
    first = member_client.get("/api/v1/payments/", {"page_size": 2, **filters}).json()["data"]

    cursor = first["pagination"]["next_cursor"]
    second = member_client.get("/api/v1/payments/", {"page_size": 2, "cursor": cursor, **filters}).json()["data"]

    assert len({row["id"] for row in first["results"] + second["results"]}) == 3
