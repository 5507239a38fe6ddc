"""`@limited`: a rate limit on one method of a view, counted before the method's transaction begins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from rest_framework.request import Request

from core.throttling.limits import spend

F = TypeVar("F", bound=Callable[..., Any])
_ATTRIBUTE = "rate_limits"


def by_person(request: Request) -> str:
    """Count each signed-in person for themselves."""
    return str(request.user.pk)


def limited(name: str, *, by: Callable[[Request], str]) -> Callable[[F], F]:
    """Admit what the limit `name` of `settings.RATE_LIMITS` admits for `by(request)`; the rest gets `Throttled`.

    For limits that follow from the request alone. One that depends on what is in it (whose password?) is the use
    case's question, which calls `spend` itself. `core.views.APIView` does the counting, after it knows who is asking.
    """

    def mark(handler: F) -> F:
        setattr(handler, _ATTRIBUTE, {**limits_of(handler), name: by})
        return handler

    return mark


def limits_of(handler: Callable[..., Any]) -> dict[str, Callable[[Request], str]]:
    """The limits that stand on a view's method."""
    found: dict[str, Callable[[Request], str]] = getattr(handler, _ATTRIBUTE, {})
    return found


def spend_limits_of(handler: Callable[..., Any], request: Request) -> None:
    """Count `request` against the limits of its handler, or raise `Throttled`."""
    if limits := limits_of(handler):
        spend({name: by(request) for name, by in limits.items()})
