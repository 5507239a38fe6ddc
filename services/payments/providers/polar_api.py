"""Polar's API: one call, a list page by page, and what a refusal is called."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from services.http import Answer, GatewayUnavailable, HttpClient
from services.payments.base import GatewayRefused
from services.reading import storable

VERSION = "2026-04"  # pinned: without the header Polar's default applies, which moves
PAGE_SIZE = 100  # Polar's largest
MOST_PAGES = 1000  # of one list; Polar takes 500 calls a minute

# Polar's names of errors, and ours.
REFUSALS = {
    "RefundedAlready": "already_refunded",
    "RefundsBlocked": "refunds_blocked",
    "RefundDisputedPayment": "disputed",
    "RefundUnknownPayment": "payment_not_found",
    "RefundPaymentTransactionNotFound": "payment_not_found",
    "PaymentNotReady": "not_ready",
    "ExpiredCheckoutError": "expired",
    "NotPermitted": "permissions",
    "insufficient_scope": "permissions",
}
BY_STATUS = {401: "credentials", 403: "permissions", 404: "not_found", 410: "expired"}
# Of a 422: which part of our request it is about. The rest is `invalid_request`.
BY_FIELD = {
    "products": "product",
    "prices": "price",
    "currency": "currency",
    "order_id": "order",
    "amount": "amount",
}


class PolarApi:
    """Calls with one organization's token. Raises what `HttpClient` raises, and `GatewayRefused` for a refusal."""

    def __init__(self, http: HttpClient, *, access_token: str) -> None:
        self._http = http
        self._headers = {"Authorization": f"Bearer {access_token}", "Polar-Version": VERSION}

    def call(self, method: str, path: str, **wire: Any) -> Answer:
        """One call, one answer of any status; `wire` as `HttpClient.request` takes it."""
        return self._http.request(method, path, headers=self._headers, **wire)

    def pages(
        self, path: str, filters: Mapping[str, str], *, size: int = PAGE_SIZE, most: int = MOST_PAGES
    ) -> Iterator[dict[str, Any]]:
        """The items of a list, asked for page by page as they are wanted; `most` pages at most."""
        for page in range(1, most + 1):
            body = accepted(self.call("GET", path, params={**filters, "page": str(page), "limit": str(size)}))
            found = items(body)
            yield from found
            pagination = body.get("pagination")
            last = pagination.get("max_page") if isinstance(pagination, dict) else None
            if not found or not isinstance(last, int) or page >= last:
                return


def accepted(answer: Answer) -> Any:
    """The parsed body of a 2xx. Raises `GatewayRefused` for a 4xx, and what `Answer.refuse_unusable` raises."""
    answer.refuse_unusable()
    if not answer.is_success:
        _refuse(answer)
    return answer.json()


def items(body: Any) -> list[dict[str, Any]]:
    """The objects of a list's page. `GatewayUnavailable` when it is no such page."""
    found = body.get("items") if isinstance(body, dict) else None
    if not isinstance(found, list):
        raise GatewayUnavailable
    return [item for item in found if isinstance(item, dict)]


def error_of(answer: Answer) -> str:
    """Polar's name of an error, or nothing."""
    body = answer.json()
    error = body.get("error") if isinstance(body, dict) else None
    return error if isinstance(error, str) else ""


def _refuse(answer: Answer) -> NoReturn:
    error, detail = error_of(answer), _detail_of(answer)
    if answer.status == 409:
        # A lock that somebody else holds. Polar says to try again, but not that nothing has begun (unconfirmed).
        raise answer.silence()
    if answer.json() is None and answer.status == 404 and answer.is_question:
        raise GatewayUnavailable  # a wrong address, or a wall in front of Polar
    reason = REFUSALS.get(error) or BY_STATUS.get(answer.status)
    raise GatewayRefused(reason or _field_of(answer, detail) or "invalid_request", detail)


def _faults(answer: Answer) -> list[dict[str, Any]]:
    """The entries of a validation error."""
    body = answer.json()
    detail = body.get("detail") if isinstance(body, dict) else None
    return [each for each in detail if isinstance(each, dict)] if isinstance(detail, list) else []


def _field_of(answer: Answer, detail: str) -> str:
    if "default presentment currency" in detail.lower():
        return "currency"
    for fault in _faults(answer):
        loc = fault.get("loc")
        names = [name for name in loc if isinstance(name, str)] if isinstance(loc, list) else []
        for name in names:
            if name in BY_FIELD or name.startswith("customer_"):
                return BY_FIELD.get(name, "customer")
    return ""


def _detail_of(answer: Answer) -> str:
    """Polar's error text. What we had sent, which a validation error repeats, is left out."""
    body = answer.json()
    texts = [body.get("detail"), body.get("error_description")] if isinstance(body, dict) else []
    texts += [fault.get("msg") for fault in _faults(answer)]
    told = storable("; ".join(text for text in texts if isinstance(text, str)), limit=500)
    return told or f"HTTP {answer.status}"
