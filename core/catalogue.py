"""The closed set of error codes: collected from the code, written to `docs/errors.md`, listed in the schema."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec

from django.apps import apps
from django.conf import settings
from django.utils import translation

from core import exceptions, framework_errors
from core.exception_handler import http_status
from core.exceptions import DomainError


@dataclass(frozen=True, slots=True, order=True)
class CatalogueEntry:
    """One code: its HTTP status, its English sentence, and when it happens."""

    status: int
    code: str
    message: str
    meaning: str


def _load_everything() -> None:
    """Import the modules in which refusals are defined, so that their classes exist."""
    for config in apps.get_app_configs():
        if config.name.startswith(("apps.", "core")):
            for layer in ("services", "authentication", "permissions", "tokens", "views", "decorator", "csrf"):
                name = f"{config.name}.{layer}"
                spec = find_spec(name)
                if spec is not None:
                    _import_tree(name, spec.submodule_search_locations)
    for gateway in [*settings.PAYMENT_GATEWAYS.values(), *settings.SMS_GATEWAYS.values()]:
        import_module(gateway["BACKEND"].rpartition(".")[0])


def _import_tree(name: str, locations: object) -> None:
    import pkgutil

    module = import_module(name)
    if locations:
        for info in pkgutil.iter_modules(module.__path__, f"{name}."):
            import_module(info.name)


def _leaves(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _leaves(subclass)


def entries() -> list[CatalogueEntry]:
    """Every code the API can answer, sorted by status and code; one entry per code."""
    _load_everything()
    with translation.override("en"):
        found = {
            error.code: CatalogueEntry(error.status, error.code, str(error.message), "")
            for error in framework_errors.ALL
        }
        for leaf in _leaves(DomainError):
            is_kind = leaf.__module__ == exceptions.__name__ and leaf.code in {"conflict", "rule_violated"}
            if not is_kind and leaf.code not in found:
                meaning = " ".join((leaf.__doc__ or "").split())
                found[leaf.code] = CatalogueEntry(http_status(leaf), leaf.code, str(leaf.message), meaning)
    return sorted(found.values())


def all_codes() -> set[str]:
    return {entry.code for entry in entries()}


def as_markdown() -> str:
    """The page `docs/errors.md`."""
    lines = [
        "# Error catalogue",
        "",
        "Generated from the code by `python manage.py build_docs`; `make lint` fails when it is out of date.",
        "",
        "Programs decide by `code`, which never changes. `message` is for people, in English or Swahili by "
        "`Accept-Language`, and may be reworded. Field errors stand in `errors`.",
        "",
        "| HTTP | code | message (English) | when |",
        "| --- | --- | --- | --- |",
    ]
    lines += [f"| {each.status} | `{each.code}` | {each.message} | {each.meaning} |" for each in entries()]
    return "\n".join(lines) + "\n"
