"""JSON answers through orjson, always in the envelope."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from django.utils.functional import Promise
from rest_framework.renderers import BaseRenderer
from rest_framework.response import Response

from core.framework_errors import for_status
from core.response_wrapper import Envelope, error_envelope, success_envelope


def _default(value: Any) -> Any:
    if isinstance(value, Promise | Decimal):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be answered as JSON.")


def dump_json(value: Any) -> bytes:
    """Compact UTF-8 JSON. Times are ISO 8601 in UTC with a `Z`; lazy translations and Decimals become text."""
    return orjson.dumps(value, default=_default, option=orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS)


class EnvelopeJSONRenderer(BaseRenderer):
    """Renders what views return. A plain `Response(data)` is wrapped too, so third-party views keep the shape."""

    media_type = "application/json"
    format = "json"
    charset = None

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> bytes:
        response: Response | None = (renderer_context or {}).get("response")
        status = response.status_code if response is not None else 200
        if status in {204, 304}:
            return b""
        if not isinstance(data, Envelope):
            if status >= 400:
                error = for_status(status)
                data = error_envelope(message=error.message, code=error.code)
            else:
                data = success_envelope(data=data)
        return dump_json(data)
