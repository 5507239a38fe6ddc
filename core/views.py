"""The base of every API view."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from rest_framework import views
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request

from core import tenancy
from core.crash import crash_point
from core.later import Later
from core.parsers import PayloadTooLarge
from core.throttling.decorator import spend_limits_of


class JSONOnlyNegotiation(BaseContentNegotiation):
    """The API speaks JSON whatever `Accept` says; an error in a format nobody can read helps nobody."""

    def select_parser(self, request: Request, parsers: Iterable[Any]) -> Any:
        media_type = (request.content_type or "").partition(";")[0].strip().lower()
        return next((parser for parser in parsers if parser.media_type == media_type), None)

    def select_renderer(
        self, request: Request, renderers: Iterable[BaseRenderer], format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        renderer = next(iter(renderers))
        return renderer, renderer.media_type


class APIView(views.APIView):
    """DRF's view, with each handler in one transaction that row-level security knows to be the tenant's.

    Without a tenant in scope (public endpoints) nothing is opened: counters and revocations there must survive the
    refusal that follows them.
    """

    content_negotiation_class = JSONOnlyNegotiation
    # False where what a refusal counts has to last: the use cases then open transactions of their own.
    is_atomic: ClassVar[bool] = True

    def check_throttles(self, request: Request) -> None:
        """Before the handler's transaction, so that no refusal rolls the count back."""
        handler = getattr(self, (request.method or "").lower(), None)
        if handler is not None:
            spend_limits_of(handler, request)

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        # DRF's own dispatch offers no place between `initial` (who is asking) and the handler.
        self.args, self.kwargs = args, kwargs
        api_request = self.initialize_request(request, *args, **kwargs)
        self.request = api_request
        self.headers = self.default_response_headers
        try:
            self.initial(api_request, *args, **kwargs)
            method = (request.method or "").lower()
            handler = (
                getattr(self, method, self.http_method_not_allowed)
                if method in self.http_method_names
                else self.http_method_not_allowed
            )
            if tenancy.find_current_tenant_id() is None or not self.is_atomic:
                response = handler(api_request, *args, **kwargs)
            else:
                with tenancy.tenant_transaction():
                    response = handler(api_request, *args, **kwargs)
                crash_point("request_committed")
            if isinstance(response, Later):
                response = response.work()
        except Exception as exc:  # noqa: BLE001  handle_exception raises again what is not an answer
            response = self.handle_exception(exc)
        self.response = self.finalize_response(api_request, response, *args, **kwargs)
        return self.response


def read_callback(request: Request) -> tuple[bytes, dict[str, str]]:
    """A provider's callback as it arrived: the exact bytes, and headers with lower-case names. Or `PayloadTooLarge`."""
    body: bytes = request.body
    if len(body) > settings.CALLBACK_MAX_BODY_BYTES:
        raise PayloadTooLarge
    return body, {name.lower(): value for name, value in request.headers.items()}
