"""The OpenAPI schema as the running code gives it, and its operations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from drf_spectacular.generators import SchemaGenerator

from tests.contracts.routes import Route, all_routes

SCHEMA: dict[str, Any] = json.loads(json.dumps(SchemaGenerator().get_schema(request=None, public=True), default=str))


@dataclass(frozen=True)
class Operation:
    """One method of one path, as the schema describes it, and the route that serves it."""

    path: str
    method: str
    spec: dict[str, Any]
    route: Route

    def __str__(self) -> str:
        return str(self.spec["operationId"])

    @property
    def is_public(self) -> bool:
        """Nobody has to be signed in."""
        return not any(self.spec.get("security", []))

    @property
    def is_read(self) -> bool:
        return self.method == "GET"

    def codes(self, status: int) -> set[str]:
        """The codes that the schema lists for this status."""
        content = self.spec["responses"].get(str(status), {}).get("content", {}).get("application/json", {})
        return set(content.get("examples", {}))

    def parameters(self, where: str) -> dict[str, dict[str, Any]]:
        """Schemas of the parameters in `path`, `query` or `header`, by name."""
        found = self.spec.get("parameters", [])
        return {each["name"]: resolve(each["schema"]) for each in found if each["in"] == where}

    def body_fields(self) -> list[tuple[tuple[str, ...], dict[str, Any]]]:
        """Every single value that a body may hold, as its path and its schema. A list is entered as `"0"`."""
        content = self.spec.get("requestBody", {}).get("content", {}).get("application/json")
        return [] if content is None else list(_leaves(content["schema"], ()))


def operations() -> list[Operation]:
    """Every operation of the schema. One without a route would be a lie, and fails here by name."""
    routes = {route.documented_path: route for route in all_routes()}
    return [
        Operation(path, method.upper(), spec, routes[path])
        for path, methods in SCHEMA["paths"].items()
        for method, spec in methods.items()
    ]


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without a reference at its top."""
    while "$ref" in schema:
        schema = SCHEMA["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    return schema


def _leaves(schema: dict[str, Any], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], dict[str, Any]]]:
    schema = resolve(schema)
    branches = [branch for word in ("allOf", "oneOf", "anyOf") for branch in schema.get(word, [])]
    for branch in branches:
        yield from _leaves(branch, path)
    for name, field in schema.get("properties", {}).items():
        yield from _leaves(field, (*path, name))
    if "items" in schema:
        yield from _leaves(schema["items"], (*path, "0"))
    if not branches and "properties" not in schema and "items" not in schema:
        yield path, schema


def put(body: Any, path: tuple[str, ...], value: Any) -> Any:
    """A copy of `body` with `value` at `path`; what is missing on the way is made."""
    if not path:
        return value
    head, rest = path[0], path[1:]
    if head == "0":
        return [put(body[0] if isinstance(body, list) and body else {}, rest, value)]
    before = body if isinstance(body, dict) else {}
    return {**before, head: put(before.get(head), rest, value)}
