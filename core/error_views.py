"""Answers for what never reaches a DRF view: Django's handlers, in the envelope. The admin keeps its own pages."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.views import defaults
from rest_framework.response import Response

from core import framework_errors
from core.exception_handler import refusal_response
from core.framework_errors import FrameworkError
from core.renderers import dump_json
from core.response_wrapper import error_envelope

ADMIN_PREFIX = "/admin/"


def is_admin_path(request: HttpRequest) -> bool:
    """Whether a person with a browser is working in the admin."""
    return request.path_info.startswith(ADMIN_PREFIX)


def framework_error(error: FrameworkError, *, status: int | None = None) -> HttpResponse:
    """A framework refusal as a finished answer."""
    body = dump_json(error_envelope(message=error.message, code=error.code))
    return HttpResponse(body, content_type="application/json", status=status or error.status)


def refusal(exception: BaseException) -> HttpResponse | None:
    """The finished answer for an exception that is one, or None for a defect."""
    answer: Response | None = refusal_response(exception)
    if answer is None:
        return None
    response = HttpResponse(dump_json(answer.data), content_type="application/json", status=answer.status_code)
    for name, value in answer.headers.items():
        # DRF says text/html until it renders.
        if name != "Content-Type":
            response.headers[name] = value
    return response


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_admin_path(request):
        return defaults.bad_request(request, exception)
    return refusal(exception) or framework_error(framework_errors.BAD_REQUEST)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_admin_path(request):
        return defaults.permission_denied(request, exception)
    return framework_error(framework_errors.PERMISSION_DENIED)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if is_admin_path(request):
        return defaults.page_not_found(request, exception)
    return framework_error(framework_errors.NOT_FOUND)


def server_error(request: HttpRequest, *args: Any) -> HttpResponse:
    if is_admin_path(request):
        return defaults.server_error(request)
    return framework_error(framework_errors.INTERNAL)
