"""An answer whose work goes on after the handler's transaction: calls to others, and waiting."""

from __future__ import annotations

from collections.abc import Callable

from rest_framework.response import Response


class Later(Response):
    """What a handler returns instead of an answer. `core.views.APIView` commits, then asks `work` for the answer.

    `work` runs in the request's tenant and in no transaction.
    """

    def __init__(self, work: Callable[[], Response]) -> None:
        super().__init__()
        self.work = work


class Unfinished(Response):
    """What the handler of an `@idempotent(then=...)` method returns when `then(resource, ...)` has the answer."""

    def __init__(self, resource: str) -> None:
        super().__init__()
        self.resource = resource
