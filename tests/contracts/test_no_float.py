"""No float anywhere near money: not in a column, not in arithmetic, not in reading what a provider sends."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NEAR_MONEY = ("core/money.py", "services/reading.py", "apps/payments", "services/payments")
# Times are floats by everyone's convention. Whatever is named so is a time, and nothing else may be a float.
TIMES = ("timeout", "lifetime", "seconds", "wait", "waits", "jitter", "ends_at", "asked_at", "deadline", "pause")

# Functions that are about fractions, and why no amount comes of them.
ON_PURPOSE = {
    "js_number": "the digits that ClickPesa's side signs are JavaScript's; no amount is read from them",
    "success": "how many of the payments that ended were paid, for a chart",
}


class Floats(ast.NodeVisitor):
    """Lines with a float literal, the name `float`, true division, or a column of floats, outside times."""

    def __init__(self) -> None:
        self.lines: list[int] = []
        self._is_time = 0

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef) and node.name in ON_PURPOSE:
            return
        if isinstance(node, ast.arguments):
            self._visit_parameters(node)
            return
        is_time = any(_is_time(name) for name in _named_by(node))
        self._is_time += is_time
        if not self._is_time and _is_float(node):
            self.lines.append(node.lineno)  # type: ignore[attr-defined]
        self.generic_visit(node)
        self._is_time -= is_time

    def _visit_parameters(self, node: ast.arguments) -> None:
        """Each with its default, which stands apart from it in the tree."""
        positional = [*node.posonlyargs, *node.args]
        defaults = [None] * (len(positional) - len(node.defaults)) + list(node.defaults) + list(node.kw_defaults)
        for parameter, default in zip([*positional, *node.kwonlyargs], defaults, strict=True):
            self.visit(parameter)
            if default is not None:
                self.visit(ast.keyword(arg=parameter.arg, value=default))


def _named_by(node: ast.AST) -> Iterator[str]:
    """What the values below `node` are called: by an assignment, a parameter, a keyword."""
    match node:
        case ast.Assign():
            for target in node.targets:
                yield from (each.attr for each in ast.walk(target) if isinstance(each, ast.Attribute))
                yield from (each.id for each in ast.walk(target) if isinstance(each, ast.Name))
        case ast.AnnAssign() | ast.AugAssign():
            yield from (each.attr for each in ast.walk(node.target) if isinstance(each, ast.Attribute))
            yield from (each.id for each in ast.walk(node.target) if isinstance(each, ast.Name))
        case ast.keyword() | ast.arg():
            yield node.arg or ""


def _is_time(name: str) -> bool:
    return name.lower().split("_")[-1] in TIMES or name.lower().endswith(TIMES)


def _is_float(node: ast.AST) -> bool:
    match node:
        case ast.Constant(value=float()):
            return True
        case ast.Name(id="float") | ast.Attribute(attr="FloatField"):
            return True
        case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
            return True
    return False


def floats_in(source: str) -> list[int]:
    visitor = Floats()
    visitor.visit(ast.parse(source))
    return sorted(set(visitor.lines))


def python_files() -> Iterator[Path]:
    for place in NEAR_MONEY:
        path = ROOT / place
        found = [path] if path.is_file() else sorted(path.rglob("*.py"))
        yield from (each for each in found if "migrations" not in each.parts)


def test_no_float_is_anywhere_near_money():
    found = {str(path.relative_to(ROOT)): floats_in(path.read_text()) for path in python_files()}

    assert len(found) > 20
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "source",
    [
        "amount = 12.5",
        "amount = float(text)",
        "amount: float = read()",
        "share = total / 3",
        "total /= 3",
        "amount = models.FloatField()",
        "charge(amount=1e3)",
        "def charge(amount: float): ...",
        "read_json(body, parse_float=float)",
        "def charge(amount=0.5): ...",
        "def charge(*, wait=1.0, fee=0.5): ...",
    ],
)
def test_each_way_to_a_float_is_noticed(source):
    assert floats_in(source) == [1]


@pytest.mark.parametrize(
    "source", ["TOKEN_LIFETIME = 50 * 60.0", "call(read_timeout=2.5)", "def f(wait: float = 1.5): ..."]
)
def test_a_time_may_be_a_float(source):
    assert floats_in(source) == []
