"""Import contracts of kinds that import-linter does not bring along.

`may_import` lists what a layer may import of ours, `forbidden_names` what it may not import of other people's.

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

import abc
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


def imported_names(statement: str) -> set[str]:
    """Full names that one line of import binds or looks up: `from django import db` gives `django.db` too."""
    line = statement.partition("#")[0].strip()
    if found := re.match(r"from\s+([\w.]+)\s+import\s+\(?(.*)", line):
        source, rest = found.groups()
        return {source} | {f"{source}.{part.split()[0]}" for part in rest.strip(" ()").split(",") if part.strip()}
    return {part.split()[0] for part in line.removeprefix("import ").split(",") if part.strip()}


class _Listing(Contract):
    """What the kinds have in common: lists of patterns, and a broken contract shown import by import."""

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:
        """Every import that `refused` names, with its lines."""
        importers = self._listed("importers")
        excluding = [compile_pattern(pattern) for pattern in self._listed("excluding")]
        wrong: dict[tuple[str, str], set[int]] = {}
        for importer in sorted(graph.modules):
            if not covers(importers, importer) or any(pattern.fullmatch(importer) for pattern in excluding):
                continue
            for imported in sorted(graph.find_modules_directly_imported_by(importer)):
                for detail in graph.get_import_details(importer=importer, imported=imported):
                    for name in self.refused(graph, importer, imported, detail["line_contents"]):
                        wrong.setdefault((importer, name), set()).add(detail["line_number"])
        return ContractCheck(kept=not wrong, metadata={"wrong": wrong})

    @abc.abstractmethod
    def refused(self, graph: ImportGraph, importer: str, imported: str, statement: str) -> set[str]:
        """The names that `importer` may not import among those of one import statement."""

    def render_broken_contract(self, check: ContractCheck) -> None:
        for (importer, name), lines in check.metadata["wrong"].items():
            places = ", ".join(f"l.{line}" for line in sorted(lines))
            output.print_error(f"- {importer} may not import {name} ({places})", bold=False)
        output.new_line()
        output.print_error(self.rule(), bold=False)
        output.new_line()

    @abc.abstractmethod
    def rule(self) -> str:
        """The contract in one sentence."""

    def _listed(self, name: str) -> list[str]:
        return list(getattr(self, name))


class MayImportContract(_Listing):
    """`importers`, less `excluding`, may import what `may_import` lists, less `never`, and nothing else of ours."""

    type_name = "may_import"

    importers = fields.ListField(subfield=fields.StringField())
    excluding = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    may_import = fields.ListField(subfield=fields.StringField())
    never = fields.ListField(subfield=fields.StringField(), required=False, default=[])

    def refused(self, graph: ImportGraph, importer: str, imported: str, statement: str) -> set[str]:
        if graph.is_module_squashed(imported):  # not ours
            return set()
        is_listed = allows(
            importer, imported, importers=self._listed("importers"), may_import=self._listed("may_import")
        )
        return set() if is_listed and not covers(self._listed("never"), imported) else {imported}

    def rule(self) -> str:
        return f"It may import: {', '.join(self._listed('may_import')) or 'nothing of ours'}."


class ForbiddenNamesContract(_Listing):
    """`importers`, less `excluding`, import none of `names`, which may be parts of other people's packages.

    The kind that import-linter calls forbidden sees such a package as a whole: it cannot tell `django.db` from
    `django.conf`.
    """

    type_name = "forbidden_names"

    importers = fields.ListField(subfield=fields.StringField())
    excluding = fields.ListField(subfield=fields.StringField(), required=False, default=[])
    names = fields.ListField(subfield=fields.StringField())

    def refused(self, graph: ImportGraph, importer: str, imported: str, statement: str) -> set[str]:
        if not graph.is_module_squashed(imported):
            return set()
        return {
            name
            for name in self._listed("names")
            if any(map(compile_pattern(name).fullmatch, imported_names(statement)))
        }

    def rule(self) -> str:
        return f"It may not import: {', '.join(self._listed('names'))}."
