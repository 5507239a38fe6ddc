"""Keyset pages: the next page costs what the first one costs, and rows never shuffle or repeat.

Numbered pages with a count (`?page=`) are for people who browse: they jump, and want to know how much there is.

The cursor is opaque text holding the sort position of the last row shown. The comparison is a row comparison,
`(created_at, id) < (..., ...)`, which an index on both columns answers directly; the `OR` form is linear.
"""

from __future__ import annotations

import base64
import binascii
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from django.db.models import F, Model, QuerySet
from django.db.models.fields.tuple_lookups import Tuple, TupleGreaterThan, TupleLessThan
from django.utils.translation import gettext_lazy as _
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, ValidationError

from core.response_wrapper import success_response

DEFAULT_PAGE_SIZE = 20
MAX_PAGE_SIZE = 100
MAX_PAGE = 100_000


def paginated_response(
    request: Request,
    rows: QuerySet[Any],
    serializer: type[BaseSerializer[Any]],
    *,
    message: Any = "",
    position: tuple[str, str] = ("created_at", "id"),
) -> Response:
    """One page of `rows`, newest first by `position` (a time and the primary key, both in the queryset's ordering).

    `data` is `{"results": [...], "pagination": {"next_cursor", "previous_cursor", "page_size"}}`; with `?page=` the
    pagination is `{"page", "pages", "count", "page_size"}`, and a page after the last one is empty.
    """
    params = request.query_params
    size = _whole_number(params.get("page_size"), "page_size", default=DEFAULT_PAGE_SIZE, maximum=MAX_PAGE_SIZE)
    raw = params.get("cursor")
    if "page" in params:
        if raw:
            raise ValidationError({"page": [_("A list is walked by cursor or by page, not by both.")]})
        number = _whole_number(params["page"], "page", default=1, maximum=MAX_PAGE)
        found, pagination = _numbered(rows.order_by(*(f"-{name}" for name in position)), number, size)
    else:
        found, pagination = _keyset(rows, raw, size, position)
    return success_response({"results": serializer(found, many=True).data, "pagination": pagination}, message=message)


def _numbered(rows: QuerySet[Any], number: int, size: int) -> tuple[list[Model], dict[str, Any]]:
    count = rows.count()
    start = (number - 1) * size
    found = list(rows[start : start + size]) if start < count else []
    return found, {"page": number, "pages": max(1, -(-count // size)), "count": count, "page_size": size}


def _keyset(
    rows: QuerySet[Any], raw: str | None, size: int, position: tuple[str, str]
) -> tuple[list[Model], dict[str, Any]]:
    is_back, key = _decode(raw) if raw else (False, None)

    time_field, pk_field = position
    order = (time_field, pk_field) if is_back else (f"-{time_field}", f"-{pk_field}")
    page = rows.order_by(*order)
    if key is not None:
        comparison = TupleGreaterThan if is_back else TupleLessThan
        page = page.filter(comparison(Tuple(F(time_field), F(pk_field)), key))
    found: list[Model] = list(page[: size + 1])
    has_more = len(found) > size
    found = found[:size]
    if is_back:
        found.reverse()

    has_next = bool(found) and (has_more if not is_back else True)
    has_previous = bool(found) and (has_more if is_back else key is not None)
    pagination = {
        "next_cursor": _encode(found[-1], position, is_back=False) if has_next else None,
        "previous_cursor": _encode(found[0], position, is_back=True) if has_previous else None,
        "page_size": size,
    }
    return found, pagination


def _whole_number(raw: str | None, name: str, *, default: int, maximum: int) -> int:
    if raw is None:
        return default
    if not raw.isascii() or not raw.isdigit() or len(raw) > 6 or not 1 <= int(raw) <= maximum:
        raise ValidationError({name: [_("Must be a whole number from 1 to %(maximum)s.") % {"maximum": maximum}]})
    return int(raw)


def _encode(row: Model, position: tuple[str, str], *, is_back: bool) -> str:
    time, pk = (getattr(row, name) for name in position)
    raw = orjson.dumps([int(is_back), time.isoformat(), str(pk)])
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def _decode(cursor: str) -> tuple[bool, tuple[datetime, UUID]]:
    try:
        raw = base64.urlsafe_b64decode(cursor[:500] + "=" * (-len(cursor[:500]) % 4))
        is_back, time, pk = orjson.loads(raw)
        moment = datetime.fromisoformat(time)
        if moment.tzinfo is None:
            raise ValueError
        # In UTC already here: a time that has none (year 1, east of Greenwich) would fail in the database layer.
        return bool(is_back), (moment.astimezone(UTC), UUID(pk))
    except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError):
        raise ValidationError({"cursor": [_("This cursor was not given out by this list.")]}) from None
