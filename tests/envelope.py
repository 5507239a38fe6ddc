"""What every JSON answer must look like, for tests of any layer."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Any

from core.catalogue import all_codes

SUCCESS_KEYS = {"status", "message", "data"}
ERROR_KEYS = {"status", "message", "data", "code", "errors"}
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


@lru_cache(maxsize=1)
def known_codes() -> frozenset[str]:
    """The catalogue, read once: importing every module that refuses takes a while."""
    return frozenset(all_codes())


def faults_in(response: Any, *, has_more: bool = False) -> list[str]:
    """What is wrong with this answer as an envelope; empty when nothing is.

    `has_more`: a success may hold fields beside the envelope's.
    """
    faults = []
    if not _REQUEST_ID.fullmatch(response.headers.get("X-Request-ID", "")):
        faults.append("no X-Request-ID")
    if response.status_code == 405 and not response.headers.get("Allow"):
        faults.append("405 without Allow")
    if response.status_code >= 500 and response.status_code != 503:
        faults.append(f"status {response.status_code}")
    content_type = response.headers.get("Content-Type", "")
    if content_type != "application/json":
        return [*faults, f"content type {content_type!r} (status {response.status_code})"]
    try:
        body = json.loads(response.content)
    except ValueError:
        return [*faults, f"not JSON: {response.content[:80]!r}"]
    is_error = response.status_code >= 400
    if has_more and not is_error and isinstance(body, dict):
        body = {name: value for name, value in body.items() if name in SUCCESS_KEYS}
    return faults + _faults_in_body(body, is_error=is_error)


def _faults_in_body(body: Any, *, is_error: bool) -> list[str]:
    expected = ERROR_KEYS if is_error else SUCCESS_KEYS
    if not isinstance(body, dict) or set(body) != expected:
        return [f"keys are not those of an envelope: {str(body)[:120]}"]
    faults = []
    if body["status"] != ("error" if is_error else "success"):
        faults.append(f"status says {body['status']!r}")
    if not isinstance(body["message"], str):
        faults.append("message is no text")
    if is_error and body["code"] not in known_codes():
        faults.append(f"code {body['code']!r} is not in the catalogue")
    if is_error and not isinstance(body["errors"], dict):
        faults.append("errors is no object")
    return faults


def refusal_of(response: Any) -> tuple[int, str]:
    """Status and code of an answer that must be a refusal in the envelope."""
    assert faults_in(response) == [], response.content[:200]
    assert response.status_code >= 400, response.content[:200]
    return response.status_code, json.loads(response.content)["code"]
