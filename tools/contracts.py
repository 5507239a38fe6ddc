"""Import contracts of a kind that import-linter does not bring along: a list of what a layer may import.

The house's table of layers says what each layer may import, so the contracts say the same, and whatever stands in no
list is refused. They are written once for all apps, those that do not exist yet included. In a pattern

- `*` is any one name, and `{app}` (or any other word) is one that has to be the same in the importer and the imported:
  `apps.{app}.views` may import `apps.{app}.serializers`, its own and nobody else's;
- `{plain}` is a module of an app that is no layer: values in, values out;
- `!` at the end stands for the module alone, without what is below it.

Otherwise a pattern covers the module and everything below it, so a layer may be a module or a package. Only imports
among the root packages are looked at, each by itself: what a view may not import, a service it calls may.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output

LAYERS = (
    "admin",
    "apps",
    "authentication",
    "management",
    "migrations",
    "models",
    "permissions",
    "selectors",
    "serializers",
    "services",
    "tasks",
    "urls",
    "views",
)


def compile_pattern(pattern: str, bound: dict[str, str] | None = None) -> re.Pattern[str]:
    """`pattern` as a regular expression for full module names, with the placeholders in `bound` filled in."""
    parts = []
    below = "" if pattern.endswith("!") else r"(?:\..+)?"
    for part in pattern.rstrip("!").split("."):
        word = part[1:-1] if part.startswith("{") and part.endswith("}") else None
        if part == "*":
            parts.append(r"[^.]+")
        elif word == "plain":
            parts.append(rf"(?!(?:{'|'.join(LAYERS)})(?:\.|$))[^.]+")
        elif word is not None:
            known = (bound or {}).get(word)
            parts.append(re.escape(known) if known else rf"(?P<{word}>[^.]+)")
        else:
            parts.append(re.escape(part))
    return re.compile(r"\.".join(parts) + below)


def covers(importers: Iterable[str], module: str) -> bool:
    """Whether `module` is one of `importers`."""
    return any(compile_pattern(pattern).fullmatch(module) for pattern in importers)


def allows(importer: str, imported: str, *, importers: Iterable[str], may_import: Iterable[str]) -> bool:
    """Whether `importer`, as the first of `importers` that covers it, may import `imported`."""
    for pattern in importers:
        found = compile_pattern(pattern).fullmatch(importer)
        if found:
            own = found.groupdict()
            return any(compile_pattern(allowed, own).fullmatch(imported) for allowed in may_import)
    return False


class MayImportContract(Contract):
    """`importers` may import what `may_import` lists, less what `never` lists, and nothing else of ours.

    `excluding` takes modules out of `importers`.
    """

    type_name = "may_import"

    importers = fields.ListField(subfield=fields.StringField())
    excluding = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    may_import = fields.ListField(subfield=fields.StringField())
    never = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        importers = self._listed("importers")
        may_import = self._listed("may_import")
        excluding = [compile_pattern(pattern) for pattern in self._listed("excluding")]
        never = [compile_pattern(pattern) for pattern in self._listed("never")]
        wrong = []
        for importer in sorted(graph.modules):
            if not covers(importers, importer) or any(pattern.fullmatch(importer) for pattern in excluding):
                continue
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                if graph.is_module_squashed(imported):  # not ours
                    continue
                is_listed = allows(importer, imported, importers=importers, may_import=may_import)
                if not is_listed or any(pattern.fullmatch(imported) for pattern in never):
                    details = graph.get_import_details(importer=importer, imported=imported)
                    wrong.append((importer, imported, sorted({detail["line_number"] for detail in details})))
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    def render_broken_contract(self, check: ContractCheck) -> None:
        for importer, imported, lines in check.metadata["wrong"]:
            places = ", ".join(f"l.{line}" for line in lines)
            output.print_error(f"- {importer} may not import {imported} ({places})", bold=False)
        output.new_line()
        allowed = ", ".join(self._listed("may_import")) or "nothing of ours"
        output.print_error(f"It may import: {allowed}.", bold=False)
        output.new_line()

    def _listed(self, name: str) -> list[str]:
        return list(getattr(self, name))
