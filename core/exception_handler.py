"""From exceptions to the error envelope. The business never sees a status number; this is where it gets one."""

from __future__ import annotations

import logging
from typing import Any

from django.core.exceptions import PermissionDenied, RequestDataTooBig, SuspiciousOperation
from django.db import InterfaceError, OperationalError
from django.http import Http404
from rest_framework import exceptions as drf
from rest_framework.response import Response

from core import framework_errors
from core.exceptions import (
    Conflict,
    DomainError,
    Malformed,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    RuleViolated,
    TooManyRequests,
    Unavailable,
)
from core.framework_errors import FrameworkError, for_status
from core.parsers import PayloadTooLarge
from core.response_wrapper import error_response

logger = logging.getLogger("faraja.errors")

HTTP_STATUS: dict[type[DomainError], int] = {
    Malformed: 400,
    NotAuthenticated: 401,
    NotPermitted: 403,
    NotFound: 404,
    Conflict: 409,
    PayloadTooLarge: 413,
    RuleViolated: 422,
    TooManyRequests: 429,
    Unavailable: 503,
}
BEARER_CHALLENGE = 'Bearer realm="api"'


def http_status(kind: type[DomainError]) -> int:
    """The HTTP status of a refusal, by its nearest kind."""
    return next((HTTP_STATUS[base] for base in kind.mro() if base in HTTP_STATUS), 400)


def exception_handler(exc: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook. None: a surprise, for the 500 handler."""
    return refusal_response(exc)


def refusal_response(exc: BaseException) -> Response | None:
    """The envelope for every exception that is an answer, or None when it is a defect."""
    if isinstance(exc, DomainError):
        status = http_status(type(exc))
        headers: dict[str, str] = {}
        retry_after = exc.retry_after if exc.retry_after is not None else 2 if status == 503 else None
        if retry_after is not None:
            headers["Retry-After"] = str(retry_after)
        if status == 401:
            headers["WWW-Authenticate"] = BEARER_CHALLENGE
        return error_response(exc.message, exc.code, status, errors=exc.errors, data=exc.data, headers=headers)
    if isinstance(exc, drf.APIException):
        return _drf_response(exc)
    if isinstance(exc, Http404):
        return _framework_response(framework_errors.NOT_FOUND)
    if isinstance(exc, PermissionDenied):
        return _framework_response(framework_errors.PERMISSION_DENIED)
    if isinstance(exc, RequestDataTooBig):
        return _framework_response(framework_errors.TOO_LARGE)
    if isinstance(exc, SuspiciousOperation):
        return _framework_response(framework_errors.BAD_REQUEST)
    if isinstance(exc, OperationalError | InterfaceError):
        # The database is away or overloaded. The class name says which; the text may hold addresses.
        logger.warning("database unavailable: %s", type(exc).__name__)
        return _framework_response(framework_errors.UNAVAILABLE, headers={"Retry-After": "2"})
    return None


def _framework_response(error: FrameworkError, *, headers: dict[str, str] | None = None) -> Response:
    return error_response(error.message, error.code, error.status, headers=headers)


def _drf_response(exc: drf.APIException) -> Response:
    headers: dict[str, str] = {}
    if challenge := getattr(exc, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(exc, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    if isinstance(exc, drf.ValidationError):
        error = framework_errors.VALIDATION
        detail = exc.detail
        errors = detail if isinstance(detail, dict) else {"non_field_errors": detail}
        return error_response(error.message, error.code, error.status, errors=errors, headers=headers)
    error = framework_errors.MALFORMED_JSON if isinstance(exc, drf.ParseError) else for_status(exc.status_code)
    return error_response(error.message, error.code, exc.status_code, headers=headers)
