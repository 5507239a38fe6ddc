"""Conditional GET: a client that has the answer already gets 304 and no body."""

from __future__ import annotations

import hashlib
from typing import Any

from django.utils import translation
from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response

from core.renderers import dump_json
from core.response_wrapper import success_response


def etag_of(data: Any) -> str:
    """A strong tag: equal exactly when the answer is. The envelope's sentence follows the language."""
    return f'"{hashlib.sha256(dump_json([translation.get_language(), data])).hexdigest()[:32]}"'


def is_known(request: Request, etag: str) -> bool:
    """Whether the request's `If-None-Match` names `etag`."""
    known = parse_etags(request.headers.get("If-None-Match", ""))
    return "*" in known or etag in {each.removeprefix("W/") for each in known}


def conditional_response(request: Request, data: Any, *, message: Any) -> Response:
    """`data` in the envelope with its tag, or 304 when the client has it already."""
    etag = etag_of(data)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if is_known(request, etag):
        return Response(status=304, headers=headers)
    return success_response(data, message=message, headers=headers)
