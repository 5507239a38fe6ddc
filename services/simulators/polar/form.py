"""A request's body under test: collects everything wrong with it and refuses it in one 422 (section 6).

The wordings are those of FastAPI, on which Polar's server is built; where the vendor notes do not quote them they are
unconfirmed.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from starlette.requests import Request

from services.simulators.polar.wire import as_uuid
from services.simulators.world import NotJSON, Refusal, read_object

METADATA_LIMIT, KEY_LIMIT, TEXT_LIMIT = 50, 40, 500
_URL = re.compile(r"https?://[^\s/?#]+(?:[/?#]\S*)?")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")


class Form:
    """`take` one field after the other, then `check`."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        self.body = body
        self._wrong: list[dict[str, Any]] = []

    def refuse(self, kind: str, message: str, *place: str | int, value: object = None) -> None:
        self._wrong.append({"type": kind, "loc": ["body", *place], "msg": message, "input": value})

    def check(self, error: str = "RequestValidationError") -> None:
        """Raise the refusal when anything was wrong so far."""
        if self._wrong:
            raise Refusal(422, {"error": error, "detail": self._wrong})

    def needed(self, name: str) -> Any:
        """The field, which must be there."""
        if name not in self.body:
            self.refuse("missing", "Field required", name, value=dict(self.body))
        return self.body.get(name)

    def text(self, name: str, *, limit: int | None = None) -> str | None:
        value = self.body.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse("string_type", "Input should be a valid string", name, value=value)
            return None
        if limit is not None and len(value) > limit:
            self.refuse("string_too_long", f"String should have at most {limit} characters", name, value=value)
        return value

    def email(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _EMAIL.fullmatch(value):
            message = "value is not a valid email address: An email address must have an @-sign."
            self.refuse("value_error", message, name, value=value)
        return value

    def url(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _URL.fullmatch(value):
            self.refuse("url_parsing", "Input should be a valid URL", name, value=value)
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.body.get(name, default)
        if not isinstance(value, bool):
            self.refuse("bool_type", "Input should be a valid boolean", name, value=value)
            return default
        return value

    def uuid(self, name: str) -> str:
        """A needed UUID; empty when it is none."""
        value = self.needed(name)
        found = as_uuid(value)
        if found is None and name in self.body:
            self.refuse("uuid_parsing", "Input should be a valid UUID", name, value=value)
        return found or ""

    def whole(self, name: str, *, least: int) -> int | None:
        value = self.body.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.refuse("int_type", "Input should be a valid integer", name, value=value)
            return None
        if value < least:
            message = f"Input should be greater than or equal to {least}"
            self.refuse("greater_than_equal", message, name, value=value)
        return value

    def choice(self, name: str, choices: Collection[str]) -> str:
        """A needed word out of `choices`."""
        value = self.needed(name)
        if name in self.body and value not in choices:
            listed = ", ".join(f"'{each}'" for each in choices)
            self.refuse("enum", f"Input should be one of {listed}", name, value=value)
        return value if isinstance(value, str) else ""

    def metadata(self, name: str = "metadata") -> dict[str, Any]:
        """At most 50 short names with short strings, numbers or booleans (section 2)."""
        value = self.body.get(name) or {}
        if not isinstance(value, dict):
            self.refuse("dict_type", "Input should be a valid dictionary", name, value=value)
            return {}
        if len(value) > METADATA_LIMIT:
            message = f"Dictionary should have at most {METADATA_LIMIT} items after validation, not {len(value)}"
            self.refuse("too_long", message, name, value=value)
        for key, each in value.items():
            if not 1 <= len(key) <= KEY_LIMIT:
                message = f"String should have at most {KEY_LIMIT} characters"
                self.refuse("string_too_long", message, name, key, "[key]", value=key)
            if isinstance(each, str) and not 1 <= len(each) <= TEXT_LIMIT:
                message = f"String should have at least 1 and at most {TEXT_LIMIT} characters"
                self.refuse("string_too_long", message, name, key, "str", value=each)
            elif not isinstance(each, str | int | float):
                self.refuse("string_type", "Input should be a valid string", name, key, "str", value=each)
        return value

    def address(self, name: str) -> dict[str, Any] | None:
        """A billing address; only its country is needed."""
        value = self.body.get(name)
        if value is None:
            return None
        if not isinstance(value, dict) or not re.fullmatch(r"[A-Z]{2}", str(value.get("country"))):
            self.refuse("literal_error", "Input should be a country", name, "country", value=value)
            return None
        parts = ("country", "line1", "line2", "postal_code", "city", "state")
        return {part: value[part] for part in parts if isinstance(value.get(part), str)}


async def read_form(request: Request) -> Form:
    try:
        return Form(await read_object(request))
    except NotJSON as error:
        detail = [{"type": "json_invalid", "loc": ["body", 0], "msg": "JSON decode error", "input": {}}]
        raise Refusal(422, {"error": "RequestValidationError", "detail": detail}) from error
