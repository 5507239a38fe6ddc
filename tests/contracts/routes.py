"""Every route of the URL configuration, read from the configuration itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RegexPattern, RoutePattern

ADMIN = "the admin is for operators with a browser: pages, redirects and forms, and its own tests"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
_PARAMETER = re.compile(r"<(?:(?P<converter>[^>:]+):)?(?P<name>[^>]+)>")


@dataclass(frozen=True)
class Route:
    """One path of the configuration: its template, its view, and the converter of each of its parameters."""

    template: str
    view: Callable[..., Any]
    converters: Mapping[str, str]

    def __str__(self) -> str:
        return self.template

    @property
    def view_name(self) -> str:
        return str(self.view_class.__name__)

    @property
    def view_class(self) -> Any:
        """The class behind the view; a function-based route fails here, by name."""
        found = getattr(self.view, "cls", None) or getattr(self.view, "view_class", None)
        assert found is not None, f"{self.template}: the sweep reads methods off view classes"
        return found

    @property
    def methods(self) -> frozenset[str]:
        """The methods that the view implements; GET brings HEAD with it."""
        served = {name.upper() for name in self.view_class.http_method_names}
        own = {method for method in METHODS if method in served and hasattr(self.view_class, method.lower())}
        return frozenset(own | ({"HEAD"} if "GET" in own else set()))

    @property
    def operations(self) -> list[str]:
        """The methods that do something of their own."""
        return sorted(self.methods - {"HEAD", "OPTIONS"})

    def paths(self, values: Mapping[str, str]) -> list[str]:
        """Concrete paths; `values` fills the parameters. A trailing `/?` gives two."""
        filled = _PARAMETER.sub(lambda found: values[found["name"]], self.template)
        return [filled.removesuffix("?"), filled.removesuffix("/?")] if filled.endswith("/?") else [filled]

    @property
    def documented_path(self) -> str:
        """The path as OpenAPI writes it."""
        return _PARAMETER.sub(lambda found: "{" + found["name"] + "}", self.template).removesuffix("?")


def all_routes() -> list[Route]:
    """Every route, except those below a namespace (the admin's)."""
    return list(_walk(get_resolver().url_patterns, "/"))


def namespaces() -> list[str]:
    """Includes with a namespace, which the walk leaves out."""
    found = (getattr(pattern, "namespace", None) for pattern in get_resolver().url_patterns)
    return [str(name) for name in found if name]


def _walk(patterns: list[URLPattern | URLResolver], prefix: str) -> Iterator[Route]:
    for pattern in patterns:
        template = prefix + _template(pattern.pattern)
        if isinstance(pattern, URLPattern):
            found = {match["name"]: match["converter"] or "str" for match in _PARAMETER.finditer(template)}
            yield Route(template, pattern.callback, found)
        elif pattern.namespace is None:
            yield from _walk(pattern.url_patterns, template)


def _template(pattern: Any) -> str:
    if isinstance(pattern, RoutePattern):
        return str(pattern)
    assert isinstance(pattern, RegexPattern)
    text = str(pattern).removeprefix("^").removesuffix("$")
    assert not re.search(r"[\\()\[\]*+|^$]|\?(?!$)", text), f"{text}: the sweep cannot read this expression; use path()"
    return text
