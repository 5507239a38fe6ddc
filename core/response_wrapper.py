"""The one shape of every JSON answer.

success: `{"status": "success", "message": "...", "data": ...}`
error:   `{"status": "error", "message": "...", "data": null, "code": "...", "errors": {...}}`

The same keys every time, so no client asks whether one exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.response import Response


class Envelope(dict[str, Any]):
    """A body that already has the shape; the renderer wraps everything else."""


def success_envelope(*, data: Any = None, message: Any = "") -> Envelope:
    return Envelope(status="success", message=message, data=data)


def error_envelope(*, message: Any, code: str, errors: Any = None, data: Any = None) -> Envelope:
    return Envelope(status="error", message=message, data=data, code=code, errors=errors or {})


def success_response(
    data: Any = None,
    message: Any = "",
    status: int = 200,
    headers: dict[str, str] | None = None,
    *,
    beside: Mapping[str, Any] | None = None,
) -> Response:
    """`data` and a sentence for people, in the envelope.

    `beside` are fields that stand next to the envelope's own, for callers who look for them there (providers).
    """
    body = Envelope({**(beside or {}), **success_envelope(data=data, message=message)})
    return Response(body, status=status, headers=headers)


def error_response(
    message: Any,
    code: str,
    status: int = 400,
    *,
    errors: Any = None,
    data: Any = None,
    headers: dict[str, str] | None = None,
) -> Response:
    """A refusal in the envelope. `code` is for programs and never changes; `message` may be reworded."""
    body = error_envelope(message=message, code=code, errors=errors, data=data)
    return Response(body, status=status, headers=headers)
