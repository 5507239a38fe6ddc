"""What all of Polar's calls share: versions, tokens, error bodies, pages of lists, and the checks of what is sent.

Source of every shape and wording in this package: the Polar vendor notes (sections 1 to 9). What they do not say is
marked "unconfirmed".
"""

from __future__ import annotations

import hmac
import math
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from services.simulators.config import POLAR_VERSIONS, Config
from services.simulators.faults import Fault
from services.simulators.world import JSON, Refusal, World, world_of

PREFIX = "/polar"
PROVIDER = "polar"
# Of the currencies with two decimals some, and of those without any the ones near by; Polar takes many more.
DECIMALS = {"TZS": 2, "USD": 2, "EUR": 2, "GBP": 2, "KES": 2, "BIF": 0, "RWF": 0}
ORGANIZATION_ID = "1dbfc517-0bbf-4301-9ba8-555ca42b9737"

Handler = Callable[[World, Request], Awaitable[Response]]


# Errors


def refuse(status: int, error: str, detail: str) -> Refusal:
    """The ordinary error body: `error` is the name of a class of Polar's."""
    return Refusal(status, {"error": error, "detail": detail})


def not_found() -> Refusal:
    return refuse(404, "ResourceNotFound", "Not found")


def trouble(fault: Fault) -> Response:
    """A call that goes wrong on purpose. The bodies of a 500 are unconfirmed."""
    if fault is Fault.REFUSE:
        return JSON({"error": "NotPermitted", "detail": "Not permitted"}, status_code=403)
    return JSON({"error": "InternalServerError", "detail": "Internal Server Error"}, status_code=500)


# Versions, tokens and their scopes


def endpoint(*scopes: str) -> Callable[[Handler], Callable[[Request], Awaitable[Response]]]:
    """An endpoint of the API: the right version, a token with one of `scopes`, and refusals in Polar's words.

    The version is looked at first: another one is another set of addresses, where nothing is (section 1).
    """

    def wrap(handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def call(request: Request) -> Response:
            world = world_of(request)
            version = request.headers.get("polar-version") or world.config.polar_version
            if version not in POLAR_VERSIONS:
                return JSON({"detail": "Not Found"}, status_code=404)
            try:
                require_token(world.config, request.headers.get("authorization", ""), scopes)
                answer = await handler(world, request)
            except Refusal as error:
                answer = JSON(error.body, status_code=error.status)
                if error.status == 401:
                    answer.headers["WWW-Authenticate"] = 'Bearer realm="polar"'
            answer.headers["Polar-Version"] = version
            return answer

        return call

    return wrap


def require_token(config: Config, authorization: str, scopes: Sequence[str]) -> None:
    """Refuse a missing token, an unknown one, and one that may not do this (section 6)."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise refuse(401, "Unauthorized", "Unauthorized")
    given = token.strip().encode(errors="replace")
    if hmac.compare_digest(given, config.polar_token.encode()):
        return
    if not hmac.compare_digest(given, config.polar_read_token.encode()):
        told = "The access token provided is expired, revoked, malformed, or invalid for other reasons."  # unconfirmed
        raise Refusal(401, {"error": "invalid_token", "error_description": told})
    if not any(scope.endswith(":read") for scope in scopes):
        told = "The request requires higher privileges than provided by the access token."
        raise Refusal(403, {"error": "insufficient_scope", "error_description": told})


# Times


def as_time(moment: float) -> str:
    """A Unix time as Polar prints it: `2026-10-01T08:05:01.000000Z`."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# Ids


def belonging(checkout_id: str, kind: str) -> str:
    """The id of what belongs to a checkout: its order, customer, payment.

    The checkout's own id with a mask over it, so that one leads to the other without a table; applied twice it is
    undone. The mask leaves the digits alone that make it a random UUID.
    """
    mask = _MASKS[kind]
    return str(UUID(int=UUID(checkout_id).int ^ mask))


_MASKS = {
    kind: number << 104 | number << 24
    for number, kind in enumerate(("order", "customer", "payment", "price", "item", "refund"), 0x5A)
}


def as_uuid(text: object) -> str | None:
    """The UUID in its usual spelling, or None."""
    if not isinstance(text, str) or not _UUID.fullmatch(text):
        return None
    return str(UUID(text))


_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


def path_id(request: Request) -> str:
    """The id in the address; refused when it is none."""
    given = as_uuid(request.path_params["id"])
    if given is None:
        raise refuse_query("path", "id", "uuid_parsing", "Input should be a valid UUID", request.path_params["id"])
    return given


# References


REFERENCE_KEYS = ("reference", "payment_ref", "payment_reference")


def reference_of(metadata: Mapping[str, Any], id: str) -> str:
    """What the caller calls it: in its metadata, or else Polar's own id. For the ledger; Polar has no such notion."""
    for key in REFERENCE_KEYS:
        if metadata.get(key):
            return str(metadata[key])
    return next((value for value in metadata.values() if isinstance(value, str) and value), id)


# Lists


def refuse_query(place: str, name: str, kind: str, message: str, value: object) -> Refusal:
    """422 for one value in the address."""
    detail = [{"type": kind, "loc": [place, name], "msg": message, "input": value}]
    return Refusal(422, {"error": "RequestValidationError", "detail": detail})


def cut(request: Request, rows: list[dict[str, Any]], sortable: Mapping[str, str]) -> dict[str, Any]:
    """One page of `rows` (oldest first), sorted as asked; `sortable` maps names for sorting to fields.

    More than 100 rows are never given (that a greater limit is cut, and not refused, is unconfirmed).
    """
    page, limit = read_page(request)
    for name in reversed(request.query_params.getlist("sorting") or ["-created_at"]):
        field = sortable.get(name.removeprefix("-"))
        if field is None:
            raise refuse_query("query", "sorting", "enum", "Input should be a known sorting criterion", name)
        is_descending = name.startswith("-")
        # Reversed on both sides, so that the newest of several rows of the same moment comes first.
        rows = rows[::-1] if is_descending else rows
        rows.sort(key=lambda row, field=field: row[field] or "", reverse=is_descending)  # type: ignore[misc]
    return as_page(rows[(page - 1) * limit : page * limit], len(rows), limit)


def read_page(request: Request) -> tuple[int, int]:
    """Which page, and how many rows on it."""
    return read_natural(request, "page", 1), min(read_natural(request, "limit", 10), 100)


def as_page(items: list[dict[str, Any]], total: int, limit: int) -> dict[str, Any]:
    return {"items": items, "pagination": {"total_count": total, "max_page": math.ceil(total / limit)}}


def is_by_time(request: Request, *but: str) -> bool:
    """Whether only a page by the time of making is asked for, which needs no look at the rest."""
    plain = {"page", "limit", "sorting", *but}
    in_order = request.query_params.getlist("sorting") in ([], ["-created_at"], ["created_at"])
    return in_order and set(request.query_params) <= plain


def newest_first(request: Request) -> bool:
    return request.query_params.get("sorting", "-created_at") == "-created_at"


def read_natural(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise refuse_query("query", name, "int_parsing", "Input should be a valid integer", text)
    if int(text) == 0:
        raise refuse_query("query", name, "greater_than", "Input should be greater than 0", text)
    return int(text)


def read_time(request: Request, name: str) -> float | None:
    """A moment in the query string as a Unix time; without a zone it is UTC (unconfirmed)."""
    text = request.query_params.get(name)
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text.replace(" ", "+"))  # a plus in a query string arrives as a space
    except ValueError as error:
        message = "Input should be a valid datetime"
        raise refuse_query("query", name, "datetime_from_date_parsing", message, text) from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def keep(request: Request, rows: list[dict[str, Any]], fields: Mapping[str, str]) -> list[dict[str, Any]]:
    """The rows that have one of the values asked for, for every filter; `fields` maps a filter to a field."""
    for name, field in fields.items():
        wanted = request.query_params.getlist(name)
        if wanted:
            rows = [row for row in rows if row.get(field) in wanted]
    return rows


def metadata_asked(request: Request) -> dict[str, list[str]]:
    """`metadata[key]=value` of the query string; a value may be given several times."""
    found: dict[str, list[str]] = {}
    for name, value in request.query_params.multi_items():
        if name.startswith("metadata[") and name.endswith("]"):
            found.setdefault(name[len("metadata[") : -1], []).append(value)
    return found


def has_metadata(metadata: Mapping[str, Any], asked: Mapping[str, Sequence[str]]) -> bool:
    return all(key in metadata and as_query(metadata[key]) in values for key, values in asked.items())


def as_query(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
