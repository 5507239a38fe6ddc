"""`.env.example` lists the variables that the code reads, no more and no fewer, and changes nothing when copied."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / ".env.example"
PACKAGES = ("config", "core", "apps", "services", "tools", "docker")
# Set by the system, the terminal, make or the image around us: nobody configures Faraja with them.
NOT_OURS = {
    "BUILDAH_ISOLATION",
    "BUILDAH_OPTIONS",
    "BUILD_OPTIONS",
    "CHAOS_MUTANT",  # given by the chaos run to its own processes
    "MAKELEVEL",
    "NO_COLOR",
    "PATH",
    "PG",
    "POSTGRES_USER",
    "TERM",
}


def listed() -> list[str]:
    return re.findall(r"^([A-Z][A-Z0-9_]*)=", EXAMPLE.read_text(), re.M)


class Reads(ast.NodeVisitor):
    """The names under which one module reads the environment.

    `env.str("NAME")`, `environ.get("NAME")` and `environ["NAME"]` are reads. So is a call of a function of the same
    module, or of the settings' own reader, that hands one of its parameters on to a read: `read("NAME", ...)`.
    """

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        # Name of a function, place of the parameter that is a variable's name.
        self.helpers = dict(_helpers_of_the_reader()) if _imports_the_reader(tree) else {}
        self.names: set[str] = set()
        self.unclear: list[int] = []
        self._function: list[ast.FunctionDef] = []

    def collect(self) -> Reads:
        before = -1
        while before != len(self.helpers):  # a helper may be read through another one
            before = len(self.helpers)
            self.names, self.unclear = set(), []
            self.visit(self.tree)
        return self

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._function.append(node)
        self.generic_visit(node)
        self._function.pop()

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if _is_environ(node.value):
            self._read(node.slice, node.lineno)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        name = self._name_argument(node)
        if name is not None:
            self._read(name, node.lineno)
        self.generic_visit(node)

    def _name_argument(self, node: ast.Call) -> ast.expr | None:
        called, place = node.func, None
        if isinstance(called, ast.Attribute):
            is_cast = isinstance(called.value, ast.Name) and called.value.id == "env" and called.attr[0].islower()
            if (is_cast and called.attr != "get" and not called.attr.endswith("_config")) or (
                called.attr == "get" and _is_environ(called.value)
            ):
                place = 0
            else:
                place = self.helpers.get(called.attr)
        elif isinstance(called, ast.Name):
            place = self.helpers.get(called.id)
        return node.args[place] if place is not None and place < len(node.args) else None

    def _read(self, name: ast.expr, line: int) -> None:
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            self.names.add(name.value)
            return
        for function in reversed(self._function):
            parameters = [each.arg for each in function.args.args if each.arg != "self"]
            if isinstance(name, ast.Name) and name.id in parameters:
                self.helpers[function.name] = parameters.index(name.id)
                return
        self.unclear.append(line)


def _imports_the_reader(tree: ast.Module) -> bool:
    return any(isinstance(node, ast.ImportFrom) and node.module == "config.settings.reader" for node in tree.body)


@cache
def _helpers_of_the_reader() -> dict[str, int]:
    return reads_of((ROOT / "config/settings/reader.py").read_text()).helpers


def _is_environ(node: ast.expr) -> bool:
    """`environ`, `os.environ`, `self.environ`."""
    return (isinstance(node, ast.Name) and node.id == "environ") or (
        isinstance(node, ast.Attribute) and node.attr == "environ"
    )


def reads_of(source: str) -> Reads:
    return Reads(ast.parse(source)).collect()


def python_files() -> Iterator[Path]:
    for package in PACKAGES:
        yield from sorted((ROOT / package).rglob("*.py"))


def read_by_code() -> set[str]:
    found: set[str] = set()
    for path in python_files():
        found |= reads_of(path.read_text()).names
    for path in sorted([*(ROOT / "docker").rglob("*.sh"), *(ROOT / "tools").rglob("*.sh")]):
        found |= set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", path.read_text()))
    # In a compose file a doubled dollar is meant for the container's own shell.
    compose = (ROOT / "docker-compose.yml").read_text()
    found |= set(re.findall(r"(?<!\$)\$\{([A-Z][A-Z0-9_]+)", compose))
    return found - NOT_OURS


def test_every_variable_that_the_code_reads_is_listed():
    assert sorted(read_by_code() - set(listed())) == []


def test_every_listed_variable_is_read_by_the_code():
    assert sorted(set(listed()) - read_by_code()) == []


def test_no_variable_is_listed_twice():
    assert [name for name, count in Counter(listed()).items() if count > 1] == []


def test_every_listed_variable_says_what_it_means():
    lines = EXAMPLE.read_text().splitlines()
    bare = [
        line for above, line in zip(["", *lines], lines, strict=False) if re.match(r"[A-Z]", line) and len(above) < 10
    ]

    assert bare == []


def test_every_read_has_a_name_that_can_be_found():
    unclear = {str(path.relative_to(ROOT)): reads_of(path.read_text()).unclear for path in python_files()}

    assert {path: lines for path, lines in unclear.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "env.str('WANTED', default='')",
        "env.email_url('WANTED')",
        "os.environ['WANTED']",
        "os.environ.get('WANTED')",
        "environ.get('WANTED', '')",
        "def read(name, demo):\n    return env.str(name, default=demo)\nread('WANTED', 'demo')",
        "class R:\n    def text(self, name):\n        return self.environ.get(name)\n"
        "    def url(self, name):\n        return self.text(name)\nr.url('WANTED')",
    ],
)
def test_each_way_of_reading_is_seen(source):
    assert reads_of(source).names == {"WANTED"}


def test_a_name_that_is_put_together_is_noticed():
    assert reads_of("os.environ.get(prefix + '_KEY')").unclear == [1]


# The settings read the file named here in place of .env.
SETTINGS = """
import os, sys
import environ
read = environ.Env.read_env
environ.Env.read_env = staticmethod(lambda *_: read(sys.argv[1]) if sys.argv[1] else None)
import config.settings.dev as settings
from services.simulators.config import read_config
for name, value in sorted(vars(settings).items()):
    if name.isupper() and name not in {"LANGUAGES", "UNFOLD"}:  # lazy texts and links, which need the app registry
        print(name, repr(value))
print(read_config(os.environ))
"""


def development_settings(env_file: str) -> list[str]:
    keep = {name: value for name, value in os.environ.items() if name not in set(listed())}
    done = subprocess.run(
        [sys.executable, "-c", SETTINGS, env_file], cwd=ROOT, env=keep, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_a_copy_of_the_example_leaves_development_as_it_was():
    without = development_settings("")

    assert len(without) > 40
    assert development_settings(str(EXAMPLE)) == without


def test_a_value_in_the_file_is_heard(tmp_path: Path):
    env_file = tmp_path / "env"
    env_file.write_text("PHONE_REGION=KE\n")

    assert "PHONE_REGION 'KE'" in development_settings(str(env_file))
