"""The outer layers: request ids, the log line, the refusals that come before any view, and the envelope as a net."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import AuthenticationMiddleware
from django.contrib.messages.middleware import MessageMiddleware
from django.contrib.sessions.middleware import SessionMiddleware
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse, HttpResponseForbidden
from django.http.response import HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils import translation

from core import context, framework_errors, tenancy
from core.client_address import client_address
from core.error_views import framework_error, is_admin_path, refusal
from core.framework_errors import for_status

logger = logging.getLogger("faraja.request")
MAX_LENGTH_DIGITS = 20
GetResponse = Callable[[HttpRequest], HttpResponseBase]


class RequestMiddleware:
    """One request in, one answer out, one log line, nothing left behind on the thread."""

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        started = time.perf_counter()
        request_id = context.acceptable_request_id(request.headers.get("X-Request-ID"))
        context.request_id.set(request_id)
        context.user_id.set("")
        context.client.set(client_address(request))
        context.actor_kind.set("staff" if is_admin_path(request) else "")
        try:
            with tenancy.outside_tenants():
                response = self.get_response(request)
                response.headers["X-Request-ID"] = request_id
                self._log(request, response, started)
                return response
        finally:
            for told in (context.user_id, context.client, context.actor_kind):
                told.set("")
            context.request_id.set("")
            translation.deactivate()

    def _log(self, request: HttpRequest, response: HttpResponseBase, started: float) -> None:
        match = getattr(request, "resolver_match", None)
        logger.info(
            "%s %s",
            request.method,
            # The route, not the path: a path may hold a callback's secret.
            f"/{match.route}" if match is not None else "(no route)",
            extra={"status": response.status_code, "ms": round((time.perf_counter() - started) * 1000, 1)},
        )


class EnvelopeMiddleware:
    """What comes before any view and what no view worded, in our words.

    Beneath the CORS middleware: a page of another origin may read these refusals too.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self._refuse_early(request) or self._in_envelope(request, self.get_response(request))

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Answer what escaped from a view and is a refusal; a defect goes on to the 500 handler and the log."""
        return None if is_admin_path(request) else refusal(exception)

    def _refuse_early(self, request: HttpRequest) -> HttpResponse | None:
        # A header with NUL would be an error wherever it is stored (a session's User-Agent, for one).
        if any("\x00" in value for name, value in request.META.items() if name.startswith("HTTP_")):
            return framework_error(framework_errors.INVALID_CHARACTERS)
        try:
            request.get_host()
        except DisallowedHost:
            return framework_error(framework_errors.INVALID_HOST)
        length = request.META.get("CONTENT_LENGTH") or "0"
        if not length.isascii() or not length.isdigit():
            return framework_error(framework_errors.BAD_REQUEST)
        # Python refuses to read numbers of thousands of digits.
        is_absurd = len(length) > MAX_LENGTH_DIGITS
        if is_absurd or (int(length) > settings.API_MAX_BODY_BYTES and not is_admin_path(request)):
            return framework_error(framework_errors.TOO_LARGE)
        if "%00" in request.META.get("QUERY_STRING", "") or "\x00" in request.path_info:
            return framework_error(framework_errors.INVALID_CHARACTERS)
        return None

    def _in_envelope(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """Errors that something else worded (Django's own 404 page, a plain 405) are put in our words."""
        if response.status_code < 400 or is_admin_path(request):
            return response
        if response.headers.get("Content-Type", "").startswith("application/json"):
            return response
        answer = framework_error(for_status(response.status_code), status=response.status_code)
        for kept in ("Allow", "Retry-After", "WWW-Authenticate"):
            if kept in response.headers:
                answer.headers[kept] = response.headers[kept]
        return answer


class _AdminOnly:
    """Sessions, CSRF forms, users by cookie and messages exist for the admin; an API request skips their cost.

    The API's own proof against forged requests stands in its authenticator.
    """

    get_response: GetResponse

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        answer = super().__call__ if is_admin_path(request) else self.get_response  # type: ignore[misc]
        response: HttpResponseBase = answer(request)
        return response


class AdminOnlySessionMiddleware(_AdminOnly, SessionMiddleware):  # type: ignore[misc]
    """See `_AdminOnly`."""


class AdminOnlyCsrfMiddleware(_AdminOnly, CsrfViewMiddleware):  # type: ignore[misc]
    """See `_AdminOnly`."""

    def process_view(self, request: HttpRequest, *args: Any) -> HttpResponseForbidden | None:
        return super().process_view(request, *args) if is_admin_path(request) else None


class AdminOnlyAuthenticationMiddleware(_AdminOnly, AuthenticationMiddleware):  # type: ignore[misc]
    """See `_AdminOnly`."""


class AdminOnlyMessageMiddleware(_AdminOnly, MessageMiddleware):  # type: ignore[misc]
    """See `_AdminOnly`."""
