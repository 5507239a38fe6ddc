"""Refusals: the business said no, and the caller may be told why.

A *kind* says what a refusal means over HTTP (the mapping is in `core.exception_handler`). A *leaf* says what
happened, and lives beside the use case that raises it. Every leaf's `code` appears in `docs/errors.md`, which is
generated from these classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

FieldErrors = Mapping[str, Sequence[Any]]


class DomainError(Exception):
    """The business said no and the caller may be told why. Each subclass is one reason."""

    code: str = "error"
    message: str | Promise = _("The request could not be completed.")
    # For the schema: what `data` holds, in a refusal that tells more than its code.
    example_data: Any = None

    def __init__(
        self,
        message: str | Promise = "",
        *,
        data: Any = None,
        errors: FieldErrors | None = None,
        retry_after: int | None = None,
    ) -> None:
        self.message = message or self.message
        self.data = data
        self.errors: FieldErrors = errors or {}
        self.retry_after = retry_after
        super().__init__(str(self.message))


class Malformed(DomainError):
    """The request cannot be read as what it should be (400)."""

    code = "bad_request"
    message = _("The request could not be read.")


class NotAuthenticated(DomainError):
    """Nobody we know is asking, or their proof is no longer good (401)."""

    code = "not_authenticated"
    message = _("Sign in to continue.")


class NotPermitted(DomainError):
    """We know who is asking, and they may not (403)."""

    code = "permission_denied"
    message = _("You do not have permission to do this.")


class NotFound(DomainError):
    """It does not exist, or the asker may not know that it does (404)."""

    code = "not_found"
    message = _("Not found.")


class Conflict(DomainError):
    """The request is fine but collides with something happening now (409)."""

    code = "conflict"
    message = _("This conflicts with the current state.")


class RuleViolated(DomainError):
    """The request is well formed and a business rule refuses it (422)."""

    code = "rule_violated"
    message = _("This is not allowed.")


class TooManyRequests(DomainError):
    """The same request is welcome later (429); `retry_after` says when."""

    code = "throttled"
    message = _("Too many requests. Please wait a moment.")


class Unavailable(DomainError):
    """Something we depend on is away; the same request may succeed shortly (503)."""

    code = "temporarily_unavailable"
    message = _("The service is temporarily unavailable. Please try again.")
