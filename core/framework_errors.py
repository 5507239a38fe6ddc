"""Codes and words for the refusals that Django and DRF make on their own.

Business refusals carry their own (`core.exceptions`); together the two are the catalogue in `docs/errors.md`.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


@dataclass(frozen=True, slots=True)
class FrameworkError:
    """One refusal by the framework: its HTTP status, its stable code, and its sentence."""

    status: int
    code: str
    message: str | Promise


BAD_REQUEST = FrameworkError(400, "bad_request", _("The request could not be read."))
VALIDATION = FrameworkError(400, "validation_error", _("Please correct the marked fields."))
MALFORMED_JSON = FrameworkError(400, "malformed_json", _("The body is not valid JSON."))
INVALID_CHARACTERS = FrameworkError(400, "invalid_characters", _("The request holds characters that are not allowed."))
TOO_DEEP = FrameworkError(400, "payload_too_deep", _("The body is nested too deeply."))
INVALID_HOST = FrameworkError(400, "invalid_host", _("This address is not served here."))
NOT_AUTHENTICATED = FrameworkError(401, "not_authenticated", _("Sign in to continue."))
PERMISSION_DENIED = FrameworkError(403, "permission_denied", _("You do not have permission to do this."))
CSRF_FAILED = FrameworkError(403, "csrf_failed", _("The request could not be confirmed as yours."))
NOT_FOUND = FrameworkError(404, "not_found", _("Not found."))
METHOD_NOT_ALLOWED = FrameworkError(405, "method_not_allowed", _("This method is not allowed here."))
NOT_ACCEPTABLE = FrameworkError(406, "not_acceptable", _("None of the accepted formats can be produced."))
TOO_LARGE = FrameworkError(413, "payload_too_large", _("The request is too large."))
UNSUPPORTED_MEDIA_TYPE = FrameworkError(415, "unsupported_media_type", _("Send JSON (application/json)."))
THROTTLED = FrameworkError(429, "throttled", _("Too many requests. Please wait a moment."))
INTERNAL = FrameworkError(500, "internal_error", _("Something went wrong on our side."))
UNAVAILABLE = FrameworkError(
    503, "temporarily_unavailable", _("The service is temporarily unavailable. Please try again.")
)

ALL = [value for value in list(vars().values()) if isinstance(value, FrameworkError)]
BY_STATUS = {error.status: error for error in reversed(ALL)} | {400: BAD_REQUEST, 403: PERMISSION_DENIED}


def for_status(status: int) -> FrameworkError:
    """The plainest refusal with this HTTP status."""
    if status in BY_STATUS:
        return BY_STATUS[status]
    return INTERNAL if status >= 500 else BAD_REQUEST
